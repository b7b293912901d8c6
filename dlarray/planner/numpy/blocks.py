"""The blocks that the domain of a call is cut into, and the scratch arrays of the values in a block."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from dlarray.planner.kernel.loops import Call, Operation

__all__ = ["Blocks"]


class Blocks:
    """The blocks of one call: of whole rows, or, if rows do not matter, of elements in one long row."""

    def __init__(self, call: Call, block: int) -> None:
        self.call = call
        self.kernel = call.kernel
        self.numbered: list[tuple[int, Operation]] = list(enumerate(self.kernel.operations, self.kernel.first))
        self.flat = self._can_be_flat()
        length, width = (call.rows * call.cols, 1) if self.flat else (call.rows, call.cols)
        step = max(1, block // width)
        self.bounds = [(i, min(i + step, length)) for i in range(0, length, step)]
        self.height = min(step, length)
        self.outputs = {v: self._for_blocks(a, v) for v, a in zip(self.kernel.outputs, call.outputs, strict=True)}
        self.inputs = [self._for_blocks(a, i) for i, a in enumerate(call.inputs)]
        self.last = {a: v for v, op in self.numbered for a in op.args}
        self.scratch = self._assign_scratch()

    def _can_be_flat(self) -> bool:
        kernel = self.kernel
        kinds = {i.kind for i in kernel.inputs} | {op.kind for op in kernel.operations}
        arrays = (*self.call.inputs, *self.call.outputs)
        return (
            kinds <= {"E", "S"}
            and not any(op.over in ("row", "column") for op in kernel.operations)
            and all(a.flags.c_contiguous for a in arrays)
        )

    def _for_blocks(self, array: np.ndarray, value: int) -> np.ndarray:
        """An array in the shape that blocks are cut from: scalars 0-d, elements in one row if rows do not matter."""
        if self.kernel.kind(value) == "S":
            return array.reshape(())
        return array.reshape(-1) if self.flat else array

    def _assign_scratch(self) -> dict[int, np.ndarray | None]:
        """The scratch array of each value in a block; None for an output that is written directly."""
        scratch: dict[int, np.ndarray | None] = {}
        free: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
        for v, op in self.numbered:
            unused = {a for a in op.args if self._is_last_read(a, v, scratch)}  # after this operation
            if op.kind in "EC" and op.over in ("", "row"):
                replaced = None if op.over else next((a for a in sorted(unused) if self._are_alike(a, v)), None)
                spare = free[op.kind, op.dtype]
                if v in self.outputs and not self._read_later(v):
                    scratch[v] = None
                elif replaced is not None:
                    scratch[v] = scratch[replaced]
                    unused.remove(replaced)
                else:
                    scratch[v] = spare.pop() if spare else np.empty(self._block_shape(op.kind), op.dtype)
            for a in unused:
                array = scratch[a]
                assert array is not None
                free[self.kernel.kind(a), self.kernel.dtype(a)].append(array)
        return scratch

    def _is_last_read(self, value: int, at: int, scratch: dict[int, Any]) -> bool:
        """Whether the operation ``at`` is the last to read a value in scratch."""
        return scratch.get(value) is not None and self.last[value] == at and value not in self.outputs

    def _are_alike(self, a: int, b: int) -> bool:
        kernel = self.kernel
        return kernel.kind(a) == kernel.kind(b) and kernel.dtype(a) == kernel.dtype(b)

    def _read_later(self, output: int) -> bool:
        """Whether this output's array is an input that is read after the output is computed."""
        array = self.outputs[output]
        return any(
            self.last.get(i, -1) > output and np.may_share_memory(array, x) for i, x in enumerate(self.inputs) if x.ndim
        )

    def _block_shape(self, kind: str) -> tuple[int, ...]:
        if self.flat:
            return (self.height,)
        return (self.height, self.call.cols if kind == "E" else 1)
