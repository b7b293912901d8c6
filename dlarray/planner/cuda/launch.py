"""The argument of a printed kernel on a GPU, and the grids that it runs with.

All kernels of a call take one argument, by value: constant memory is the fastest to read for every thread. It is the
head of ``kernel.head``, whose first four words are

    rows, columns, the address of a workspace (whose first word is 0), the warps of the first grid

Arrays are pointers in the struct, which tells the compiler that they are in global memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlarray.planner.kernel import head as kernel_head
from dlarray.planner.kernel.head import ArrayAt, words
from dlarray.planner.kernel.loops import Kernel

__all__ = ["MOST_WORDS", "Grid", "head"]

MOST_WORDS = 4096 // 8
"""The most that every GPU takes as arguments, in words of 8 bytes."""


@dataclass(frozen=True)
class Grid:
    """A kernel to launch: its name, blocks, and threads a block (whole warps)."""

    name: str
    blocks: int
    threads: int

    @property
    def warps(self) -> int:
        """All warps of the grid."""
        return self.blocks * self.threads // 32


def head(
    kernel: Kernel,
    rows: int,
    cols: int,
    constants: Sequence[bool | int | float],
    arrays: Sequence[ArrayAt],
    workspace: int,
    warps: int,
) -> np.ndarray:
    """The argument, as int64. Raises ValueError if it is longer than every GPU takes."""
    if words(kernel) > MOST_WORDS:
        raise ValueError(f"a kernel of {len(arrays)} arrays has more arguments than a CUDA kernel takes")
    return kernel_head.head(kernel, (rows, cols, workspace, warps), constants, arrays)
