"""The names of values and arrays in a printed text, and the index expressions of their elements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dlarray.planner.cuda import spread
from dlarray.planner.cuda.expressions import C_TYPES, COMBINE, accumulate, expression
from dlarray.planner.kernel.loops import BEFORE, Kernel, Operation

__all__ = ["Names", "indented"]


def indented(lines: Iterable[str]) -> Iterator[str]:
    """Lines within braces."""
    return ("    " + line for line in lines)


@dataclass(frozen=True)
class Names:
    """The names of one kernel: value 3 is ``v3``, array 3 (inputs, then outputs) is ``head.a3``."""

    kernel: Kernel

    def head(self) -> Iterator[str]:
        """The struct that launch.py fills, word by word."""
        k = self.kernel
        yield "struct Head {"
        yield "    long long rows, cols;"
        yield "    char *workspace;"
        yield "    long long warps;"
        for n, dtype in enumerate(k.constants):
            yield f"    {'double' if dtype.startswith('float') else 'long long'} c{n};"
        for n, i in enumerate(k.inputs):
            yield f"    {self.type(n)} *a{n};" + ("" if i.dense else f" long long a{n}_row, a{n}_column;")
        for n, v in enumerate(k.outputs, len(k.inputs)):
            yield f"    {self.type(v)} *a{n};"
        yield "};"

    def op(self, v: int) -> Operation:
        """The operation that makes a value."""
        return self.kernel.operations[v - self.kernel.first]

    def numbered(self) -> list[tuple[int, Operation]]:
        """All operations with their values."""
        return list(enumerate(self.kernel.operations, self.kernel.first))

    def type(self, v: int) -> str:
        """The type of a value."""
        return C_TYPES[self.kernel.dtype(v)]

    def total_type(self, v: int) -> str:
        """The type in which a reduction of all or of a row accumulates: double for sums, of up to millions of terms."""
        return "double" if self.op(v).name == "sum" else self.type(v)

    def arrays(self, v: int) -> list[str]:
        """The outputs that a value is written to."""
        k = self.kernel
        return [f"head.a{n}" for n, out in enumerate(k.outputs, len(k.inputs)) if out == v]

    def cell(self, n: int, indices: dict[str, str]) -> str:
        """The element of input n at (i, j), given the index in dense inputs of each kind."""
        given = self.kernel.inputs[n]
        strided = {"E": f"i * head.a{n}_row + j * head.a{n}_column", "R": f"j * head.a{n}_column"}
        strided |= {"C": f"i * head.a{n}_row", "S": "0"}
        return f"head.a{n}[{(indices if given.dense else strided)[given.kind]}]"

    def defined(self, v: int, index: str = "0") -> str:
        """The definition of a computed value. ``index`` is the index of its element."""
        op = self.op(v)
        text = expression(op, [f"v{a}" for a in op.args], [self.kernel.dtype(a) for a in op.args], index)
        return f"const {self.type(v)} v{v} = {text};"

    def scalars(self) -> Iterator[str]:
        """Constants, scalar inputs, and what is computed from them alone, in every thread."""
        k = self.kernel
        for n, dtype in enumerate(k.constants):
            yield f"const {C_TYPES[dtype]} v{len(k.inputs) + n} = ({C_TYPES[dtype]})head.c{n};"
        yield from (f"const {self.type(n)} v{n} = head.a{n}[0];" for n, i in enumerate(k.inputs) if i.kind == "S")
        yield from (self.defined(v) for v, op in self.numbered() if op.kind == "S" and op.sweep == BEFORE)

    def more(self, v: int, held: str) -> str:
        """A reduction with one more value."""
        return accumulate(self.op(v), held, f"v{self.op(v).args[0]}")

    def across(self, v: int, type_: str, held: str, start: str, stop: str) -> str:
        """A reduction over lanes at distances from start up to stop."""
        return f"across<{type_}, {COMBINE[self.op(v).name]}<{type_}>>({held}, {start}, {stop})"

    # The workspace: lines of kept values, lines of column reductions, each warp's results of full reductions.

    def line(self, v: int) -> str:
        """The lines of a kept value or a column reduction: ``lines`` lines of ``cols`` numbers."""
        held: Sequence[int] = [*spread.kept(self.kernel), *spread.columns(self.kernel)]
        return f"(({self.type(v)} *)(head.workspace + {spread.COUNT} + 8 * {held.index(v)} * lines * cols))"

    def found(self, v: int) -> str:
        """Each warp's result of a full reduction."""
        before = len(self.kernel.buffered) + len(spread.columns(self.kernel))
        index = f"{before} * lines * cols + {spread.totals(self.kernel).index(v)} * head.warps"
        return f"(({self.total_type(v)} *)(head.workspace + {spread.COUNT} + 8 * ({index})))"

    def lines(self) -> Iterator[str]:
        """How lanes share rows, as in spread.py."""
        way, parts = spread.way(self.kernel), spread.parts(self.kernel)
        if way == "elements":
            yield "const long long lines = 0;"
            return
        yield f"const int width = lanes_for({'cols' if way == 'tiles' else f'(cols + {parts - 1}) / {parts}'});"
        if way == "tiles":
            yield "const long long groups = (cols + width - 1) / width;"
        yield f"const long long lines = head.warps{' / groups' if way == 'tiles' else ''} * (32 / width);"
