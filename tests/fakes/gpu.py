"""A fake GPU: the interface ``Gpu`` on the host. Kernels are the CUDA text compiled as C++."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from dlarray_cupy.cublaslt import CublasLt

from dlarray.core.trees import map_arrays
from dlarray.planner.cuda.gpu import ALIGNMENT, Product
from dlarray.planner.cuda.launch import Grid
from dlarray.planner.cuda.layout import extent
from tests.fakes.cublaslt import ComputeType, FakeLt
from tests.support import cuda


class FakeMemory:
    def __init__(self, nbytes: int) -> None:
        self.whole = np.zeros(nbytes + ALIGNMENT, np.uint8)
        self.address = self.whole.ctypes.data + -self.whole.ctypes.data % ALIGNMENT


class FakeArray(np.ndarray):
    """The type of the fake GPU's arrays, which no other library has."""


class FakeGpu:
    """``cost`` gives the seconds of queued work, from a list of what it is; ``capacity`` is the memory in bytes."""

    processors = 3
    no_products = ""
    coarseness = 1
    arrays = (FakeArray,)

    def __init__(self, folder: Path, cost: Callable[[list[Any]], float] = len, capacity: int = 2**40) -> None:
        self.folder = folder
        self.cost = cost
        self.capacity = capacity
        self.lt = FakeLt()
        self._scratch = FakeMemory(4096)
        self._library = CublasLt(self.lt, ComputeType, (self._scratch.address, 4096), lambda: 0)
        self.queued: list[Any] = []
        """All work so far, by kind."""
        self.recording: list[tuple[Callable[..., None], tuple[Any, ...]]] | None = None
        self.records = 0
        self.refuses_to_record = ""

    def _queue(self, what: Any, function: Callable[..., None], *args: Any) -> None:
        self.queued.append(what)
        if self.recording is not None:
            self.recording.append((function, args))
        else:
            function(*args)

    def reserve(self, nbytes: int) -> FakeMemory:
        if nbytes > self.capacity:
            raise MemoryError(f"{nbytes} bytes are requested, there are {self.capacity}")
        return FakeMemory(nbytes)

    def write(self, address: int, values: np.ndarray) -> None:
        assert self.recording is None, "a copy from the host while recording"
        values = np.ascontiguousarray(values)
        ctypes.memmove(address, values.ctypes.data, values.nbytes)

    def copy(self, target: int, source: int, nbytes: int) -> None:
        self._queue("copy", ctypes.memmove, target, source, nbytes)

    def compile(self, text: str, names: Sequence[str]) -> list[Any]:
        code = cuda.library(text, tuple(names), self.folder)
        return [getattr(code, f"launch_{name}") for name in names]

    def launch(self, function: Any, grid: Grid, head: np.ndarray) -> None:
        def run() -> None:
            why = "lanes of a warp exchange numbers unequally often"
            assert not function(ctypes.c_void_p(head.ctypes.data), ctypes.c_longlong(grid.warps)), why

        self._queue(grid.name, run)

    def algorithms(self, product: Product, most: int) -> list[Callable[[], None]]:
        found = self._library.algorithms(product, most)
        return [_Queued(self, product, i, run) for i, run in enumerate(found)]

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        if self.refuses_to_record:
            raise RuntimeError(self.refuses_to_record)
        self.recording = []
        try:
            work()
        finally:
            recorded, self.recording = self.recording, None
        self.records += 1

        def launch() -> None:
            self.queued.append("graph")
            for function, args in recorded:
                function(*args)

        return launch

    def seconds(self, work: Callable[[], None]) -> float:
        before = len(self.queued)
        work()
        done = self.queued[before:]
        del self.queued[before:]
        return float(self.cost(done))

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> FakeArray:
        assert self.recording is None, "memory is allocated while recording"
        return np.full(shape, 77, dtype).view(FakeArray)

    def view(self, address: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        below, nbytes = extent(shape, strides, dtype.itemsize)
        buffer = (ctypes.c_char * nbytes).from_address(address - below)
        return np.ndarray(shape, dtype, buffer, below, strides).view(FakeArray)

    def address_of(self, array: np.ndarray) -> int:
        return array.ctypes.data

    def in_rows(self, array: np.ndarray) -> np.ndarray:
        return array if array.flags.c_contiguous and array.flags.aligned else array.copy(order="C")

    def to_host(self, array: np.ndarray) -> np.ndarray:
        return np.array(array).view(np.ndarray)


class _Queued:
    def __init__(self, gpu: FakeGpu, product: Product, i: int, run: Callable[[], None]) -> None:
        self._gpu, self._what, self._run = gpu, (product.epilogue, i), run

    def __call__(self) -> None:
        self._gpu._queue(("product", *self._what), self._run)


def to_fake(tree: Any) -> Any:
    """The tree with copies of its arrays as arrays of the GPU."""
    return map_arrays(tree, lambda x: np.array(x).view(FakeArray))
