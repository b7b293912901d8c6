"""Calls of kernels, run on a GPU on arrays between fences, or each before memory that cannot be accessed."""

from __future__ import annotations

import ctypes
import mmap
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from dlarray_cupy.gpu import CupyGpu

from dlarray.planner.cuda.launch import head
from dlarray.planner.cuda.layout import extent
from dlarray.planner.cuda.prelude import PRELUDE
from dlarray.planner.cuda.printer import source
from dlarray.planner.cuda.spread import COUNT, grids, workspace
from dlarray.planner.kernel.head import ArrayAt
from dlarray.planner.kernel.loops import Call, Kernel

__all__ = ["bundle", "prepare", "run_at_edges", "run_on_gpu"]

FENCE = 256
"""The bytes before and after each array that must not change. As numbers they are NaN, so reading them shows too."""

_compiled: dict[str, list[Any]] = {}
"""The kernels of each text that was compiled."""


def bundle(wanted: Sequence[Kernel]) -> str:
    """The texts of many kernels in one, with ``_0``, ``_1`` and so on after the names of their parts."""
    parts = [
        re.sub(r"\bHead\b", f"Head_{i}", re.sub(r"KERNEL (\w+)\(", rf"KERNEL \1_{i}(", text.removeprefix(PRELUDE)))
        for i, text in enumerate(map(source, wanted))
    ]
    return PRELUDE + "\n".join(parts)


def prepare(kernels: Iterable[Kernel], gpu: CupyGpu, size: int = 64) -> None:
    """Compile the texts of many kernels together, which takes a fraction of the time."""
    wanted = list({source(kernel): kernel for kernel in kernels if source(kernel) not in _compiled}.values())
    for part in (wanted[i : i + size] for i in range(0, len(wanted), size)):
        names = [[grid.name for grid in grids(kernel, 1, 1, 1)] for kernel in part]
        made = iter(gpu.compile(bundle(part), [f"{name}_{i}" for i, each in enumerate(names) for name in each]))
        for kernel, each in zip(part, names, strict=True):
            _compiled[source(kernel)] = [next(made) for _ in each]


def run_on_gpu(call: Call, gpu: CupyGpu, processors: int = 3, offset: int = 0) -> None:
    """Run the kernels of a call as on a GPU of few multiprocessors.

    They work on copies of the arrays that start ``offset`` items after a multiple of 256 bytes, between fences.
    """
    import cupy

    places: dict[Any, _Place] = {}
    size = 0
    for array in (space := _workspace(call, processors), *call.inputs, *call.outputs):
        if _lies(array) not in places:
            found = places[_lies(array)] = _Place(array)
            found.start = -(-(size + FENCE) // 256) * 256 + (array is not space) * offset * array.itemsize
            size = found.start + found.nbytes + FENCE
    image = np.full(size, 0xFF, np.uint8)
    for place in places.values():
        place.within(image)[...] = place.array
    memory = cupy.asarray(image)
    _launch(call, gpu, processors, gpu.address_of(memory), places, space)
    image[:] = gpu.to_host(memory)
    _collect(call, places, space, image)
    for place in places.values():
        image[place.start : place.start + place.nbytes] = 0xFF
    assert (image == 0xFF).all(), f"something is written beside an array:\n{source(call.kernel)}"


def run_at_edges(call: Call, gpu: CupyGpu) -> None:
    """The same with arrays of which each ends before memory that cannot be accessed.

    The emulated GPU alone can do it: its kernels read the host's memory too.
    """
    from cupy.cuda import get_current_stream

    arrays = [space := _workspace(call, 3), *call.inputs, *call.outputs]
    places = {_lies(array): _Place(array) for array in arrays}
    slots = [-(-place.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE + mmap.PAGESIZE for place in places.values()]
    image = np.frombuffer(mmap.mmap(-1, sum(slots)), np.uint8)
    base = int(image.ctypes.data)
    for place, end in zip(places.values(), np.cumsum(slots) - mmap.PAGESIZE, strict=True):
        place.start = int(end) - (-(-place.nbytes // 256) * 256 if place.array is space else place.nbytes)
        place.within(image)[...] = place.array
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(base + int(end)), mmap.PAGESIZE, 0) == 0
    _launch(call, gpu, 3, base, places, space)
    get_current_stream().synchronize()  # an access beyond raises
    _collect(call, places, space, image)


def _workspace(call: Call, processors: int) -> np.ndarray:
    """The workspace of a call, as the kernels find it: the count is 0, and the rest is what others have left."""
    space = np.full(workspace(call.kernel, call.rows, call.cols, processors), 0xFF, np.uint8)
    space[:COUNT] = 0
    return space


def _launch(call: Call, gpu: CupyGpu, processors: int, base: int, places: dict[Any, _Place], space: np.ndarray) -> None:
    """Queue the kernels of a call on arrays in the memory at an address."""
    kernel, rows, cols = call.kernel, call.rows, call.cols
    prepare([kernel], gpu)
    arrays = [places[_lies(array)].at(base) for array in (*call.inputs, *call.outputs)]
    work = grids(kernel, rows, cols, processors)
    words = head(kernel, rows, cols, call.constants, arrays, base + places[_lies(space)].start, work[0].warps)
    for function, grid in zip(_compiled[source(kernel)], work, strict=True):
        gpu.launch(function, grid, words)


def _collect(call: Call, places: dict[Any, _Place], space: np.ndarray, image: np.ndarray) -> None:
    """Copy the outputs from a memory to the arrays of the call."""
    counted = places[_lies(space)].within(image)[:COUNT].any()
    assert not counted, f"the next kernel finds a count:\n{source(call.kernel)}"
    for array in call.outputs:
        array[...] = places[_lies(array)].within(image)


def _lies(array: np.ndarray) -> Any:
    """A key that is equal for two arrays on the same memory with the same layout."""
    return array.ctypes.data, array.shape, tuple(s for n, s in zip(array.shape, array.strides, strict=True) if n > 1)


class _Place:
    """Where an array lies in a memory, with its strides: ``nbytes`` from ``start`` on."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.start = 0
        self._below, self.nbytes = extent(array.shape, array.strides, array.itemsize)

    def within(self, memory: np.ndarray) -> np.ndarray:
        """The array in this memory."""
        first = self.start + self._below
        return np.ndarray(self.array.shape, self.array.dtype, memory.data, first, self.array.strides)

    def at(self, base: int) -> ArrayAt:
        """The array as a kernel gets it, if the memory is at this address."""
        row, column = (stride // self.array.itemsize for stride in self.array.strides)
        return ArrayAt(base + self.start + self._below, (row, column))
