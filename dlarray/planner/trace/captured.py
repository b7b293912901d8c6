"""Arrays that a step reads while it is traced: those of its closure, and those that it makes itself.

A plan reads these arrays in place, so a write into a closure's array between two steps has an effect, as without a
plan. A write during the step is different: NumPy writes when the step is traced, and never again. If no reference to
the array remains after tracing, the step made it itself and it has the same numbers in every step: the plan keeps the
numbers that were read. Any other written array is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol
from weakref import ref
from zlib import crc32

import numpy as np

from dlarray.planner.trace.node import UntraceableError

__all__ = ["Captured", "Library", "is_ndarray"]

LARGE = 2**24
"""Of an array of at least so many bytes a checksum is kept, not a copy."""


def is_ndarray(kind: Any) -> bool:
    """Whether a type is NumPy's array, not a subclass that computes differently, such as a masked array or a matrix."""
    return kind in (np.ndarray, np.memmap)


class Library(Protocol):
    """The arrays of a GPU."""

    @property
    def arrays(self) -> tuple[type, ...]:
        """The types of its arrays."""
        ...

    def in_rows(self, array: Any) -> Any:
        """The array itself if kernels can read it where it lies; else a copy."""
        ...

    def to_host(self, array: Any) -> np.ndarray:
        """A copy of the array on the host."""
        ...


class Captured:
    """The arrays in a list: an array has several entries if its numbers changed between reads."""

    def __init__(self, state: Iterable[Any], library: Library | None = None) -> None:
        self.arrays: list[Any] = []
        self._library = library
        self.kinds: tuple[type, ...] = () if library is None else library.arrays
        """The types of a GPU's arrays that the step can close over."""
        self._values_read: list[bytes | int] = []
        self._state: list[Any] = [a for a in state if isinstance(a, np.ndarray)]

    def values_of(self, array: Any) -> np.ndarray:
        """The present values, on the host."""
        return array if self._library is None or not isinstance(array, self.kinds) else self._library.to_host(array)

    def index(self, array: Any) -> int:
        """The index of an array with its present values. Raises UntraceableError if a plan cannot read it."""
        if self._library is not None and isinstance(array, self.kinds):
            if self._library.in_rows(array) is not array:
                raise UntraceableError(
                    "the step closes over an array that is not contiguous, or on another GPU: copy it beforehand"
                )
        elif not is_ndarray(type(array)) or array.dtype.hasobject:
            raise UntraceableError(
                f"the step reads a {type(array).__name__} of type {array.dtype}: a plan reads NumPy arrays of numbers"
            )
        elif any(np.may_share_memory(array, a) for a in self._state):
            raise UntraceableError("the step closes over an array in the memory of its state, which a plan writes")
        now = self._bytes(array)
        for i in reversed(range(len(self.arrays))):
            if self.arrays[i] is array and self._values_read[i] == now:
                return i
        self.arrays.append(array)
        self._values_read.append(now)
        return len(self.arrays) - 1

    def values(self) -> list[bytes | int]:
        """The arrays' present values, to compare with later ones."""
        return [self._bytes(a) for a in self.arrays]

    def _bytes(self, array: Any) -> bytes | int:
        return _values(self.values_of(array))

    def freeze(self) -> None:
        """Keep the values that were read, after the step has run.

        Raises UntraceableError if the step has written into an array that is referenced elsewhere.
        """
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
                "the step writes into an array of its closure after it has read it, which a plan does not repeat: "
                "make a new array, or make it part of the state"
            )

    def _written(self) -> set[int]:
        """The owners, by id, of memory that the step has written after reading it."""
        latest = {id(array): i for i, array in enumerate(self.arrays)}
        read = enumerate(zip(self.arrays, self._values_read, strict=True))
        return {id(_owner(a)) for i, (a, numbers) in read if latest[id(a)] != i or self._bytes(a) != numbers}


def _values(array: np.ndarray) -> bytes | int:
    """An array's bytes, or a checksum of a large one; a file's are not read."""
    if isinstance(array, np.memmap):
        return 0
    return array.tobytes() if array.nbytes < LARGE else crc32(np.ascontiguousarray(array).data.cast("B"))


def _as_read(array: np.ndarray, numbers: bytes | int) -> np.ndarray | None:
    """An array with the values that were read; None if only their checksum is known."""
    if isinstance(numbers, int):
        return None
    return np.frombuffer(numbers, array.dtype).reshape(array.shape).copy()


def _owner(array: Any) -> Any:
    """The array that owns the memory, as far as its library knows."""
    while isinstance(array.base, (np.ndarray, type(array))):
        array = array.base
    return array
