"""How the values of a kernel are laid out on a CPU: the shape of its loops, its argument, and its workspace.

Three shapes of loops print the same operations:

    flat    all is elementwise or scalar: one long row
    wide    row by row, columns in lanes
    narrow  16 rows at a time, rows in lanes: so a softmax over ten classes is vectorised too

The argument is the head of ``kernel.head``. Its first four words are the first element and the end of the range that is
computed (rows, or elements if the shape is flat), the number of columns, and the address of the workspace: so two calls
with two heads share the work of a kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from dlarray.planner.kernel.loops import Call, Kernel, Operation

__all__ = ["BLOCK", "LANES", "Layout", "Shape", "same_memory", "shape_for"]

Shape = Literal["flat", "wide", "narrow"]

LANES = 16
"""The numbers that are computed together. A reduction has as many partial results on every machine: the same bits."""

BLOCK = 16
"""The numbers that one lane of a sum adds in their own type, before it is added to a lane of float64."""


def shape_for(kernel: Kernel, rows: int, cols: int) -> Shape:
    """The shape of loops for a kernel of these sizes."""
    kinds = {i.kind for i in kernel.inputs} | {op.kind for op in kernel.operations}
    if all(i.dense or i.kind == "S" for i in kernel.inputs) and not kinds & {"R", "C"}:
        return "flat"
    return "narrow" if cols < 2 * LANES and rows >= LANES else "wide"


def same_memory(call: Call) -> tuple[int, ...]:
    """For each array, inputs then outputs, the first array with the same memory, if one of them is an output."""
    arrays = [*call.inputs, *call.outputs]
    first = list(range(len(arrays)))
    for o in range(len(call.inputs), len(arrays)):
        for k, array in enumerate(call.inputs):
            if not np.may_share_memory(arrays[o], array):
                continue
            same = array.ctypes.data == arrays[o].ctypes.data and array.shape == arrays[o].shape
            if same and array.flags.c_contiguous:
                first[k] = first[o] = min(first[o], first[k])
            elif np.shares_memory(arrays[o], array):
                raise ValueError(f"output {o - len(call.inputs)} overlaps input {k} without being the same memory")
    return tuple(first)


@dataclass(frozen=True)
class Layout:
    """A kernel and what its text depends on besides.

    ``aliases`` has for each array, inputs then outputs, the first one with the same memory.
    """

    kernel: Kernel
    shape: Shape
    aliases: tuple[int, ...]
    has_tail: bool = True
    """Whether the last columns of a row may not fill all lanes. Without them half of the text is enough."""

    @cached_property
    def values(self) -> list[tuple[int, Operation]]:
        """All operations with their values."""
        return list(enumerate(self.kernel.operations, self.kernel.first))

    @property
    def is_narrow(self) -> bool:
        return self.shape == "narrow"

    # Arrays

    def array(self, output: int) -> int:
        """The array, in the order of inputs and outputs, that an output is written to."""
        return self.aliases[len(self.kernel.inputs) + output]

    def arrays_of(self, v: int) -> list[int]:
        """The arrays that a value is written to."""
        return [self.array(o) for o, value in enumerate(self.kernel.outputs) if value == v]

    def is_dense(self, k: int) -> bool:
        """Whether input k needs no strides. The memory of an output is dense."""
        return self.kernel.inputs[k].dense or self.aliases[k] in self.aliases[len(self.kernel.inputs) :]

    # Operations by what they need

    @cached_property
    def hoisted(self) -> list[int]:
        """Operations of kind R: the same for all rows, so they are done once."""
        return [v for v, op in self.values if op.kind == "R" and not op.over]

    @cached_property
    def column_sums(self) -> list[int]:
        """Sums of columns, which have a row of float64 besides the row of their own type."""
        return [v for v, op in self.values if op.name == "sum" and op.over == "column"]

    def reductions(self, sweep: int) -> list[tuple[int, Operation]]:
        """The reductions of elements to rows or to one number in a sweep."""
        return [
            (v, op)
            for v, op in self.values
            if op.sweep == sweep and op.over in ("row", "all") and self.kernel.kind(op.args[0]) == "E"
        ]

    def once_a_row(self, sweep: int) -> tuple[list[tuple[int, Operation]], list[tuple[int, Operation]]]:
        """The operations of kind C that are done before a sweep of a row, and the full reductions of such values."""
        done = [(v, op) for v, op in self.values if op.sweep == sweep and op.kind == "C" and not op.over]
        reduced = [
            (v, op)
            for v, op in self.values
            if op.sweep == sweep and op.over == "all" and self.kernel.kind(op.args[0]) == "C"
        ]
        return done, reduced

    @property
    def has_totals(self) -> bool:
        """Whether a result depends on all rows: then two calls cannot share the rows."""
        return any(op.over in ("column", "all") for op in self.kernel.operations)

    @property
    def has_scalars(self) -> bool:
        """Whether an output is a scalar."""
        return any(self.kernel.kind(v) == "S" for v in self.kernel.outputs)

    # The workspace: rows of items of 8 bytes

    @cached_property
    def rows_kept(self) -> list[int]:
        """The values that have a row in the workspace, after the hoisted ones.

        They are those that a later sweep needs, and reductions of columns. In a narrow kernel they are also all
        elements that it reads or writes, transposed because strided memory is not read in vectors.
        """
        kept = set(self.kernel.buffered) | {v for v, op in self.values if op.over == "column"}
        if self.is_narrow:
            kept |= {k for k, i in enumerate(self.kernel.inputs) if i.kind == "E"}
            kept |= {v for v in self.kernel.outputs if self.kernel.kind(v) == "E"}
        return sorted(kept)

    @cached_property
    def places(self) -> dict[str, int]:
        """The rows of the workspace by name: w3 of value 3, d3 of its sums in float64."""
        names = [f"w{v}" for v in self.hoisted + self.rows_kept] + [f"d{v}" for v in self.column_sums]
        return {name: n for n, name in enumerate(names)}

    @cached_property
    def per_row(self) -> list[int]:
        """The values of kind C that a narrow kernel reads from or writes to memory, which have 16 items each."""
        if not self.is_narrow:
            return []
        inputs = [k for k, i in enumerate(self.kernel.inputs) if i.kind == "C"]
        return inputs + list(dict.fromkeys(v for v in self.kernel.outputs if self.kernel.kind(v) == "C"))

    def workspace(self, cols: int) -> int:
        """The items of 8 bytes that the workspace has."""
        width = cols * LANES if self.is_narrow else cols + -cols % LANES
        return len(self.places) * width + LANES * len(self.per_row)
