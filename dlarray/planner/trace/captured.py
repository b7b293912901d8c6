"""NumPy's arrays that a step reads while it is traced: those of its closure, and those that it makes itself.

A plan reads them where they lie, so what is written into a closure's array between two steps counts, as it does
without a plan. What is written while the step runs is another matter: NumPy writes when the step is traced, and never
again. An array that nobody else holds afterwards was the step's own and has the same numbers in every step: they are
kept as they were when they were read. Any other is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import ref
from zlib import crc32

import numpy as np

from dlarray.planner.trace.node import UntraceableError

__all__ = ["Captured", "is_ndarray"]

LARGE = 2**24
"""The bytes from which on a checksum stands for the numbers that were read, and no copy."""


def is_ndarray(kind: Any) -> bool:
    """Whether a type is NumPy's array, and no subclass that computes otherwise, as a masked array or a matrix does."""
    return kind in (np.ndarray, np.memmap)


class Captured:
    """The arrays by number, one for each time that the step has found other numbers in an array."""

    def __init__(self, state: Iterable[Any]) -> None:
        self.arrays: list[np.ndarray] = []
        self._values_read: list[bytes | int] = []
        self._state: list[Any] = [a for a in state if isinstance(a, np.ndarray)]

    def index(self, array: np.ndarray) -> int:
        """The number of an array with the numbers that it has now. Raises UntraceableError where it cannot be read."""
        if not is_ndarray(type(array)) or array.dtype.hasobject:
            raise UntraceableError(
                f"the step reads a {type(array).__name__} of type {array.dtype}: a plan reads plain arrays of numbers"
            )
        if any(np.may_share_memory(array, a) for a in self._state):
            raise UntraceableError("the step closes over an array in the memory of its state, which a plan writes")
        now = _values(array)
        for i in reversed(range(len(self.arrays))):
            if self.arrays[i] is array and self._values_read[i] == now:
                return i
        self.arrays.append(array)
        self._values_read.append(now)
        return len(self.arrays) - 1

    def values(self) -> list[bytes | int]:
        """What tells whether the numbers in the arrays are others."""
        return [_values(a) for a in self.arrays]

    def freeze(self) -> None:
        """Called when the step has run. Raises UntraceableError where it has written into an array that others hold."""
        written = self._written()
        owners = [ref(_owner(a)) for a in self.arrays if id(_owner(a)) in written]
        kept = [
            a if id(_owner(a)) not in written else _as_read(a, r)
            for a, r in zip(self.arrays, self._values_read, strict=True)
        ]
        self._values_read.clear()
        self.arrays = [a for a in kept if a is not None]
        lost = len(self.arrays) < len(kept)
        del kept
        if lost or any(owner() is not None for owner in owners):
            raise UntraceableError(
                "the step writes into an array of NumPy's after it has read it, which a plan does not repeat: "
                "make a new array, or let it be part of the state"
            )

    def _written(self) -> set[int]:
        """What owns the memory that the step has written after it had read it."""
        latest = {id(array): i for i, array in enumerate(self.arrays)}
        read = enumerate(zip(self.arrays, self._values_read, strict=True))
        return {id(_owner(a)) for i, (a, numbers) in read if latest[id(a)] != i or _values(a) != numbers}


def _values(array: np.ndarray) -> bytes | int:
    """What tells whether an array's numbers are others; a file's are not read for it."""
    if isinstance(array, np.memmap):
        return 0
    return array.tobytes() if array.nbytes < LARGE else crc32(np.ascontiguousarray(array).data.cast("B"))


def _as_read(array: np.ndarray, numbers: bytes | int) -> np.ndarray | None:
    """An array with the numbers that were read in it; None where they are gone."""
    if isinstance(numbers, int):
        return None
    return np.frombuffer(numbers, array.dtype).reshape(array.shape).copy()


def _owner(array: np.ndarray) -> np.ndarray:
    """The array whose memory it is, as far as NumPy knows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
