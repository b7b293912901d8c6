"""What nvrtc makes of the planner's CUDA C, executed on the host: kernels, and a card whose kernels run so."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from dlarray.planner.cuda.launch import Grid, head
from dlarray.planner.cuda.printer import grids, source, workspace
from dlarray.planner.loops import Call
from tests import cuda
from tests.paper_card import PaperCard
from tests.ptx_machine import Program
from tests.ptx_memory import Memory

__all__ = ["PtxCard", "program", "run"]

ARCHITECTURE = "sm_80"


@cache
def program(text: str) -> Program:
    """CUDA C through nvrtc, ready to be launched."""
    return Program(cuda.compile_for(text, ARCHITECTURE).decode())


def allow(memory: Memory, array: np.ndarray, writable: bool = True) -> None:
    low, high = np.lib.array_utils.byte_bounds(array)
    memory.allow(low, high - low, writable=writable, owner=array)


def run(call: Call, processors: int = 3) -> None:
    """Run the kernels of a call on a card of few multiprocessors; they touch nothing but the call's arrays."""
    kernel, rows, cols = call.kernel, call.rows, call.cols
    memory = Memory(watch=True)
    code = program(source(kernel))
    space = np.full(workspace(kernel, rows, cols, processors) // 8 + 1, np.nan)
    for array in call.inputs:
        allow(memory, array, writable=False)
    for array in (space, *call.outputs):
        allow(memory, array)
    work = grids(kernel, rows, cols, processors)
    arrays = [cuda.placed(a) for a in (*call.inputs, *call.outputs)]
    words = head(kernel, rows, cols, call.constants, arrays, space.ctypes.data, work[0].warps)
    for grid in work:
        code.launch(memory, grid.name, grid.blocks, grid.threads, words.tobytes())
        assert not (found := memory.races(grid.threads)), f"{grid.name}: {found[0]}"
        memory.accesses.clear()


class PtxCard(PaperCard):
    """A card of paper whose kernels are those of nvrtc."""

    def compile(self, text: str, names: Sequence[str]) -> list[Any]:
        return [(program(text), name) for name in names]
