"""The layout of arrays in the GPU's memory: their bytes, and whether they overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from dlarray.planner.cuda.gpu import Gpu

__all__ = ["GpuArrays", "extent"]


def extent(shape: Sequence[int], strides: Sequence[int], itemsize: int) -> tuple[int, int]:
    """The bytes of an array before its first number (where strides are negative), and all of its bytes."""
    if 0 in shape:
        return 0, 0
    reaches = [(n - 1) * stride for n, stride in zip(shape, strides, strict=True)]
    below = -sum(min(reach, 0) for reach in reaches)
    return below, below + sum(max(reach, 0) for reach in reaches) + itemsize


class GpuArrays:
    """The arrays of a GPU's library: a ``Library`` for ``write_back``."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self.arrays = gpu.arrays

    def address_of(self, array: Any) -> int:
        """The address of an array's first number."""
        return self.gpu.address_of(array)

    def shared_with(self, arrays: Sequence[Any]) -> Callable[[Any], bool]:
        """A function that says whether an array may lie in the memory of these."""
        spans = self._spans(arrays)

        def shares(array: Any) -> bool:
            return any(start < end and begin < stop for begin, end in self._spans([array]) for start, stop in spans)

        return shares

    def are_bindable(self, state: Sequence[Any], batch: Sequence[Any]) -> bool:
        """Whether kernels can write a state in place: its arrays are contiguous, and share memory with no other."""
        if any(self.gpu.in_rows(a) is not a for a in state):
            return False
        if any(stop > start for (_, stop), (start, _) in pairwise(sorted(self._spans(state)))):
            return False
        return not any(map(self.shared_with(state), batch))

    def _spans(self, arrays: Sequence[Any]) -> list[tuple[int, int]]:
        """The addresses of the first byte of each array and of the first byte after it, without empty arrays."""
        found: list[tuple[int, int]] = []
        for a in arrays:
            below, nbytes = extent(a.shape, a.strides, a.itemsize)
            start = self.gpu.address_of(a) - below
            if nbytes:
                found.append((start, start + nbytes))
        return found
