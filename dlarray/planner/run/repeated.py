"""Several steps in one call: native code takes the batches from all examples, and returns the losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from dlarray.core.array import array_namespace
from dlarray.core.trees import flatten, map_arrays
from dlarray.planner.run.aliasing import ArrayMemory
from dlarray.planner.run.bound import BoundStep
from dlarray.planner.run.program import Binding
from dlarray.planner.run.refusals import is_contiguous

__all__ = ["Repeated"]

LONGEST = 0.01
"""Seconds of a call with several steps. Between two calls Python handles signals."""

_FIRST_STEPS = 2
"""The steps after which a plan is bound: one that is checked, and one that binds it."""


def _same(x: Any) -> Any:
    return x


class _Bindable(Protocol):
    """A compiled step."""

    def bind(self, state: Any) -> BoundStep[Any]:
        """A bound step."""
        ...


class Repeated:
    """``repeated(state, data, order, start, batch, count) -> (state, losses)``: several steps on batches of ``data``.

    ``data`` is a tree like a batch, with all examples. Step i takes the ``batch`` examples ``order[start + i · batch]``
    and following; without an order those at these positions. ``order`` is a vector of int32. Consumes the state.

    A call does at most ``count`` steps and takes about 10 ms: it does as many as there are losses. Steps that are to be
    checked are done alone. If the plan is not one native function, or cannot read ``data`` in place, no step is done.
    Raises ValueError if there are too few examples.

    For another library ``views`` gives NumPy's views of its arrays, and raises TypeError or RuntimeError if there are
    none; ``arrays`` gives its arrays for NumPy's.
    """

    def __init__(
        self,
        step: _Bindable,
        steps: int,
        views: Callable[[Any], Any] = _same,
        arrays: Callable[[np.ndarray], Any] = _same,
    ) -> None:
        self._step = step
        self._steps = steps
        self._views = views
        self._arrays = arrays
        self._bound: BoundStep[Any] | None = None
        self._unbound = 0
        """How many steps in a row have had no binding."""
        self._fitting: tuple[Any, ...] = ()
        """The binding and the arrays that have been found to fit together."""
        self._seconds = LONGEST
        """The time of a step."""

    def __call__(self, state: Any, data: Any, order: Any, start: int, batch: int, count: int) -> tuple[Any, Any]:
        """The state and the losses after at most ``count`` steps."""
        if self._bound is None:
            self._bound = self._step.bind(state)
        bound = self._bound
        bound.state = state
        binding = bound.latest
        leaves: list[np.ndarray] = []
        try:
            structure = flatten(self._views(data), leaves)
            places: np.ndarray | None = None if order is None else self._views(order)
        except (TypeError, RuntimeError):
            return state, self._arrays(_NONE)
        examples = len(leaves[0] if places is None else places)
        if not 0 <= start <= examples - count * batch:
            raise ValueError(f"{count} batches of {batch} from example {start} on need more than {examples} examples")
        if binding is None or len(binding.replay.batch[0]) != batch:
            self._unbound += 1
            few = self._unbound <= _FIRST_STEPS
            return self._alone(bound, data, order, slice(start, start + batch)) if few else (state, self._arrays(_NONE))
        self._unbound = 0
        many = binding.replay.many
        fits = structure == binding.program.input_structures[1] and self._fit(binding, leaves)
        if many is None or not fits:
            return state, self._arrays(_NONE)
        program = binding.program
        n = min(count, self._steps, max(1, int(LONGEST / self._seconds)), program.next_check - 1 - program.steps)
        if n < 1:
            return self._alone(bound, data, order, slice(start, start + batch))
        if places is not None and not _chooses(places, start, n * batch, len(leaves[0])):
            return state, self._arrays(_NONE)
        losses = np.empty(n, binding.replay.results[-1][0].dtype)
        began = perf_counter()
        many(leaves, places, start, losses)
        self._seconds = (perf_counter() - began) / n
        program.steps += n
        return bound.state, self._arrays(losses)

    def release(self) -> None:
        """Let go of the examples and of batches."""
        self._fitting = ()
        if self._bound is not None:
            self._bound.release()

    def _alone(self, bound: BoundStep[Any], data: Any, order: Any, rows: slice) -> tuple[Any, Any]:
        """One step. The bound step makes and checks the plan."""

        def taken(x: Any) -> Any:
            return x[rows, ...] if order is None else array_namespace(x).take(x, order[rows], axis=0)

        loss = bound(map_arrays(data, taken))
        return bound.state, array_namespace(loss).reshape(loss, (1,))

    def _fit(self, binding: Binding, leaves: Sequence[np.ndarray]) -> bool:
        """Whether a binding can read its batches from these examples, which are outside of the state's memory."""
        fitting = (binding, *leaves)
        if len(fitting) == len(self._fitting) and all(a is b for a, b in zip(fitting, self._fitting, strict=True)):
            return True
        self._fitting = ()
        like = binding.replay.batch
        if not all(map(is_contiguous, leaves)):
            return False
        if any(a.dtype is not b.dtype or a.shape[1:] != b.shape[1:] for a, b in zip(leaves, like, strict=True)):
            return False
        if len({len(a) for a in leaves}) != 1 or any(map(ArrayMemory(binding.state).shares, leaves)):
            return False
        self._fitting = fitting
        return True


_NONE = np.zeros(0, np.float32)
"""The losses of no step."""


def _chooses(order: np.ndarray, start: int, count: int, n: int) -> bool:
    """Whether these items of an order are numbers of n examples. They are read at each call: they can have changed."""
    if not is_contiguous(order) or order.dtype != np.int32 or order.ndim != 1:
        return False
    return int(order[start : start + count].view(np.uint32).max()) < n  # a negative one is above 2³¹
