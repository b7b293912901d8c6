"""A GPU through CuPy: memory of its pool, kernels compiled by nvrtc, graphs of its streams, products by cublasLt.

All work is queued on CuPy's current stream, so it stays in order with the user's work there. Tested on an
emulated GPU, not on a real one yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from dlarray.planner.cuda.gpu import Product
from dlarray.planner.cuda.launch import Grid
from dlarray.planner.cuda.layout import extent
from dlarray_cupy.cublaslt import CublasLt

__all__ = ["CupyGpu"]

WORKSPACE = 32 << 20
"""Bytes for cublasLt: what NVIDIA recommends for the newest GPUs."""
FROM_HOST, ON_DEVICE = 1, 3
"""Kinds of copies in CUDA: cudaMemcpyHostToDevice, cudaMemcpyDeviceToDevice."""
ROUNDS, ROUND_SECONDS = 7, 1e-3
"""A timing has so many rounds, each of this many seconds."""


class _Memory:
    """Memory of CuPy's pool, returned to it with this object."""

    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer
        self.address = int(pointer.ptr)


def _launch(graph: Any, memory: Any) -> None:
    """Queue a graph. ``memory`` is the pool of what its work has allocated, which lives as long as the graph."""
    graph.launch()


class CupyGpu:
    """The GPU with this number, with the interface ``Gpu``.

    ``no_products`` says why cublasLt cannot be used, "" if it can. Without it products are CuPy's and no step is a
    graph.
    """

    def __init__(self, number: int) -> None:
        import cupy

        self._cupy = cupy
        self.number = number
        self.arrays: tuple[type, ...] = (cupy.ndarray,)
        self.processors = int(cupy.cuda.Device(number).attributes["MultiProcessorCount"])
        self._tf32 = os.environ.get("CUPY_TF32", "0") == "1"  # the variable that CuPy's own products follow
        self.coarseness = 2**13 if self._tf32 else 1
        self.no_products = ""
        self._library: CublasLt | None = None
        try:
            self._library = self._cublaslt()
        except ImportError as error:
            self.no_products = f'{error}; pip install "dlarray[cuda13]", or cuda12 by the driver\'s version, brings it'
        except RuntimeError as error:  # nvmath does not find NVIDIA's library, or the library fails
            self.no_products = f"{type(error).__name__}: {error}"

    def _cublaslt(self) -> CublasLt:
        from nvmath.bindings import cublas, cublasLt

        self._scratch = self.reserve(WORKSPACE)
        return CublasLt(
            cublasLt,
            cublas.ComputeType,
            (self._scratch.address, WORKSPACE),
            self._stream,
            self._tf32,
        )

    def _stream(self) -> int:
        """The current stream."""
        return int(self._cupy.cuda.get_current_stream().ptr)

    def reserve(self, nbytes: int) -> _Memory:
        pointer = self._cupy.cuda.alloc(nbytes)  # CuPy's OutOfMemoryError is a MemoryError
        pointer.memset_async(0, nbytes)
        return _Memory(pointer)

    def write(self, address: int, values: np.ndarray) -> None:
        values = np.ascontiguousarray(values)
        runtime, stream = self._cupy.cuda.runtime, self._cupy.cuda.get_current_stream()
        runtime.memcpyAsync(address, values.ctypes.data, values.nbytes, FROM_HOST, stream.ptr)
        stream.synchronize()  # until then the host's array must not change or go

    def copy(self, target: int, source: int, nbytes: int) -> None:
        self._cupy.cuda.runtime.memcpyAsync(target, source, nbytes, ON_DEVICE, self._stream())

    def compile(self, text: str, names: Sequence[str]) -> list[Any]:
        module = self._cupy.RawModule(code=text, options=("--std=c++14", "--fmad=false"))
        return [module.get_function(name).kernel for name in names]

    def launch(self, function: Any, grid: Grid, head: np.ndarray) -> None:
        by_value = head.view(np.dtype((np.void, head.nbytes)))
        function((grid.blocks,), (grid.threads,), (by_value,))

    def call(self, function: Callable[..., None], *args: Any) -> None:
        function(*args)

    def algorithms(self, product: Product, most: int) -> list[Callable[[], None]]:
        return [] if self._library is None else self._library.algorithms(product, most)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        cuda = self._cupy.cuda
        stream, memory = cuda.Stream(non_blocking=True), cuda.MemoryPool()
        with stream, cuda.using_allocator(memory.malloc):
            stream.begin_capture()
            try:
                work()
            except BaseException:
                with suppress(Exception):  # the error that broke the capture says more
                    stream.end_capture()
                raise
            graph = stream.end_capture()
        return partial(_launch, graph, memory)

    def seconds(self, work: Callable[[], None]) -> float:
        """The median over rounds of the time between two events, around the repeats that take a millisecond."""
        once = self._elapsed(work, 1)
        repeats = min(max(1, round(ROUND_SECONDS / max(once, 1e-6))), 200)
        return median(self._elapsed(work, repeats) / repeats for _ in range(ROUNDS))

    def _elapsed(self, work: Callable[[], None], repeats: int) -> float:
        cuda = self._cupy.cuda
        start, stop = cuda.Event(), cuda.Event()
        start.record()
        for _ in range(repeats):
            work()
        stop.record()
        stop.synchronize()
        return cuda.get_elapsed_time(start, stop) / 1e3

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        return self._cupy.empty(shape, dtype)

    def view(self, address: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        below, nbytes = extent(shape, strides, dtype.itemsize)
        memory = self._cupy.cuda.UnownedMemory(address - below, nbytes, self, self.number)
        return self._cupy.ndarray(shape, dtype, self._cupy.cuda.MemoryPointer(memory, below), strides)

    def address_of(self, array: Any) -> int:
        return int(array.data.ptr)

    def in_rows(self, array: Any) -> Any:
        if array.device.id != self.number or not array.flags.c_contiguous:
            return self._cupy.array(array, order="C")
        if array.data.ptr % array.itemsize == 0:
            return array
        found = self.empty(array.shape, array.dtype)  # a view of bytes as another type: no kernel can read it
        self.copy(found.data.ptr, array.data.ptr, array.nbytes)
        return found

    def to_host(self, array: Any) -> np.ndarray:
        return array.get()
