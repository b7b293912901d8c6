"""Joining: the bound calls of a step become fewer, if the executor can join neighbouring calls into one function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

__all__ = ["BatchRead", "BoundCall", "Joined", "Joiner", "Rebindable", "StepArrays"]

BoundCall = tuple[Callable[..., Any], Sequence[Any]]
"""A function with its arguments, which is called at every step."""


class Rebindable(list[Any]):
    """Arguments that can be replaced between calls."""


@dataclass(frozen=True)
class BatchRead:
    """An argument of a call that is a leaf of the batch or a view of it: at every step it is in other memory."""

    leaf: int
    """The number of the leaf in the batch."""
    call: int
    position: int
    view: Callable[[np.ndarray], np.ndarray]
    """The argument that belongs to a leaf, which is contiguous and has the shape and dtype of the first one."""


@dataclass(frozen=True)
class StepArrays:
    """The arrays of a step that come from its caller, and its loss if it is the only other result."""

    state: Sequence[np.ndarray] = ()
    batch: Sequence[np.ndarray] = ()
    loss: np.ndarray | None = None


@dataclass
class Joined:
    """Calls in order. This class leaves them as they are."""

    calls: list[BoundCall]
    starts: Sequence[int] = field(default_factory=list[int])
    """For each call that was given, and for their end, the number of the call in ``calls`` that has it."""
    enter: Callable[..., bool] | None = None
    """One step in one call: ``enter(*batch)`` checks the arrays of a batch and runs all calls.

    False, and nothing is done, if an array has another type, dtype or shape than the first one, is not contiguous, or
    shares memory with the state. None if the calls are more than one function.
    """

    many: Callable[..., None] | None = None
    """Several steps in one call: ``many(data, order, start, losses)``, a step for each loss that is written.

    ``data`` are all examples, contiguous, with the dtypes of the batch. With a batch of n, step i takes the examples
    ``order[start + i n]`` and following; without an order those at these positions. None if it is not possible.
    """

    mover: Callable[[np.ndarray], Callable[[np.ndarray], None]] | None = None
    """``mover(array)(other)``: from now on the calls use the memory of another array of the same size instead.

    ``array`` is memory of the plan. None if it is not possible.
    """

    def __post_init__(self) -> None:
        self.starts = self.starts or range(len(self.calls) + 1)

    def rebind(self, read: BatchRead, array: np.ndarray) -> None:
        """From now on an argument is this view of a leaf. It must stay alive."""
        self.calls[read.call][1][read.position] = array  # pyright: ignore[reportIndexIssue] - such a list is Rebindable


@runtime_checkable
class Joiner(Protocol):
    """An executor that joins calls."""

    def join(
        self, calls: Sequence[BoundCall], reads: Sequence[BatchRead], arrays: StepArrays, cuts: Sequence[int] = ()
    ) -> Joined:
        """Join calls where possible, but none across a cut: the number of a call that starts a new part."""
        ...
