"""The table of a step: addresses and sizes, which its code reads. Other arrays need another table, never other code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from dlarray.planner.kernel.buffer import aligned

__all__ = ["Table"]

_T = TypeVar("_T")


class Table:
    """Words of int64 by index, and the objects whose memory they point to."""

    def __init__(self) -> None:
        self._words: list[int] = []
        self._kept: list[Any] = []
        self._addresses: list[int] = []  # the indices of the words that are addresses of arrays
        self.words = np.zeros(0, np.int64)
        """The table's memory, once it is ``finished``."""

    def add(self, *words: int) -> int:
        """Append words. Returns the index of the first."""
        self._words += words
        return len(self._words) - len(words)

    def add_array(self, array: np.ndarray) -> int:
        """Append the address of an array. Returns its index."""
        return self.add_head([self.keep(array).ctypes.data], [0])

    def add_head(self, words: Sequence[int], addresses: Iterable[int]) -> int:
        """Append words, some of which, by their number, are addresses of arrays. Returns the index of the first."""
        first = self.add(*words)
        self._addresses += [first + n for n in addresses]
        return first

    def keep(self, x: _T) -> _T:
        """Keep an array, whose memory is used, or another object alive as long as the table."""
        self._kept.append(x)
        return x

    def new(self, shape: int | Sequence[int], dtype: Any = np.int64) -> np.ndarray:
        """New memory that starts on 64 bytes and is zero."""
        return self.keep(aligned(int(np.prod(shape)) * np.dtype(dtype).itemsize)).view(dtype).reshape(shape)

    def finish(self) -> None:
        """The memory that code reads: no word can be added from now on."""
        self.words = np.array(self._words, np.int64)

    def mover(self, array: np.ndarray) -> Callable[[np.ndarray], None]:
        """A function that gives code the memory of another array instead of this one, of the same size."""
        words, (low, high) = self.words, np.lib.array_utils.byte_bounds(array)
        moved = [word for word in self._addresses if low <= words[word] < high]
        offsets = words[moved] - low

        def move(to: np.ndarray) -> None:
            words[moved] = offsets + to.ctypes.data

        return move
