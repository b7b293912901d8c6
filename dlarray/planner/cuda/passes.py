"""rows_kernel: everything of an element, in one of the three ways of spread.py.

A lane takes a few elements at once, ``parts`` of them, and there is one text for what is done to each: all that is read
of them is read first and all that is written is written last, for an output may be an input's memory. Parts that lie
beyond the end are computed like the others, of numbers that are in reach, and neither written nor counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dlarray.planner.cuda import spread
from dlarray.planner.cuda.expressions import initial
from dlarray.planner.cuda.names import Names, indented
from dlarray.planner.loops import Kernel

__all__ = ["first_pass"]


def first_pass(kernel: Kernel) -> Iterator[str]:
    """The body of rows_kernel."""
    printer = {"elements": _Elements, "tiles": _Tiles, "rows": _Rows}[spread.way(kernel)](kernel)
    names = printer.names
    yield from names.scalars()
    yield from names.lines()
    for v in spread.totals(kernel):
        yield f"{names.total_type(v)} total{v} = ({names.total_type(v)}){initial(names.op(v))};"
    yield from printer.lines()
    for v in spread.totals(kernel):
        yield f"total{v} = {names.across(v, names.total_type(v), f'total{v}', '1', '32')};"
        yield f"if (LANE == 0) {names.found(v)}[WARP] = total{v};"


@dataclass
class _Sweep:
    """What the elements of a sweep want: variables, reads and writes of all parts, and the lines for each part.

    Where parts are neighbours, a read or write is a call that lacks its end: whole, or so many parts.
    """

    variables: list[str] = field(default_factory=list[str])
    reads: list[str] = field(default_factory=list[str])
    body: list[str] = field(default_factory=list[str])
    writes: list[str] = field(default_factory=list[str])


class _Pass:
    """What the three ways share."""

    places = {"E": "i * cols + j", "R": "j", "C": "i", "S": "0"}
    """The index of an element, at row i and column j."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.names = Names(kernel)
        self.parts = spread.parts(kernel)

    def lines(self) -> Iterator[str]:
        """Everything between the scalars and the full reductions."""
        raise NotImplementedError

    def loop(self, sweep: _Sweep) -> Iterator[str]:
        """The lines of a sweep for a lane that knows where its parts begin."""
        yield from sweep.variables
        yield from self.together(sweep.reads)
        yield "#pragma unroll"
        yield f"for (int p = 0; p < {self.parts}; ++p) {{"
        yield from indented(sweep.body)
        yield "}"
        yield from self.together(sweep.writes)

    def together(self, calls: list[str]) -> Iterator[str]:
        """Reads or writes of all parts."""
        raise NotImplementedError

    def read(self, n: int, sweep: _Sweep) -> None:
        """Input n, which is an element or a column, in each part."""
        sweep.body.append(f"const {self.names.type(n)} v{n} = {self.names.cell(n, self.places)};")

    def write(self, v: int, sweep: _Sweep) -> None:
        """A value of kind E to its outputs."""
        raise NotImplementedError

    def single(self, known: dict[str, str]) -> _Sweep:
        """The one sweep where no row is reduced. Kinds in ``known`` are there already."""
        k, names, sweep = self.kernel, self.names, _Sweep()
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

    def make(self, v: int, sweep: _Sweep) -> None:
        """An operation in each part, and what is done with its value."""
        names = self.names
        op = names.op(v)
        if op.over == "all":
            counts = "there && j == 0" if self.kernel.kind(op.args[0]) == "C" else "there"
            sweep.body.append(f"if ({counts}) total{v} = {names.more(v, f'total{v}')};")
        elif op.over:
            self.reduce(v, sweep)
        else:
            sweep.body.append(names.defined(v, self.places[op.kind]))
            if op.kind == "E":
                self.write(v, sweep)
            elif op.kind == "C":
                sweep.body += [f"if (there && j == 0) {array}[i] = v{v};" for array in names.arrays(v)]

    def reduce(self, v: int, sweep: _Sweep) -> None:
        """One more value for a reduction of rows or columns."""
        raise NotImplementedError


class _Neighbours(_Pass):
    """Parts are neighbours in memory, from ``column`` on in what begins at ``row``."""

    start: str

    def wide(self, *conditions: str) -> str:
        """Whether whole groups of parts lie as one access wants them."""
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
        """A variable with a place for each part."""
        return f"{self.names.type(v)} {name}{v}[{self.parts}];"

    def write(self, v: int, sweep: _Sweep) -> None:
        for array in self.names.arrays(v):
            self.stored(v, f"{array} + {self.start}", sweep)

    def stored(self, v: int, where: str, sweep: _Sweep) -> None:
        """A value of kind E to an address."""
        if self.array("y", v) not in sweep.variables:
            sweep.variables.append(self.array("y", v))
            sweep.body.append(f"y{v}[p] = v{v};")
        sweep.writes.append(f"store({where}, y{v}")

    def loaded(self, v: int, where: str, sweep: _Sweep) -> None:
        """A value of each part from an address."""
        sweep.variables.append(self.array("x", v))
        sweep.reads.append(f"load(x{v}, {where}")
        sweep.body.append(f"const {self.names.type(v)} v{v} = x{v}[p];")


class _Elements(_Neighbours):
    start = "start"
    places = {"E": "at", "R": "j", "C": "i", "S": "0"}

    def read(self, n: int, sweep: _Sweep) -> None:
        if self.neighbours(n):
            self.loaded(n, f"head.a{n} + start", sweep)
        else:
            super().read(n, sweep)

    def lines(self) -> Iterator[str]:
        k, step = self.kernel, self.parts
        crosses = any(i.kind in "RC" or not i.dense for i in k.inputs) or any(op.kind in "RC" for op in k.operations)
        sweep = self.single({})
        sweep.body[:0] = ["const bool there = p < parts;", "const long long at = start + (there ? p : 0);"]
        if crosses:
            sweep.variables.insert(0, "long long i = start / cols, j = start % cols;")
            sweep.body.append("if (p + 1 < parts && ++j == cols) { j = 0; ++i; }")
        yield "const long long count = rows * cols;"
        yield self.wide()
        yield f"for (long long start = (WARP * 32 + LANE) * {step}; start < count; start += WARPS * {32 * step}) {{"
        yield f"    const int parts = count - start < {step} ? (int)(count - start) : {step};"
        yield f"    const bool whole = wide && parts == {step};"
        yield from indented(self.loop(sweep))
        yield "}"


class _Tiles(_Pass):
    """Parts are rows that are ``lines`` apart."""

    def write(self, v: int, sweep: _Sweep) -> None:
        if arrays := self.names.arrays(v):
            sweep.variables.append(f"{self.names.type(v)} y{v}[{self.parts}];")
            sweep.body.append(f"y{v}[p] = v{v};")
            sweep.writes += [f"{array}[(start + p * lines) * cols + j] = y{v}[p];" for array in arrays]

    def together(self, calls: list[str]) -> Iterator[str]:
        if calls:
            yield "#pragma unroll"
            yield f"for (int p = 0; p < {self.parts}; ++p) if (start + p * lines < rows) {{"
            yield from indented(calls)
            yield "}"

    def reduce(self, v: int, sweep: _Sweep) -> None:
        sweep.body.append(f"if (there) column{v} = {self.names.more(v, f'column{v}')};")

    def lines(self) -> Iterator[str]:
        k, names, found = self.kernel, self.names, spread.columns(self.kernel)
        sweep = self.single({"R": "j"})
        sweep.body[:0] = [
            "const bool there = start + p * lines < rows;",
            "const long long i = there ? start + p * lines : start;",
        ]
        yield "const long long j = WARP % groups * width + LANE % width;"
        yield "const long long line = WARP / groups * (32 / width) + LANE / width;"
        yield "if (line < lines && j < cols) {"
        for v in found:
            yield f"    {names.type(v)} column{v} = ({names.type(v)}){initial(names.op(v))};"
        yield from indented(self._once())
        yield f"    for (long long start = line; start < rows; start += {self.parts} * lines) {{"
        yield from indented(indented(self.loop(sweep)))
        yield "    }"
        for v in found:
            yield f"    if (line < rows) {names.line(v)}[line * cols + j] = column{v};"
        yield "}"

    def _once(self) -> Iterator[str]:
        """What is of kind R is the same in all rows."""
        k, names = self.kernel, self.names
        for n, given in enumerate(k.inputs):
            if given.kind == "R":
                yield f"const {names.type(n)} v{n} = {names.cell(n, self.places)};"
        for v, op in names.numbered():
            if op.kind == "R" and not op.over:
                yield names.defined(v, "j")


class _Rows(_Neighbours):
    start = "i * cols + column"

    def neighbours(self, n: int) -> bool:
        given = self.kernel.inputs[n]
        return given.dense and given.kind in "ER"

    def read(self, n: int, sweep: _Sweep) -> None:
        if self.neighbours(n):
            row = "i * cols + " if self.kernel.inputs[n].kind == "E" else ""
            self.loaded(n, f"head.a{n} + {row}column", sweep)
        else:
            super().read(n, sweep)

    def reduce(self, v: int, sweep: _Sweep) -> None:
        names, op = self.names, self.names.op(v)
        if op.over == "row":
            sweep.body.append(f"if (there) row{v} = {names.more(v, f'row{v}')};")
            return
        where = f"{names.line(v)} + line * cols + column"
        sweep.variables.append(self.array("z", v))
        sweep.reads.append(f"if (!fresh) load(z{v}, {where}")
        sweep.body.append(f"z{v}[p] = fresh ? v{op.args[0]} : {names.more(v, f'z{v}[p]')};")
        sweep.writes.append(f"store({where}, z{v}")

    def lines(self) -> Iterator[str]:
        k, names = self.kernel, self.names
        yield self.wide(f"cols % {self.parts} == 0")
        yield "const long long line = WARP * (32 / width) + LANE / width;"
        yield "for (long long first = WARP * (32 / width); first < rows; first += lines) {"
        yield "    const bool inside = first + LANE / width < rows;"
        yield "    const long long i = inside ? first + LANE / width : first, end = inside ? cols : 0;"
        yield "    const bool own = inside && LANE % width == 0, fresh = i == line;"
        for n, given in enumerate(k.inputs):
            if given.kind == "C":
                yield f"    const {names.type(n)} v{n} = {names.cell(n, self.places)};"
        for s in range(k.sweeps):
            yield from indented(self._sweep(s))
        yield "}"

    def _sweep(self, s: int) -> Iterator[str]:
        k, names = self.kernel, self.names
        now = [(v, op) for v, op in names.numbered() if op.sweep == s]
        for v, op in now:
            if op.kind == "C" and not op.over:
                yield names.defined(v, "i")
                yield from (f"if (own) {array}[i] = v{v};" for array in names.arrays(v))
        for v, op in now:
            if op.over == "all" and k.kind(op.args[0]) == "C":
                yield f"if (own) total{v} = {names.more(v, f'total{v}')};"
        of_rows = [v for v, op in now if op.over == "row"]
        for v in of_rows:
            yield f"{names.type(v)} row{v} = ({names.type(v)}){initial(names.op(v))};"
        sweep = self._elements(s)
        if sweep.body:
            sweep.body[:0] = ["const bool there = p < parts;", "const long long j = column + (there ? p : 0);"]
            step = self.parts
            yield f"for (long long column = LANE % width * {step}; column < end; column += width * {step}) {{"
            yield f"    const int parts = end - column < {step} ? (int)(end - column) : {step};"
            yield f"    const bool whole = wide && parts == {step};"
            yield from indented(self.loop(sweep))
            yield "}"
        for v in of_rows:
            yield f"const {names.type(v)} v{v} = {names.across(v, names.type(v), f'row{v}', '1', 'width')};"
            yield from (f"if (own) {array}[i] = v{v};" for array in names.arrays(v))

    def _elements(self, s: int) -> _Sweep:
        k, sweep, have = self.kernel, _Sweep(), set[int]()
        for v in k.evaluated(s):
            for a in self.names.op(v).args:
                if a not in have and k.kind(a) in "ER":
                    self._given(a, sweep)
                have.add(a)
            have.add(v)
            self.make(v, sweep)
            if v in k.kept and k.sweep(v) == s:
                self.stored(v, f"{self.names.line(v)} + line * cols + column", sweep)
        return sweep

    def _given(self, a: int, sweep: _Sweep) -> None:
        """An element from an input, or from what an earlier sweep has kept."""
        if a < len(self.kernel.inputs):
            self.read(a, sweep)
        else:
            self.loaded(a, f"{self.names.line(a)} + line * cols + column", sweep)
