"""The argument of a printed kernel, and the grids that it runs with.

All kernels of a call take one argument, by value: constant memory is the fastest to read for every thread.

    struct Head:  rows, columns, the address of a workspace (whose first word is 0), the warps of the first grid,
    each constant (a double or an integer), and for each array, inputs first, its address and, if it is not dense, its
    strides along rows and columns, in items. Each takes a word of 8 bytes. Arrays are pointers in the struct, which
    tells the compiler that they are in global memory.

The text of a kernel depends on nothing in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlarray.planner.kernel.loops import Kernel

__all__ = ["MOST_WORDS", "ArrayOnGpu", "Grid", "address_indices", "constant_index", "head", "words"]

MOST_WORDS = 4096 // 8
"""The most that every GPU takes as arguments, in words of 8 bytes."""

_FIXED = 4


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


@dataclass(frozen=True)
class ArrayOnGpu:
    """An array of a kernel on the GPU: its address, and its strides along rows and columns in items."""

    address: int
    strides: tuple[int, int] = (0, 0)


def constant_index(n: int) -> int:
    """The index of constant n in the head."""
    return _FIXED + n


def address_indices(kernel: Kernel) -> list[int]:
    """The index of each array's address in the head: inputs, then outputs."""
    found: list[int] = []
    index = _FIXED + len(kernel.constants)
    for k in range(len(kernel.inputs) + len(kernel.outputs)):
        found.append(index)
        index += 1 if k >= len(kernel.inputs) or kernel.inputs[k].dense else 3
    return found


def words(kernel: Kernel) -> int:
    """The length of the head."""
    arrays = len(kernel.outputs) + sum(1 if i.dense else 3 for i in kernel.inputs)
    return _FIXED + len(kernel.constants) + arrays


def head(
    kernel: Kernel,
    rows: int,
    cols: int,
    constants: Sequence[bool | int | float],
    arrays: Sequence[ArrayOnGpu],
    workspace: int,
    warps: int,
) -> np.ndarray:
    """The argument, as int64. Raises ValueError if it is longer than every GPU takes."""
    if words(kernel) > MOST_WORDS:
        raise ValueError(f"a kernel of {len(arrays)} arrays has more arguments than a CUDA kernel takes")
    made = np.zeros(words(kernel), np.int64)
    made[:_FIXED] = rows, cols, workspace, warps
    for n, (value, dtype) in enumerate(zip(constants, kernel.constants, strict=True)):
        index = slice(constant_index(n), constant_index(n) + 1)
        if dtype.startswith("float"):
            made[index].view(np.float64)[0] = value
        else:
            made[index] = np.asarray(int(value) % 2**64, np.uint64).view(np.int64)
    for k, (index, array) in enumerate(zip(address_indices(kernel), arrays, strict=True)):
        made[index] = array.address
        if k < len(kernel.inputs) and not kernel.inputs[k].dense:
            made[index + 1 : index + 3] = array.strides
    return made
