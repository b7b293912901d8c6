"""The parts of a lane: a few elements that it computes together, by one text in a loop.

All their inputs are read first and all their outputs are written last, because an output may have an input's memory.
Parts beyond the end are computed like the others, from numbers that can be read, and are neither written nor counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from dlarray.planner.cuda import spread
from dlarray.planner.cuda.names import Names, indented
from dlarray.planner.kernel.loops import Kernel

__all__ = ["Neighbours", "Pass", "Sweep"]


@dataclass
class Sweep:
    """The text of a sweep: variables, reads and writes of all parts, the lines for each part, the lines after them.

    Where parts are neighbours, a read or write is a call without its last argument, the number of parts.
    """

    variables: list[str] = field(default_factory=list[str])
    reads: list[str] = field(default_factory=list[str])
    body: list[str] = field(default_factory=list[str])
    writes: list[str] = field(default_factory=list[str])
    after: list[str] = field(default_factory=list[str])


class Pass:
    """What the three ways of spreading work have in common."""

    indices: ClassVar[dict[str, str]] = {"E": "i * cols + j", "R": "j", "C": "i", "S": "0"}
    """The index of an element, at row i and column j."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.names = Names(kernel)
        self.parts = spread.parts(kernel)

    def lines(self) -> Iterator[str]:
        """The lines between the scalars and the full reductions."""
        raise NotImplementedError

    def loop(self, sweep: Sweep) -> Iterator[str]:
        """The lines of a sweep for a lane whose first part is known."""
        yield from sweep.variables
        yield from self.together(sweep.reads)
        yield "#pragma unroll"
        yield f"for (int p = 0; p < {self.parts}; ++p) {{"
        yield from indented(sweep.body)
        yield "}"
        yield from self.together(sweep.writes)
        yield from sweep.after

    def together(self, calls: list[str]) -> Iterator[str]:
        """Reads or writes of all parts."""
        raise NotImplementedError

    def read(self, n: int, sweep: Sweep) -> None:
        """Read input n, an element or a column, in each part."""
        sweep.body.append(f"const {self.names.type(n)} v{n} = {self.names.cell(n, self.indices)};")

    def write(self, v: int, sweep: Sweep) -> None:
        """Write a value of kind E to its outputs."""
        raise NotImplementedError

    def single(self, known: dict[str, str]) -> Sweep:
        """The only sweep of a kernel without row reductions. Values of the kinds in ``known`` are defined already."""
        k, names, sweep = self.kernel, self.names, Sweep()
        wanted = sorted({v for v, op in names.numbered() if op.kind == "C" or op.over == "all"} | set(k.evaluated(0)))
        have: set[int] = set()
        wanted = [v for v in wanted if not (names.op(v).kind in known and not names.op(v).over)]
        for v in wanted:
            for a in names.op(v).args:
                if a not in have and a < len(k.inputs) and k.kind(a) in "ERC" and k.kind(a) not in known:
                    self.read(a, sweep)
                have.add(a)
            self.make(v, sweep)
        return sweep

    def make(self, v: int, sweep: Sweep) -> None:
        """An operation in each part, and the writes of its value."""
        names = self.names
        op = names.op(v)
        if op.over == "all":
            counts = "there && j == 0" if self.kernel.kind(op.args[0]) == "C" else "there"
            sweep.body.append(f"if ({counts}) total{v} = {names.more(v, f'total{v}')};")
        elif op.over:
            self.reduce(v, sweep)
        else:
            sweep.body.append(names.defined(v, self.indices[op.kind]))
            if op.kind == "E":
                self.write(v, sweep)
            elif op.kind == "C":
                sweep.body += [f"if (there && j == 0) {array}[i] = v{v};" for array in names.arrays(v)]

    def reduce(self, v: int, sweep: Sweep) -> None:
        """One more value for a reduction of rows or columns."""
        raise NotImplementedError


class Neighbours(Pass):
    """Parts are neighbours in memory, from ``start`` on."""

    start: str

    def wide(self, *conditions: str) -> str:
        """Whether each group of parts is aligned for one access."""
        k = self.kernel
        arrays = [f"head.a{n}" for n in range(len(k.inputs)) if self.neighbours(n)]
        arrays += [array for v in dict.fromkeys(k.outputs) if k.kind(v) == "E" for array in self.names.arrays(v)]
        lying = [*conditions, *(f"aligned<{self.parts}>({array})" for array in arrays)]
        return f"const bool wide = {' && '.join(lying) or 'true'};"

    def together(self, calls: list[str]) -> Iterator[str]:
        if calls:
            yield "if (whole) {"
            yield from (f"    {call});" for call in calls)
            yield "} else {"
            yield from (f"    {call}, parts);" for call in calls)
            yield "}"

    def neighbours(self, n: int) -> bool:
        """Whether the parts of input n are neighbours."""
        given = self.kernel.inputs[n]
        return given.dense and given.kind == "E"

    def array(self, name: str, v: int) -> str:
        """A variable with an item for each part."""
        return f"{self.names.type(v)} {name}{v}[{self.parts}];"

    def write(self, v: int, sweep: Sweep) -> None:
        for array in self.names.arrays(v):
            self.stored(v, f"{array} + {self.start}", sweep)

    def stored(self, v: int, where: str, sweep: Sweep) -> None:
        """Write a value of kind E to an address."""
        if self.array("y", v) not in sweep.variables:
            sweep.variables.append(self.array("y", v))
            sweep.body.append(f"y{v}[p] = v{v};")
        sweep.writes.append(f"store({where}, y{v}")

    def loaded(self, v: int, where: str, sweep: Sweep) -> None:
        """Read a value of each part from an address."""
        sweep.variables.append(self.array("x", v))
        sweep.reads.append(f"load(x{v}, {where}")
        sweep.body.append(f"const {self.names.type(v)} v{v} = x{v}[p];")
