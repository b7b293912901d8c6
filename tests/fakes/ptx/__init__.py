"""The PTX that nvrtc makes from the planner's CUDA C, executed on the host: single kernels, and a fake GPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dlarray.planner.cuda.launch import Grid, head
from dlarray.planner.cuda.printer import source
from dlarray.planner.cuda.spread import grids, workspace
from dlarray.planner.kernel.loops import Call
from tests.fakes.gpu import FakeArray, FakeGpu, FakeMemory
from tests.fakes.ptx.memory import Memory
from tests.fakes.ptx.program import Program
from tests.support import cuda

__all__ = ["PtxGpu", "allow", "launch", "program", "run"]

ARCHITECTURE = "sm_80"


@cache
def program(text: str) -> Program:
    """CUDA C through nvrtc, ready to be launched."""
    return Program(cuda.compile_for(text, ARCHITECTURE).decode())


def allow(memory: Memory, array: np.ndarray, writable: bool = True) -> None:
    low, high = np.lib.array_utils.byte_bounds(array)
    memory.allow(low, high - low, writable=writable, owner=array)


def launch(code: Program, memory: Memory, grid: Grid, words: np.ndarray) -> None:
    """Launch a kernel whose threads do not race. Raises AssertionError where they do."""
    done = code.launch(memory, grid.name, grid.blocks, grid.threads, words.tobytes())
    races = memory.races(done.published)
    memory.accesses.clear()
    assert not races, f"{grid.name}: {races[0]}"


def run(call: Call, processors: int = 3, offset: int = 0) -> None:
    """Run the kernels of a call on a GPU of few multiprocessors.

    They work on copies that start ``offset`` items after a multiple of 64 bytes. An access to other memory than these
    and the workspace is an error, and so is a write to an input that is no output.
    """
    kernel, rows, cols = call.kernel, call.rows, call.cols
    memory = Memory(watch=True)
    code = program(source(kernel))
    space = memory.allocate(workspace(kernel, rows, cols, processors), "global")
    space[:64] = 0  # the count of blocks
    copies = {_key(array): _copied(array, offset) for array in (*call.inputs, *call.outputs)}
    for array in call.inputs:
        allow(memory, copies[_key(array)], writable=False)
    for array in call.outputs:
        allow(memory, copies[_key(array)])
    work = grids(kernel, rows, cols, processors)
    arrays = [cuda.on_gpu(copies[_key(array)]) for array in (*call.inputs, *call.outputs)]
    words = head(kernel, rows, cols, call.constants, arrays, space.ctypes.data, work[0].warps)
    for grid in work:
        launch(code, memory, grid, words)
    for array in call.outputs:
        array[...] = copies[_key(array)]


def _copied(array: np.ndarray, offset: int) -> np.ndarray:
    """The same numbers with the same strides."""
    low, high = np.lib.array_utils.byte_bounds(array)
    memory = np.empty(high - low + 64 + offset * array.itemsize, np.uint8)
    start = -memory.ctypes.data % 64 + offset * array.itemsize
    made = np.ndarray(array.shape, array.dtype, memory.data, start + array.ctypes.data - low, array.strides)
    made[...] = array
    return made


def _key(array: np.ndarray) -> Any:
    return array.ctypes.data, array.shape, tuple(s for n, s in zip(array.shape, array.strides, strict=True) if n > 1)


class PtxGpu(FakeGpu):
    """A fake GPU that executes nvrtc's PTX. Kernels can access what it has reserved or taken the address of."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.memory = Memory(watch=True)

    def reserve(self, nbytes: int) -> FakeMemory:
        made = super().reserve(nbytes)
        self.memory.allow(made.address, nbytes, owner=made)
        return made

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> FakeArray:
        made = super().empty(shape, dtype)
        allow(self.memory, made)
        return made

    def address_of(self, array: np.ndarray) -> int:
        allow(self.memory, array)
        return super().address_of(array)

    def compile(self, text: str, names: Sequence[str]) -> list[Any]:
        return [program(text)] * len(names)

    def launch(self, function: Any, grid: Grid, head: np.ndarray) -> None:
        self._queue(grid.name, launch, function, self.memory, grid, head)
