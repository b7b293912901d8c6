"""rows_kernel: everything of an element, in one of the three ways of spread.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from dlarray.planner.cuda import spread
from dlarray.planner.cuda.expressions import initial
from dlarray.planner.cuda.names import indented
from dlarray.planner.cuda.parts import Neighbours, Pass, Sweep
from dlarray.planner.kernel.loops import Kernel

__all__ = ["first_pass"]


def first_pass(kernel: Kernel) -> Iterator[str]:
    """What rows_kernel does when it knows the scalars."""
    printer = {"elements": _Elements, "tiles": _Tiles, "rows": _Rows}[spread.way(kernel)](kernel)
    names = printer.names
    yield from names.lines()
    for v in spread.totals(kernel):
        yield f"{names.total_type(v)} total{v} = ({names.total_type(v)}){initial(names.op(v))};"
    yield from printer.lines()
    for v in spread.totals(kernel):
        yield f"total{v} = {names.across(v, names.total_type(v), f'total{v}', '1', '32')};"
        yield f"if (LANE == 0) {names.found(v)}[WARP] = total{v};"


class _Elements(Neighbours):
    start = "start"
    indices: ClassVar[dict[str, str]] = {"E": "at", "R": "j", "C": "i", "S": "0"}

    def read(self, n: int, sweep: Sweep) -> None:
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


class _Tiles(Pass):
    """Parts are rows that are ``lines`` apart."""

    def write(self, v: int, sweep: Sweep) -> None:
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

    def reduce(self, v: int, sweep: Sweep) -> None:
        sweep.body.append(f"if (there) column{v} = {self.names.more(v, f'column{v}')};")

    def lines(self) -> Iterator[str]:
        names, found = self.names, spread.columns(self.kernel)
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
        """Values of kind R, which are the same in all rows."""
        k, names = self.kernel, self.names
        for n, given in enumerate(k.inputs):
            if given.kind == "R":
                yield f"const {names.type(n)} v{n} = {names.cell(n, self.indices)};"
        for v, op in names.numbered():
            if op.kind == "R" and not op.over:
                yield names.defined(v, "j")


class _Rows(Neighbours):
    start = "i * cols + column"

    def neighbours(self, n: int) -> bool:
        given = self.kernel.inputs[n]
        return given.dense and given.kind in "ER"

    def read(self, n: int, sweep: Sweep) -> None:
        if self.neighbours(n):
            row = "i * cols + " if self.kernel.inputs[n].kind == "E" else ""
            self.loaded(n, f"head.a{n} + {row}column", sweep)
        else:
            super().read(n, sweep)

    def reduce(self, v: int, sweep: Sweep) -> None:
        names, op = self.names, self.names.op(v)
        if op.over == "row" and op.name == "sum":  # of the parts first: a lane may have thousands of them
            sweep.variables.append(f"{names.type(v)} few{v} = 0;")
            sweep.body.append(f"if (there) few{v} = {names.more(v, f'few{v}')};")
            sweep.after.append(f"row{v} = row{v} + few{v};")
            return
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
                yield f"    const {names.type(n)} v{n} = {names.cell(n, self.indices)};"
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
            yield f"{names.total_type(v)} row{v} = ({names.total_type(v)}){initial(names.op(v))};"
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
            held = f"({names.type(v)})row{v}"
            yield f"const {names.type(v)} v{v} = {names.across(v, names.type(v), held, '1', 'width')};"
            yield from (f"if (own) {array}[i] = v{v};" for array in names.arrays(v))

    def _elements(self, s: int) -> Sweep:
        k, sweep, have = self.kernel, Sweep(), set[int]()
        for v in k.evaluated(s):
            for a in self.names.op(v).args:
                if a not in have and k.kind(a) in "ER":
                    self._given(a, sweep)
                have.add(a)
            have.add(v)
            self.make(v, sweep)
            if v in k.buffered and k.sweep(v) == s:
                self.stored(v, f"{self.names.line(v)} + line * cols + column", sweep)
        return sweep

    def _given(self, a: int, sweep: Sweep) -> None:
        """An element of an input, or a value that an earlier sweep kept."""
        if a < len(self.kernel.inputs):
            self.read(a, sweep)
        else:
            self.loaded(a, f"{self.names.line(a)} + line * cols + column", sweep)
