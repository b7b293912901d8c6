"""The step on a CPU's tensors, through dlarray's planner: a NumPy array and a tensor can look at the same memory.

torch pays for every operation before it computes anything, and its compiler for its guards at every call; the planner's
kernels and NumPy's products write into the tensors themselves. The formulas run plainly stay torch's own: they are what
the plan is held against, and what runs where a step cannot be planned.
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
from dlarray.planner.run.tree_code import matcher
from dlarray.planner.trace.symbols import Symbol
from dlarray.planner.trace.trace import without_scalars

__all__ = ["Planned"]

_ARRAYS: tuple[type[Any], ...] = (np.ndarray, np.generic)
_Step = Callable[[Any, Any], Any]


class _Thread(threading.local):
    """What one thread has looked at: a state, with views of its tensors, and what the plain step has returned."""

    def __init__(self) -> None:
        self.is_state: Callable[[Any], bool] = _never
        self.state: Any = None
        self.known: dict[int, Any] = {}
        self.plain: list[tuple[Any, Any]] = []


class Planned:
    """A step that is planned where all that it is given are tensors on the CPU, of types that NumPy has.

    What it writes in place it writes into the caller's tensors, and returns them. Tensors of other devices go to
    ``elsewhere``, a compiler of steps; those that NumPy cannot look at take the plain step, with a PlannerWarning.
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
                self._look_at(state)
        except (TypeError, RuntimeError) as error:
            return self._unplanned(state, batch, error)
        result = self.planned(own.state, given)
        if own.plain:
            plain, own.plain = own.plain, []
            for views, tensors in plain:
                if views is result:
                    return tensors
        if result[0] is own.state:  # the same tensors with other numbers in them
            return state, map_leaves(result[1], self._seen)
        return map_leaves(result, self._seen)

    def describe(self, names: Names) -> Description:
        """What the latest plan does. Raises ValueError where there is none."""
        return self.planned.describe(names)

    def describe_for(self, state: Any, batch: Any, names: Names) -> Description:
        """What the plan for such tensors does. Raises ValueError where there is none."""
        return program(self._on_views, *self._looked_at(state, batch)).describe(names)

    def profile_for(self, state: Any, batch: Any, names: Names, bursts: int, seconds: float) -> Timings:
        """How long a step on copies of such tensors takes, and each work of it. Raises ValueError where it has no plan.

        This step must not have run before.
        """
        self._looked_at(state, batch)
        state, batch = (map_leaves(tree, self._copied) for tree in (state, batch))
        views = self._views(state), self._views(batch)
        return profiled(self.planned, lambda: self(state, batch), *views, names, bursts, seconds)

    def _looked_at(self, state: Any, batch: Any) -> tuple[Any, Any]:
        """Views of such tensors. Raises ValueError where NumPy can have none."""
        try:
            return self._views(state), self._views(batch)
        except (TypeError, RuntimeError) as error:
            raise ValueError(f"steps are planned for tensors on the CPU that NumPy can look at: {error}") from error

    def _copied(self, leaf: Any) -> Any:
        return leaf.clone() if type(leaf) is self._tensor else leaf

    def _look_at(self, state: Any) -> None:
        """Views of a state's tensors, kept for as long as the same tensors come."""
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
        """The step as the planner sees it: symbols are traced, and what looks at tensors is computed by torch.

        But for the step that counts, nothing is drawn from torch's generator.
        """
        symbols: list[Any] = []
        flatten((state, batch), symbols, (Symbol,))
        with self._fork_rng(devices=()) if symbols or self._own.plain else nullcontext():
            if symbols:
                return without_scalars(self.step)(state, batch)
            result = self.step(map_leaves(state, self._seen_anew), map_leaves(batch, self._seen_anew))
        self._own.plain.append((map_leaves(result, self._view_or_itself), result))
        return self._own.plain[-1][0]

    def _unplanned(self, state: Any, batch: Any, error: Exception) -> Any:
        if self._other is None:
            leaves: list[Any] = []
            flatten((state, batch), leaves, (self._tensor,))
            if any(x.device.type != "cpu" for x in leaves):
                self._other = self._elsewhere(self.step)
            else:
                why = f"NumPy cannot look at what it is given: {error}"
                warnings.warn(f"the step runs eagerly, uncompiled, because {why}", PlannerWarning, stacklevel=3)
                self._other = self.step
        return self._other(state, batch)

    # From tensors to arrays and back

    def _views(self, tree: Any) -> Any:
        """The tree with views for its tensors: at every step, so the commonest trees first."""
        if type(tree) is self._tensor:
            return tree.numpy()
        if tree is None:
            return None
        if type(tree) is tuple:
            return tuple([self._views(item) for item in cast("tuple[Any, ...]", tree)])
        return map_leaves(tree, self._view)

    def _view(self, leaf: Any) -> Any:
        """The array that looks at a tensor. TypeError or RuntimeError where there can be none."""
        if type(leaf) is self._tensor:
            return leaf.numpy()
        if isinstance(leaf, (self._tensor, *_ARRAYS)):
            raise TypeError(f"{type(leaf).__name__} among tensors")
        return leaf

    def _view_or_itself(self, leaf: Any) -> Any:
        """As ``_view``; what NumPy cannot look at stays a tensor, so that no plan agrees with it."""
        try:
            return self._view(leaf)
        except (TypeError, RuntimeError):
            return leaf

    def _seen(self, leaf: Any) -> Any:
        """The caller's tensor for the array that looks at it, else a new one that looks at the array."""
        known = self._own.known.get(id(leaf))
        return self._seen_anew(leaf) if known is None else known

    def _seen_anew(self, leaf: Any) -> Any:
        return self._from_numpy(np.asarray(leaf)) if isinstance(leaf, _ARRAYS) else leaf


def _never(state: Any) -> bool:
    return False
