"""Planned steps on tensors of the CPU, through NumPy arrays that share their memory.

torch has a cost for every operation, and its compiler for the guards of every call; the planner's kernels and NumPy's
products write directly into the tensors. The eager step uses torch's operations. The plan is compared with it, and it
runs if a step cannot be planned.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import numpy as np

from dlarray.core.trees import flatten, map_leaves
from dlarray.device.description import Description, Names
from dlarray.device.timing import Timings
from dlarray.planner import PlannerWarning, profiled
from dlarray.planner import compile as plan
from dlarray.planner import plan as program
from dlarray.planner.run.bound import BoundStep
from dlarray.planner.run.repeated import Repeated
from dlarray.planner.run.tree_code import matcher
from dlarray.planner.trace.symbols import Symbol
from dlarray.planner.trace.trace import without_scalars
from dlarray_torch.binding import TensorBinding

__all__ = ["Planned"]

_ARRAYS: tuple[type[Any], ...] = (np.ndarray, np.generic)
_Step = Callable[[Any, Any], Any]
_MOST_VIEWS = 8
"""The most tensors whose views are kept for several steps: those of all examples, and an order."""


class _Thread(threading.local):
    """What one thread keeps: views of a state, their tensors by the id of the view, and results of the eager step."""

    def __init__(self) -> None:
        self.is_state: Callable[[Any], bool] = _never
        self.state: Any = None
        self.known: dict[int, Any] = {}
        self.eager: list[tuple[Any, Any]] = []


class Planned:
    """A step that is planned if all its tensors are on the CPU and have dtypes of NumPy.

    What it writes in place it writes into the tensors of the caller, and returns them. For tensors on other devices the
    step is compiled by ``elsewhere``. With tensors that NumPy cannot read it runs eagerly, with a PlannerWarning.
    """

    def __init__(self, step: _Step, executor: str, elsewhere: Callable[[_Step], _Step]) -> None:
        import torch

        self.planned = plan(self._on_views, executor)
        self.step = step
        self._elsewhere = elsewhere
        self._other: _Step | None = None
        self._tensor: type[Any] = torch.Tensor
        self._from_numpy: Callable[[np.ndarray], Any] = torch.from_numpy
        self._fork_rng: Callable[..., Any] = torch.random.fork_rng
        self._half = (torch.float16, torch.bfloat16)
        self._own = _Thread()

    def __call__(self, state: Any, batch: Any) -> Any:
        """The next state and the loss. Consumes the state."""
        try:
            given = self._views(batch)
            own = self._own
            if not own.is_state(state):
                self._bind(state)
        except (TypeError, RuntimeError) as error:
            return self._run_unplanned(state, batch, error)
        return self._tensors(self.planned(own.state, given), state)

    def bind(self, state: Any) -> BoundStep[TensorBinding]:
        """``bound(batch) -> loss`` on this state; see ``dlarray.planner.run.bound.BoundStep``."""
        return BoundStep(self, state)

    def repeat(self, steps: int) -> Repeated:
        """A function for up to ``steps`` steps in one call; see ``dlarray.planner.run.repeated.Repeated``."""
        known: dict[int, tuple[Any, np.ndarray]] = {}

        def view(x: Any) -> Any:
            """The same view for the same tensor, so that it is checked once."""
            if type(x) is not self._tensor:
                return x
            if id(x) not in known or known[id(x)][0] is not x:
                if len(known) >= _MOST_VIEWS:
                    known.clear()
                known[id(x)] = x, x.numpy()
            return known[id(x)][1]

        return Repeated(self, steps, lambda tree: map_leaves(tree, view), self._from_numpy)

    def repeatable(self) -> TensorBinding | None:
        """The latest binding of this thread if it writes the state in place."""
        own, binding = self._own, self.planned.repeatable()
        if binding is None or not binding.is_state(own.state):
            return None
        return TensorBinding(binding, own.is_state, self._views, lambda loss: map_leaves(loss, self._tensor_of))

    def forget(self) -> None:
        """Let go of this thread's bindings."""
        self.planned.forget()

    def recover(self, error: BaseException, bound: TensorBinding, state: Any, batch: Any) -> Any:
        """The next state and the loss after an error in a planned step, or the error itself."""
        own = self._own
        if not own.is_state(state):
            self._bind(state)
        return self._tensors(self.planned.recover(error, bound.binding, own.state, self._views(batch)), state)

    def describe(self, names: Names) -> Description:
        """The latest plan. Raises ValueError if there is none."""
        return self.planned.describe(names)

    def describe_for(self, state: Any, batch: Any, names: Names) -> Description:
        """The plan for such tensors. Raises ValueError if there is none."""
        return program(self._on_views, *self._checked_views(state, batch)).describe(names)

    def profile_for(self, state: Any, batch: Any, names: Names, bursts: int, seconds: float) -> Timings:
        """The times of a step on copies of such tensors, and of its works. Raises ValueError if it has no plan.

        This step must not have run before.
        """
        self._checked_views(state, batch)
        state, batch = (map_leaves(tree, self._copy) for tree in (state, batch))
        views = self._views(state), self._views(batch)
        return profiled(self.planned, lambda: self(state, batch), *views, names, bursts, seconds)

    def _checked_views(self, state: Any, batch: Any) -> tuple[Any, Any]:
        """Views of such tensors. Raises ValueError if NumPy cannot have any."""
        try:
            return self._views(state), self._views(batch)
        except (TypeError, RuntimeError) as error:
            raise ValueError(f"steps are planned for tensors on the CPU that NumPy can read: {error}") from error

    def _copy(self, leaf: Any) -> Any:
        return leaf.clone() if type(leaf) is self._tensor else leaf

    def _tensors(self, result: Any, state: Any) -> Any:
        """What a step on views has returned, as tensors. ``state`` are the tensors that it was given."""
        own = self._own
        if own.eager:
            eager, own.eager = own.eager, []
            for views, tensors in eager:
                if views is result:
                    return tensors
        if result[0] is own.state:  # the same tensors with other numbers in them
            return state, map_leaves(result[1], self._tensor_of)
        return map_leaves(result, self._tensor_of)

    def _bind(self, state: Any) -> None:
        """Keep views of a state's tensors, as long as the same tensors are given."""
        tensors: list[Any] = []
        views: list[np.ndarray] = []
        structure = flatten(state, tensors, (self._tensor,))
        for x in tensors:
            if x.dtype in self._half:  # NumPy has one of the two, and no kernels for it
                raise TypeError(f"a tensor of type {x.dtype}")
        own = self._own
        own.state = self._views(state)
        flatten(own.state, views)
        own.known = {id(view): tensor for view, tensor in zip(views, tensors, strict=True)}
        own.is_state = matcher(structure, tensors)

    def _on_views(self, state: Any, batch: Any) -> Any:
        """The step for the planner: symbols are traced, views are converted to tensors and computed by torch.

        Only the step whose result is returned may change the state of torch's random generator.
        """
        symbols: list[Any] = []
        flatten((state, batch), symbols, (Symbol,))
        with self._fork_rng(devices=()) if symbols or self._own.eager else nullcontext():
            if symbols:
                return without_scalars(self.step)(state, batch)
            result = self.step(map_leaves(state, self._new_tensor), map_leaves(batch, self._new_tensor))
        self._own.eager.append((map_leaves(result, self._view_or_tensor), result))
        return self._own.eager[-1][0]

    def _run_unplanned(self, state: Any, batch: Any, error: Exception) -> Any:
        if self._other is None:
            leaves: list[Any] = []
            flatten((state, batch), leaves, (self._tensor,))
            if any(x.device.type != "cpu" for x in leaves):
                self._other = self._elsewhere(self.step)
            else:
                why = f"NumPy cannot read its arguments: {error}"
                warnings.warn(f"the step runs eagerly, uncompiled, because {why}", PlannerWarning, stacklevel=3)
                self._other = self.step
        return self._other(state, batch)

    # From tensors to arrays and back

    def _views(self, tree: Any) -> Any:
        """The tree with views for its tensors. It runs at every step, so the common types come first."""
        if type(tree) is self._tensor:
            return tree.numpy()
        if tree is None:
            return None
        if type(tree) is tuple:
            items = cast("tuple[Any, ...]", tree)
            return tuple([item.numpy() if type(item) is self._tensor else self._views(item) for item in items])
        return map_leaves(tree, self._view)

    def _view(self, leaf: Any) -> Any:
        """A NumPy view of a tensor; other leaves stay. Raises TypeError or RuntimeError if there can be no view."""
        if type(leaf) is self._tensor:
            return leaf.numpy()
        if isinstance(leaf, (self._tensor, *_ARRAYS)):
            raise TypeError(f"{type(leaf).__name__} among tensors")
        return leaf

    def _view_or_tensor(self, leaf: Any) -> Any:
        """As ``_view``, but a tensor that NumPy cannot read stays; a plan then never agrees with this result."""
        try:
            return self._view(leaf)
        except (TypeError, RuntimeError):
            return leaf

    def _tensor_of(self, leaf: Any) -> Any:
        """The tensor of the caller for its view; for any other array a new tensor with its memory."""
        known = self._own.known.get(id(leaf))
        return self._new_tensor(leaf) if known is None else known

    def _new_tensor(self, leaf: Any) -> Any:
        return self._from_numpy(np.asarray(leaf)) if isinstance(leaf, _ARRAYS) else leaf


def _never(state: Any) -> bool:
    return False
