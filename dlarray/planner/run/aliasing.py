"""Which arrays share memory with a state that is written in place.

This is checked at every step, for each array of a batch. NumPy's ``may_share_memory`` takes a quarter of a microsecond
for each pair; comparing a view's ``base`` takes a tenth of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_byte
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

__all__ = ["ArrayMemory", "why_unbindable"]


class ArrayMemory:
    """The memory of some arrays."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self._arrays = [a for a in arrays if a.size]
        owners = [a if a.base is None else a.base for a in self._arrays]
        self.owners = {id(a) for a in owners}
        """The ids of the arrays that own it: one of them is the base of a view made by NumPy."""
        self.all_numpy = all(type(a) is np.ndarray and a.base is None for a in owners)
        """Whether NumPy arrays own all of it; of other owners several objects can share memory."""
        self._whole = _hull(self._arrays)

    def shares(self, x: np.ndarray) -> bool:
        """Whether an array can share it."""
        if self._whole is None or not np.may_share_memory(x, self._whole):
            return False
        return any(np.may_share_memory(x, a) for a in self._arrays)


def why_unbindable(state: Sequence[Any], batch: Sequence[Any], captured: Sequence[np.ndarray]) -> str:
    """Why neither a state nor copies of its arrays can be written in place; "" if they can.

    Arrays of the state must not share memory with each other, with the batch, or with arrays that the step captures.
    """
    arrays: list[np.ndarray] = [a for a in state if isinstance(a, np.ndarray)]
    if not all(a.flags.writeable for a in arrays):
        return "an array of the state is read-only"
    spans = sorted(byte_bounds(a) for a in arrays if a.size)
    if any(stop > start for (_, stop), (start, _) in pairwise(spans)):
        return "two arrays of the state share memory"
    memory = ArrayMemory(arrays)
    others: list[np.ndarray] = [a for a in batch if isinstance(a, np.ndarray)]
    if any(map(memory.shares, others)):
        return "an array of the batch shares memory with the state"
    if any(map(memory.shares, captured)):
        return "the step captures an array that shares memory with the state"
    return ""


def _hull(arrays: Sequence[np.ndarray]) -> np.ndarray | None:
    """All bytes from the first array's start to the last one's end, as an array whose values are never read."""
    if not arrays:
        return None
    starts, stops = zip(*map(byte_bounds, arrays), strict=True)
    return np.frombuffer((c_byte * (max(stops) - min(starts))).from_address(min(starts)), np.byte)
