"""A kernel printed as one Python function for Numba.

Three shapes of loops print the same operations:

    flat    all is elementwise or scalar: one long row, cut into chunks
    wide    row by row, columns inside; a row is reduced in 16 lanes, in one order on every machine (sums.py)
    narrow  64 rows at a time, rows inside: so a softmax over ten classes is vectorised too

The function takes the address of the block that block.py describes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlarray.planner.kernel.loops import AFTER, BEFORE, Operation
from dlarray.planner.numba.block import header
from dlarray.planner.numba.expressions import accumulate, dtype_of, expression, initial
from dlarray.planner.numba.storage import CHUNK, LANES, ROWS
from dlarray.planner.numba.sums import Sums, indented

__all__ = ["Printer"]


class Printer(Sums):
    """The lines of one function, from a kernel, its layout and its arrays."""

    # The function

    def lines(self) -> Iterator[str]:
        """The whole function."""
        yield "def kernel(block):"
        yield from indented([*self._addresses(), *self._before()])
        if self.kernel.sweeps:
            yield from indented(self.loops())
        yield from indented([*self._after(), "return"])

    def loops(self) -> list[str]:
        """The loops over all rows."""
        inside = [*self._row_start(), *(line for s in range(self.kernel.sweeps) for line in self._sweep(s))]
        inside += self.add_columns_regularly()
        return [self._rows_header(), *indented(inside)]

    def _addresses(self) -> Iterator[str]:
        k = self.kernel
        yield "head = pointer(block, np.int64)"
        yield "rows, cols = item(head, 0), item(head, 1)"
        offsets, _ = header(k)
        for a, offset in enumerate(offsets):
            if a != self.aliases[a]:
                continue  # it shares the memory of another array
            dtype = k.dtype(a) if a < len(k.inputs) else k.dtype(k.outputs[a - len(k.inputs)])
            yield f"p{a} = pointer(item(head, {offset}), np.{dtype_of(dtype)})"
            if a < len(k.inputs) and not self.dense(a):
                yield f"rows{a}, columns{a} = item(head, {offset + 1}), item(head, {offset + 2})"
        for n, dtype in enumerate(k.constants):
            block = "np.float64" if dtype.startswith("float") else "np.int64"
            value = f"item(pointer(item(head, 2), {block}), {n})"
            yield f"v{len(k.inputs) + n} = " + (f"{value} != 0" if dtype == "bool" else f"np.{dtype}({value})")
        width = {"flat": CHUNK, "wide": "cols", "narrow": f"cols * {ROWS}"}[self.layout]
        for n, v in enumerate(self.hoisted + self.workspace_rows):
            yield f"w{v} = pointer(item(head, 3) + {8 * n} * {width}, np.{dtype_of(k.dtype(v))})"
        for n, v in enumerate(self.float64_rows, len(self.hoisted + self.workspace_rows)):
            yield f"d{v} = pointer(item(head, 3) + {8 * n} * {width}, np.float64)"
        for v in (int(s[1:]) for s in self.scopes if s[0] == "b"):
            yield f"b{v} = local(np.{dtype_of(k.dtype(v))}, {self.lanes})"
        for v in self.float64_lanes:
            yield f"d{v} = local(np.float64, {self.lanes})"
            if k.dtype(v) == "float64":
                yield f"c{v} = local(np.float64, {self.lanes})"

    def _before(self) -> Iterator[str]:
        k = self.kernel
        for n, i in enumerate(k.inputs):
            if i.kind == "S":
                yield f"v{n} = {self.load(f'p{self.aliases[n]}', '0')}"
        for v, op in self.values:
            if op.kind == "S" and op.sweep == BEFORE:
                yield f"v{v} = {self.expression(v)}"
            elif op.over == "all" and op.name == "sum":
                yield from self.begin_lanes(v)
            elif op.over == "all":
                yield f"total{v} = np.{op.dtype}({initial(op)})"
                if self.narrow and self.argument_kind(op) == "E":
                    yield from self._over_lanes(v, op, "begin", ROWS)
        if self.hoisted:
            yield "for j in range(cols):"
            read = {a for v in self.hoisted for a in k.operations[v - k.first].args if a < len(k.inputs)}
            yield from (f"    v{a} = {self.read(a)}" for a in sorted(read) if k.inputs[a].kind == "R")
            for v in self.hoisted:
                yield f"    v{v} = {self.expression(v)}"
                yield f"    {self.store(f'w{v}', 'j', f'v{v}')}"
        for o, v in enumerate(k.outputs):
            if v in self.float64_rows:
                yield from self.begin_columns(v)
            elif (op := k.operation(v)) and op.over == "column":
                name, count = (f"w{v}", f"cols * {ROWS}") if self.narrow else (f"p{self.array(o)}", "cols")
                yield f"for j in range({count}):"
                yield f"    {self.store(name, 'j', f'np.{op.dtype}({initial(op)})')}"

    def _rows_header(self) -> str:
        step = {"flat": f"0, rows * cols, {CHUNK}", "wide": "rows", "narrow": f"0, rows, {ROWS}"}[self.layout]
        return f"for i in range({step}):"

    def _row_start(self) -> Iterator[str]:
        if self.layout == "flat":
            yield f"start, width = i, min({CHUNK}, rows * cols - i)"
        elif self.narrow:
            yield f"start, many = i * cols, min({ROWS}, rows - i)"
        else:
            yield "start, width = i * cols, cols"
        for k, i in enumerate(self.kernel.inputs):
            if i.kind == "E" and k == self.aliases[k]:
                yield f"q{k} = advance(p{k}, {'start' if self.dense(k) else f'i * rows{k}'})"
        for o, v in enumerate(self.kernel.outputs):
            a = self.array(o)
            if self.kernel.kind(v) == "E" and a >= len(self.kernel.inputs):
                yield f"q{a} = advance(p{a}, start)"
        inputs = [k for k, i in enumerate(self.kernel.inputs) if i.kind == "C"]
        elements = [k for k, i in enumerate(self.kernel.inputs) if i.kind == "E"]
        if elements and self.narrow:
            turned = [self.store(f"w{k}", self.element(k), self.read(k)) for k in elements]
            yield from ["for l in range(many):", *indented(["for j in range(cols):", *indented(turned)])]
        if inputs and self.narrow:
            yield "for l in range(many):"
            yield from (f"    {self.store(f'b{k}', 'l', self.read(k))}" for k in inputs)
        elif inputs:
            yield from (f"v{k} = {self.read(k)}" for k in inputs)

    def expression(self, v: int) -> str:
        """The expression of an operation."""
        op = self.kernel.operations[v - self.kernel.first]
        index = {"E": "start + l * cols + j" if self.narrow else "start + j", "R": "j", "S": "0"}
        index["C"] = "i + l" if self.narrow else "i"
        args = [f"v{a}" for a in op.args]
        return expression(op, args, [self.kernel.dtype(a) for a in op.args], index[op.kind])

    # One sweep

    def _sweep(self, s: int) -> Iterator[str]:
        yield from self._columns_once(s)
        lanes = [(v, op) for v, op in self.values if op.sweep == s and self.in_lanes(op)]
        body = self._body(s)
        for v, op in lanes:
            if (v in self.float64_lanes) if self.narrow else (v not in self.float64_lanes):
                yield from self._over_lanes(v, op, "begin", self.lanes)
            elif op.over == "row" and self.narrow:
                yield from self._over_lanes(v, op, "begin", "many")
        if self.narrow:
            if body:
                yield from ["for j in range(cols):", "    for l in range(many):", *indented(indented(body))]
            for v, _ in lanes:
                if v in self.float64_lanes:
                    yield from self.add_lanes(v)
            for v, a in self.elements(s):
                back = self.store(f"p{a}", "l * cols + j", self.load(f"w{v}", self.element(v)), f"q{a}")
                yield from ["for l in range(many):", "    for j in range(cols):", f"        {back}"]
        else:
            of_inputs = [(v, op) for v, op in lanes if op.args[0] < self.kernel.first]
            for v, op in of_inputs:  # before an output is written over its input
                yield from self._in_sixteen_lanes(v, op)
            if body:
                yield from ["for j in range(width):", *indented(body)]
            for v, op in lanes:
                if (v, op) not in of_inputs:
                    yield from self._in_sixteen_lanes(v, op)
        yield from self._column_outputs([v for v, op in lanes if op.over == "row"])

    def _in_sixteen_lanes(self, v: int, op: Operation) -> Iterator[str]:
        """Reduce a row in a loop of its own: a loop of fixed length with more in it is unrolled, not vectorised."""
        argument = op.args[0]
        read = self.read(argument) if self.kernel.operation(argument) is None else self.load(f"w{argument}", "j")
        step = [f"v{argument} = {read}", *self._accumulated(v, op)]
        if op.name == "sum":
            yield from self.sum_in_lanes(v, op, step)
            return
        yield f"full = width // {LANES} * {LANES}"
        yield f"for first in range(0, full, {LANES}):"
        yield from indented([f"for l in range({LANES}):", *indented(["j = first + l", *step])])
        yield from ["for j in range(full, width):", *indented(["l = j - full", *step])]
        if op.over == "row":
            yield f"v{v} = np.{op.dtype}({initial(op)})"
        yield from self._over_lanes(v, op, f"v{v}" if op.over == "row" else f"total{v}", LANES)

    def _over_lanes(self, v: int, op: Operation, result: str, count: int | str) -> Iterator[str]:
        """Set the lanes of a reduction to its neutral element, or reduce them to a result."""
        yield f"for l in range({count}):"
        if result == "begin":
            yield f"    {self.store(f'b{v}', 'l', f'np.{op.dtype}({initial(op)})')}"
        else:
            yield f"    lane = {self.load(f'b{v}', 'l')}"
            yield f"    {result} = {accumulate(op, result, 'lane')}"

    def _columns_once(self, s: int) -> Iterator[str]:
        """Once a row, before the sweep: operations of kind C, and full reductions of them."""
        done = [(v, op) for v, op in self.values if op.sweep == s and op.kind == "C" and not op.over]
        sums = [
            (v, op) for v, op in self.values if op.sweep == s and op.over == "all" and self.argument_kind(op) == "C"
        ]
        lines: list[str] = []
        made = {v for v, _ in done}
        if self.narrow:
            read = {a for _, op in done + sums for a in op.args if self.kernel.kind(a) == "C"} - made
            lines += [f"v{a} = {self.load(f'b{a}', 'l')}" for a in sorted(read)]
        for v, _ in done:
            lines.append(f"v{v} = {self.expression(v)}")
            if self.narrow:
                lines.append(self.store(f"b{v}", "l", f"v{v}"))
        for v, op in sums:
            if v in self.float64_lanes:
                lines += [*([] if self.narrow else [f"l = i % {LANES}"]), *self.add_to_lane(v, f"v{op.args[0]}")]
            else:
                lines.append(f"total{v} = {accumulate(op, f'total{v}', f'v{op.args[0]}')}")
        if lines and self.narrow:
            yield from ["for l in range(many):", *indented(lines)]
        else:
            yield from lines
        yield from self._column_outputs([v for v, _ in done])

    def _column_outputs(self, made: Sequence[int]) -> Iterator[str]:
        for o, v in enumerate(self.kernel.outputs):
            if v in made and self.narrow:
                yield "for l in range(many):"
                yield f"    {self.store(f'p{self.array(o)}', 'i + l', self.load(f'b{v}', 'l'))}"
            elif v in made:
                yield self.store(f"p{self.array(o)}", "i", f"v{v}")

    def _body(self, s: int) -> list[str]:
        """The body for each column: all loads come before all stores, because an output can be an input's memory."""
        k, lines, stores = self.kernel, list[str](), list[str]()
        loaded: set[int] = set()

        def fetch(v: int) -> None:
            if v in loaded or ((op := k.operation(v)) is None and v >= len(k.inputs)):
                return
            loaded.add(v)
            kind = k.kind(v)
            if kind == "C" and self.narrow:
                lines.append(f"v{v} = {self.load(f'b{v}', 'l')}")
            elif kind in "ER":
                direct = op is None and not (kind == "E" and self.narrow)
                lines.append(f"v{v} = {self.read(v) if direct else self.load(f'w{v}', self.element(v))}")

        for v in k.evaluated(s):
            op = k.operations[v - k.first]
            if v in self.hoisted:
                continue
            for a in op.args:
                fetch(a)
            loaded.add(v)
            if op.over:
                if self.narrow or op.over == "column":
                    stores += self._accumulated(v, op)
                continue
            lines.append(f"v{v} = {self.expression(v)}")
            if v in self.reduced(s) or (op.sweep == s and v in self.workspace_rows):
                stores.append(self.store(f"w{v}", self.element(v), f"v{v}"))
            if not self.narrow:
                stores += [self.store(f"p{a}", "j", f"v{v}", f"q{a}") for out, a in self.elements(s) if out == v]
        return lines + stores if stores else []

    def _accumulated(self, v: int, op: Operation) -> list[str]:
        """Add one number to a reduction."""
        name, index = f"b{v}", "l"
        if op.over == "column":
            in_workspace = self.narrow or v in self.float64_rows
            name, index = (f"w{v}", self.element(v)) if in_workspace else (f"p{self.output(v)}", "j")
        next_ = accumulate(op, f"a{v}", f"v{op.args[0]}")
        return [f"a{v} = {self.load(name, index)}", self.store(name, index, next_)]

    def _after(self) -> Iterator[str]:
        k = self.kernel
        for v, op in self.values:
            if v in self.float64_rows:
                yield from self.total_of_columns(v)
            elif op.over == "all" and op.name == "sum":
                yield from self.total_of_lanes(v, op)
            elif op.over == "all":
                if self.narrow and self.argument_kind(op) == "E":
                    yield from self._over_lanes(v, op, f"total{v}", ROWS)
                yield f"v{v} = np.{op.dtype}(total{v})"
            elif op.over == "column" and self.narrow:
                yield "for j in range(cols):"
                yield f"    v{v} = np.{op.dtype}({initial(op)})"
                yield from indented([f"for l in range({ROWS}):", f"    lane = {self.load(f'w{v}', self.element(v))}"])
                yield f"        v{v} = {accumulate(op, f'v{v}', 'lane')}"
                yield f"    {self.store(f'p{self.output(v)}', 'j', f'v{v}')}"
            elif op.sweep == AFTER:
                yield f"v{v} = {self.expression(v)}"
        for o, v in enumerate(k.outputs):
            if k.kind(v) == "S":
                yield self.store(f"p{self.array(o)}", "0", f"v{v}")
