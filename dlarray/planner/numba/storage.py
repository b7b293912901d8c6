"""Where a kernel printed for Numba stores its values: arrays, rows in a workspace, lanes on the stack."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from dlarray.planner.kernel.loops import Kernel, Operation
from dlarray.planner.numba.block import is_flat

__all__ = ["CHUNK", "LANES", "ROWS", "Layout", "Storage", "layout_for"]

Layout = Literal["flat", "wide", "narrow"]

CHUNK, LANES, ROWS = 4096, 16, 64
"""The columns of a flat chunk, the lanes of a wide reduction, and the rows that a narrow kernel takes at a time."""


def layout_for(kernel: Kernel, rows: int, cols: int) -> Layout:
    """The shape of loops for a kernel of these sizes."""
    if is_flat(kernel):
        return "flat"
    return "narrow" if cols < 2 * LANES and rows >= LANES else "wide"


@dataclass(frozen=True)
class Storage:
    """In the text, arrays are named p, rows of them q, rows in the workspace w, lanes b, single values v.

    ``aliases`` has for each array, inputs then outputs, the number of the first array with the same memory.
    """

    kernel: Kernel
    layout: Layout
    aliases: tuple[int, ...]

    @cached_property
    def narrow(self) -> bool:
        return self.layout == "narrow"

    @cached_property
    def values(self) -> list[tuple[int, Operation]]:
        return list(enumerate(self.kernel.operations, self.kernel.first))

    @cached_property
    def hoisted(self) -> list[int]:
        """Operations of kind R: the same for all rows, so they are done once."""
        return [v for v, op in self.values if op.kind == "R" and not op.over]

    @cached_property
    def workspace_rows(self) -> list[int]:
        """The values in the workspace, after the hoisted rows.

        They are those that a later sweep needs or that are reduced in lanes. In a narrow kernel they are also all
        elements that it reads or writes, transposed because strided memory is not read in vectors, and sums of columns.
        """
        rows = set(self.kernel.buffered).union(*(self.reduced(s) for s in range(self.kernel.sweeps)))
        rows |= set(self.float64_rows)
        if self.narrow:
            rows |= {k for k, i in enumerate(self.kernel.inputs) if i.kind == "E"}
            rows |= {v for v in self.kernel.outputs if self.kernel.kind(v) == "E"}
            rows |= {v for v, op in self.values if op.over == "column"}
        return sorted(rows)

    @cached_property
    def float64_rows(self) -> list[int]:
        """Sums of columns: after a few rows their sums are added to a row of float64."""
        return [v for v, op in self.values if op.name == "sum" and op.over == "column"]

    @cached_property
    def float64_lanes(self) -> list[int]:
        """Other sums of many numbers: after a few numbers each lane is added to a lane of float64."""
        sums = [(v, op) for v, op in self.values if op.name == "sum" and op.over in ("row", "all")]
        return [v for v, op in sums if op.over == "all" or not self.narrow]

    def reduced(self, s: int) -> set[int]:
        """The operations whose results a sweep of whole rows stores, to be reduced in lanes."""
        of = {op.args[0] for _, op in self.values if op.sweep == s and self.in_lanes(op)}
        return set() if self.narrow else {v for v in of if v >= self.kernel.first}

    @cached_property
    def per_row(self) -> list[int]:
        """What a narrow kernel has in buffers of ROWS items: values of kind C, and the lanes of full reductions."""
        inputs = [k for k, i in enumerate(self.kernel.inputs) if i.kind == "C"]
        return inputs + [
            v for v, op in self.values if op.kind == "C" or (op.over == "all" and self.argument_kind(op) == "E")
        ]

    @cached_property
    def scopes(self) -> list[str]:
        """Memory that does not overlap: outputs, then buffers. Any other load has scope -1."""
        outputs = [f"p{self.array(k)}" for k in range(len(self.kernel.outputs))]
        lanes = self.per_row if self.narrow else [v for v, op in self.values if self.in_lanes(op)]
        buffers = [f"w{v}" for v in self.hoisted + self.workspace_rows] + [f"d{v}" for v in self.float64_rows]
        lost = [f"c{v}" for v in self.float64_lanes if self.kernel.dtype(v) == "float64"]
        return outputs + buffers + [f"b{v}" for v in lanes] + [f"d{v}" for v in self.float64_lanes] + lost

    def in_lanes(self, op: Operation) -> bool:
        return op.over in ("row", "all") and self.argument_kind(op) == "E"

    def argument_kind(self, op: Operation) -> str:
        return self.kernel.kind(op.args[0])

    def array(self, output: int) -> int:
        """The array, in the order of inputs and outputs, that an output is written to."""
        return self.aliases[len(self.kernel.inputs) + output]

    @cached_property
    def written(self) -> set[int]:
        """The arrays that outputs are written to."""
        return {self.array(o) for o in range(len(self.kernel.outputs))}

    def dense(self, k: int) -> bool:
        """Whether input k needs no strides. The memory of an output is dense."""
        return self.kernel.inputs[k].dense or self.aliases[k] in self.written

    # Loads and stores

    def _access(self, name: str) -> str:
        number = len(self.scopes)
        return f"{self.scopes.index(name) if name in self.scopes else -1}, {number}"

    def load(self, name: str, index: str, base: str = "") -> str:
        return f"load({base or name}, {index}, {self._access(name)})"

    def store(self, name: str, index: str, value: str, base: str = "") -> str:
        return f"store({base or name}, {index}, {value}, {self._access(name)})"

    def read(self, k: int) -> str:
        """Input k at row i (narrow: i + l) and column j."""
        i = self.kernel.inputs[k]
        name, dense = f"p{self.aliases[k]}", self.dense(k)
        if i.kind == "R":
            return self.load(name, "j" if dense else f"j * columns{k}")
        if i.kind == "C":
            row = "i + l" if self.narrow else "i"
            return self.load(name, row if dense else f"({row}) * rows{k}")
        if self.narrow:
            return self.load(name, "l * cols + j" if dense else f"l * rows{k} + j * columns{k}", f"q{self.aliases[k]}")
        return self.load(name, "j" if dense else f"j * columns{k}", f"q{self.aliases[k]}")

    def element(self, v: int) -> str:
        """The index of value v of kind E in a workspace, at the current row and column."""
        return f"j * {ROWS} + l" if self.narrow and v not in self.hoisted else "j"

    def elements(self, s: int) -> list[tuple[int, int]]:
        """The values of kind E that are written in a sweep, each with its array."""
        outputs = [(v, self.array(o)) for o, v in enumerate(self.kernel.outputs)]
        return [(v, a) for v, a in outputs if self.kernel.kind(v) == "E" and self.kernel.sweep(v) == s]

    def output(self, v: int) -> int:
        return self.array(self.kernel.outputs.index(v))

    def workspace(self, cols: int) -> int:
        """The items of 8 bytes that the rows in the workspace take."""
        width = {"flat": CHUNK, "wide": cols, "narrow": cols * ROWS}[self.layout]
        return (len(self.hoisted) + len(self.workspace_rows) + len(self.float64_rows)) * width
