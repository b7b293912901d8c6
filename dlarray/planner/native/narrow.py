"""The loops of narrow kernels: 16 rows at a time, one in each lane.

Elements are transposed in the workspace, column by column with 16 rows each. If fewer rows are left, the other lanes
compute with what is there, and nothing is taken from them.
"""

from __future__ import annotations

from collections.abc import Mapping

from dlarray.planner.kernel.loops import Operation
from dlarray.planner.native.layout import LANES
from dlarray.planner.native.printer import Printer
from dlarray.planner.native.reductions import Reduction, masked
from dlarray.planner.native.values import Value

__all__ = ["NarrowPrinter"]


class NarrowPrinter(Printer):
    """A narrow kernel."""

    def loops(self) -> None:
        with self.over_rows(LANES) as i:
            self._rows(i, self.f.smaller(self.end - i, LANES))

    def _rows(self, i: Value, many: Value) -> None:
        """All sweeps of ``many`` rows from row i on."""
        f, kernel, layout = self.f, self.kernel, self.layout
        there = f.count(LANES) < many
        elements = [n for n, given in enumerate(kernel.inputs) if given.kind == "E"]
        self._transpose_in(elements, i, many)
        known = {n: self._read_rows(n, i, many) for n, given in enumerate(kernel.inputs) if given.kind == "C"}
        for sweep in range(kernel.sweeps):
            done, reduced = layout.once_a_row(sweep)
            for v, op in done:
                known[v] = self.computed(op, self.known | known, f.count(LANES) + i).spread(LANES)
            for v, op in reduced:
                self.totals[v].add_to_total(masked(op, known[op.args[0]], there))
            reductions = self.new_reductions(sweep)
            for r in reductions.values():
                r.begin_block()
            if kernel.evaluated(sweep):
                with f.loop(0, self.cols) as j:
                    self.body(sweep, self.known | known, _Rows(self, i, j, reductions, there))
            for v, r in reductions.items():
                if r.op.over == "all":
                    r.end_block()
                else:
                    known[v] = r.block()
            self._transpose_out(sweep, i, many)
            for v in (*(v for v, _ in done), *(v for v in reductions if v in known)):
                self._write_rows(v, known, i, many)

    # From memory to lanes, and back

    def _transpose_in(self, elements: list[int], i: Value, many: Value) -> None:
        f = self.f
        if not elements:
            return
        with f.when(many.equals(LANES)), f.loop(0, self.cols) as j:
            for n in elements:
                row, start = self._start(n, i, j)
                x = f.load_strided(self.pointer(n), self.kernel.dtype(n), start, row, LANES)
                f.store(self.place(f"w{n}"), j * LANES, x)
        with f.when(many.differs(LANES)), f.loop(0, many) as lane, f.loop(0, self.cols) as j:
            for n in elements:
                _, start = self._start(n, i + lane, j)
                x = f.load(self.pointer(n), self.kernel.dtype(n), start)
                f.store(self.place(f"w{n}"), j * LANES + lane, x)

    def _start(self, n: int, i: Value, j: Value) -> tuple[Value, Value]:
        """The stride of an input along rows, and the index of its element (i, j)."""
        if self.layout.is_dense(n):
            return self.cols, i * self.cols + j
        row, column = self.strides(n)
        return row, i * row + j * column

    def _transpose_out(self, sweep: int, i: Value, many: Value) -> None:
        f, kernel = self.f, self.kernel
        leaving = [
            (v, a)
            for v in dict.fromkeys(kernel.outputs)
            if kernel.kind(v) == "E" and kernel.sweep(v) == sweep
            for a in self.layout.arrays_of(v)
        ]
        if not leaving:
            return
        start = i * self.cols
        with f.when(many.equals(LANES)), f.loop(0, self.cols) as j:
            for v, a in leaving:
                x = f.load(self.place(f"w{v}"), kernel.dtype(v), j * LANES, LANES)
                f.store_strided(self.pointer(a), start + j, self.cols, x)
        with f.when(many.differs(LANES)), f.loop(0, many) as lane, f.loop(0, self.cols) as j:
            for v, a in leaving:
                x = f.load(self.place(f"w{v}"), kernel.dtype(v), j * LANES + lane)
                f.store(self.pointer(a), start + lane * self.cols + j, x)

    def _read_rows(self, n: int, i: Value, many: Value) -> Value:
        """The numbers of an input of kind C."""
        f, dtype, place = self.f, self.kernel.dtype(n), self.place(f"b{n}")
        with f.loop(0, many) as lane:
            index = i + lane if self.layout.is_dense(n) else (i + lane) * self.strides(n)[0]
            f.store(place, lane, f.load(self.pointer(n), dtype, index))
        return f.load(place, dtype, 0, LANES)

    def _write_rows(self, v: int, known: Mapping[int, Value], i: Value, many: Value) -> None:
        """The numbers of an output of kind C."""
        f = self.f
        for array in self.layout.arrays_of(v):
            f.store(self.place(f"b{v}"), 0, known[v].spread(LANES))
            with f.loop(0, many) as lane:
                f.store(self.pointer(array), i + lane, f.load(self.place(f"b{v}"), self.kernel.dtype(v), lane))


class _Rows:
    """Column j of 16 rows from row i on."""

    lanes = LANES

    def __init__(self, printer: Printer, i: Value, j: Value, reductions: Mapping[int, Reduction], there: Value) -> None:
        self._printer, self._f, self._kernel = printer, printer.f, printer.kernel
        self._i, self._j, self._reductions, self._there = i, j, reductions, there

    def read(self, v: int) -> Value:
        printer, f, dtype = self._printer, self._f, self._kernel.dtype(v)
        if v in printer.layout.hoisted:
            return f.load(printer.place(f"w{v}"), dtype, self._j)
        if self._kernel.operation(v) is None and self._kernel.inputs[v].kind == "R":
            return printer.read_column(v, self._j)
        return f.load(printer.place(f"w{v}"), dtype, self._j * LANES, LANES)

    def position(self, op: Operation) -> Value:
        if op.kind != "E":
            return self._j
        cols = self._printer.cols
        return self._f.count(LANES) * cols + (self._i * cols + self._j)

    def reduce(self, v: int, op: Operation, value: Value) -> None:
        self._reductions[v].add(value if op.over == "row" else masked(op, value, self._there))

    def add_to_column(self, v: int, op: Operation, value: Value) -> None:
        added = masked(op, value, self._there)
        self._printer.accumulate_in(self._printer.place(f"w{v}"), op, self._j * LANES, added)

    def write(self, v: int, value: Value) -> None:
        """To the workspace, from which all rows are written together."""
        if v not in self._kernel.buffered:
            self.keep(v, value)

    def keep(self, v: int, value: Value) -> None:
        self._f.store(self._printer.place(f"w{v}"), self._j * LANES, value)
