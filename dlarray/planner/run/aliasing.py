"""What lies in whose memory: a state that is written in place, and the arrays beside it.

The question is asked at every step, of each array of a batch. NumPy's own answer costs a quarter of a microsecond for
each pair; whose memory a view looks at is known from ``base`` in a tenth of it.
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
    """The memory that some arrays lie in."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self._arrays = [a for a in arrays if a.size]
        owners = [a if a.base is None else a.base for a in self._arrays]
        self.owners = {id(a) for a in owners}
        """By identity, the arrays that own it: a view that NumPy alone has made has one of them as its base."""
        self.all_numpy = all(type(a) is np.ndarray and a.base is None for a in owners)
        """Whether it is NumPy's own; other owners may be known under several names."""
        self._whole = _hull(self._arrays)

    def shares(self, x: np.ndarray) -> bool:
        """Whether an array may lie in it."""
        if self._whole is None or not np.may_share_memory(x, self._whole):
            return False
        return any(np.may_share_memory(x, a) for a in self._arrays)


def why_unbindable(state: Sequence[Any], batch: Sequence[Any], captured: Sequence[np.ndarray]) -> str:
    """Why a state cannot be written in place; nothing where it can, or where copies of its arrays can.

    No array may lie in another's memory, neither of the state's nor of the batch nor of those that the step captures.
    """
    arrays: list[np.ndarray] = [a for a in state if isinstance(a, np.ndarray)]
    if not all(a.flags.writeable for a in arrays):
        return "an array of the state is read-only"
    spans = sorted(byte_bounds(a) for a in arrays if a.size)
    if any(stop > start for (_, stop), (start, _) in pairwise(spans)):
        return "two arrays of the state share memory"
    memory = ArrayMemory(arrays)
    given: list[np.ndarray] = [a for a in batch if isinstance(a, np.ndarray)]
    if any(map(memory.shares, given)):
        return "an array of the batch lies in the memory of the state"
    if any(map(memory.shares, captured)):
        return "the step captures an array that lies in the memory of the state"
    return ""


def _hull(arrays: Sequence[np.ndarray]) -> np.ndarray | None:
    """All bytes from the first of them to the last, as an array that is never looked at."""
    if not arrays:
        return None
    starts, stops = zip(*map(byte_bounds, arrays), strict=True)
    return np.frombuffer((c_byte * (max(stops) - min(starts))).from_address(min(starts)), np.byte)
