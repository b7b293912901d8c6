"""The argument of a printed kernel at run time: the address of one block of int64.

    rows, columns, the address of the constants, the address of a workspace,
    then for each array, inputs first: its address, and, if it is not dense, its strides along rows and columns

Strides count items. Constants take 8 bytes each, floats as float64, all others as int64. The text of a kernel does not
depend on the block.
"""

from __future__ import annotations

import numpy as np

from dlarray.planner.kernel.loops import Call, Kernel

__all__ = ["Block", "header", "is_flat", "same_memory"]


def is_flat(kernel: Kernel) -> bool:
    """Whether rows do not matter to a kernel: all its values are scalars and contiguous elements."""
    kinds = {i.kind for i in kernel.inputs} | {op.kind for op in kernel.operations}
    return all(i.dense or i.kind == "S" for i in kernel.inputs) and not kinds & {"R", "C"}


def header(kernel: Kernel) -> tuple[list[int], int]:
    """The offset in the block of each array's address (inputs, then outputs), and the block's length."""
    offsets: list[int] = []
    offset = 4
    for k in range(len(kernel.inputs) + len(kernel.outputs)):
        offsets.append(offset)
        offset += 1 if k >= len(kernel.inputs) or kernel.inputs[k].dense else 3
    return offsets, offset


class Block(list[int]):
    """The argument list of a compiled kernel: only the block's address.

    It keeps the memory alive that the addresses point to.
    """

    def __init__(self, call: Call, scratch: int) -> None:
        kernel = call.kernel
        self._kernel = kernel
        self._offsets, length = header(kernel)
        constants = np.zeros(max(len(call.constants), 1), np.int64)
        for k, (value, dtype) in enumerate(zip(call.constants, kernel.constants, strict=True)):
            if dtype.startswith("float"):
                constants.view(np.float64)[k] = value
            else:
                constants[k] = np.asarray(int(value) % 2**64, np.uint64).view(np.int64)
        workspace = np.empty(scratch + 8, np.float64)
        start = workspace.ctypes.data
        self._block = np.zeros(length, np.int64)
        self._block[:4] = call.rows, call.cols, constants.ctypes.data, start + -start % 64
        self._arrays = [*call.inputs, *call.outputs]
        self._owned = (constants, workspace)
        for k, array in enumerate(self._arrays):
            self.rebind(k, array)
        super().__init__([int(self._block.ctypes.data)])

    def rebind(self, k: int, array: np.ndarray) -> None:
        """Input k is this array from now on, of the same shape, dtype and strides, and not an output's memory."""
        self._arrays[k] = array
        offset = self._offsets[k]
        self._block[offset] = array.ctypes.data
        if k < len(self._kernel.inputs) and not self._kernel.inputs[k].dense:
            self._block[offset + 1 : offset + 3] = [stride // array.itemsize for stride in array.strides]


def same_memory(call: Call) -> list[int]:
    """For each array, inputs then outputs, the first array with the same memory, if one of them is an output."""
    arrays = [*call.inputs, *call.outputs]
    first = list(range(len(arrays)))
    for o in range(len(call.inputs), len(arrays)):
        for k, array in enumerate(call.inputs):
            if not np.may_share_memory(arrays[o], array):
                continue
            if array.ctypes.data == arrays[o].ctypes.data and array.shape == arrays[o].shape:
                first[k] = first[o] = min(first[o], first[k])
            elif np.shares_memory(arrays[o], array):
                raise ValueError(f"output {o - len(call.inputs)} overlaps input {k} without being the same memory")
    return first
