"""What a printed kernel is given, and the grids that it runs with.

All kernels of a call take one argument, by value, for that lies where every thread reads it without waiting:

    struct Head:  rows, columns, the address of a workspace (whose first word is 0), the warps of the first grid,
    each constant (a double or an integer), and of each array, inputs first: its address, and, where it is not dense,
    its strides along rows and columns, which count items. Each takes a word of 8 bytes. Arrays are pointers there, so
    that the compiler knows that they lie in global memory.

The text of a kernel depends on nothing in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlarray.planner.kernel.loops import Kernel

__all__ = ["MOST_WORDS", "Grid", "Placed", "constant_place", "head", "places", "words"]

MOST_WORDS = 4096 // 8
"""What every GPU takes as arguments, in words of 8 bytes."""

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
class Placed:
    """Where an array of a kernel lies on the GPU: its address, and its strides along rows and columns in items."""

    address: int
    strides: tuple[int, int] = (0, 0)


def constant_place(n: int) -> int:
    """Where in the head constant n stands."""
    return _FIXED + n


def places(kernel: Kernel) -> list[int]:
    """Where in the head each array's address stands: inputs, then outputs."""
    found: list[int] = []
    place = _FIXED + len(kernel.constants)
    for k in range(len(kernel.inputs) + len(kernel.outputs)):
        found.append(place)
        place += 1 if k >= len(kernel.inputs) or kernel.inputs[k].dense else 3
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
    arrays: Sequence[Placed],
    workspace: int,
    warps: int,
) -> np.ndarray:
    """The argument, as int64. Raises ValueError where it is longer than what every GPU takes."""
    if words(kernel) > MOST_WORDS:
        raise ValueError(f"a kernel of {len(arrays)} arrays has more arguments than a CUDA kernel takes")
    made = np.zeros(words(kernel), np.int64)
    made[:_FIXED] = rows, cols, workspace, warps
    for n, (value, dtype) in enumerate(zip(constants, kernel.constants, strict=True)):
        place = slice(constant_place(n), constant_place(n) + 1)
        if dtype.startswith("float"):
            made[place].view(np.float64)[0] = value
        else:
            made[place] = np.asarray(int(value) % 2**64, np.uint64).view(np.int64)
    for k, (place, array) in enumerate(zip(places(kernel), arrays, strict=True)):
        made[place] = array.address
        if k < len(kernel.inputs) and not kernel.inputs[k].dense:
            made[place + 1 : place + 3] = array.strides
    return made
