"""The argument of a printed kernel: words of 8 bytes, laid out alike for a CPU and for a GPU.

    four words that the executor defines, such as sizes and the address of a workspace
    each constant: a float64, or an integer
    for each array, inputs first: its address, and, if it is not dense, its strides along rows and columns, in items

The text of a kernel depends on nothing in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlarray.planner.kernel.loops import Kernel

__all__ = ["FIXED", "ArrayAt", "address_indices", "constant_index", "head", "words"]

FIXED = 4
"""The words before the constants."""


@dataclass(frozen=True)
class ArrayAt:
    """An array of a kernel: its address, and its strides along rows and columns in items."""

    address: int
    strides: tuple[int, int] = (0, 0)


def constant_index(n: int) -> int:
    """The index of constant n in the head."""
    return FIXED + n


def address_indices(kernel: Kernel) -> list[int]:
    """The index of each array's address in the head: inputs, then outputs."""
    found: list[int] = []
    index = FIXED + len(kernel.constants)
    for k in range(len(kernel.inputs) + len(kernel.outputs)):
        found.append(index)
        index += 1 if k >= len(kernel.inputs) or kernel.inputs[k].dense else 3
    return found


def words(kernel: Kernel) -> int:
    """The length of the head."""
    arrays = len(kernel.outputs) + sum(1 if i.dense else 3 for i in kernel.inputs)
    return FIXED + len(kernel.constants) + arrays


def head(
    kernel: Kernel, fixed: Sequence[int], constants: Sequence[bool | int | float], arrays: Sequence[ArrayAt]
) -> np.ndarray:
    """The argument, as int64."""
    made = np.zeros(words(kernel), np.int64)
    made[:FIXED] = fixed
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
