"""The loops of flat and wide kernels: columns in lanes, and the last columns of a row one by one."""

from __future__ import annotations

from collections.abc import Mapping

from dlarray.planner.kernel.loops import Operation
from dlarray.planner.native.layout import BLOCK, LANES
from dlarray.planner.native.printer import Printer
from dlarray.planner.native.reductions import Reduction
from dlarray.planner.native.values import Value

__all__ = ["RowPrinter"]


class RowPrinter(Printer):
    """A flat or a wide kernel."""

    def loops(self) -> None:
        if self.layout.shape == "flat":
            self._row(0, self.first, self.end - self.first, {}, {})
            return
        with self.over_rows(1) as i:
            self._sweeps(i)

    def _sweeps(self, i: Value) -> None:
        """All sweeps of row i."""
        f, kernel, layout = self.f, self.kernel, self.layout
        known: dict[int, Value] = {}
        starts: dict[int, Value] = {}
        for n, given in enumerate(kernel.inputs):
            if given.kind == "C":
                index = i if layout.is_dense(n) else i * self.strides(n)[0]
                known[n] = f.load(self.pointer(n), given.dtype, index)
            elif given.kind == "E" and not layout.is_dense(n):
                starts[n] = i * self.strides(n)[0]
        for sweep in range(kernel.sweeps):
            done, reduced = layout.once_a_row(sweep)
            for v, op in done:
                known[v] = self.computed(op, self.known | known, i)
            for v, op in reduced:
                self.totals[v].add_to_total(known[op.args[0]])
            found = self._row(sweep, i * self.cols, self.cols, known, starts)
            known |= found
            for v in (*(v for v, _ in done), *found):
                for array in layout.arrays_of(v):
                    f.store(self.pointer(array), i, known[v])

    def _row(
        self, sweep: int, start: Value, width: Value, known: Mapping[int, Value], starts: Mapping[int, Value]
    ) -> dict[int, Value]:
        """One sweep of ``width`` elements from ``start`` on. Returns the reductions of the row."""
        f = self.f
        if not self.kernel.evaluated(sweep):
            return {}
        reductions = self.new_reductions(sweep)
        full = width & -LANES
        scalars = self.known | dict(known)
        spread = {v: value.spread(LANES) for v, value in scalars.items()}

        def body(j: Value, lanes: int) -> None:
            at = _Columns(self, lanes, j, start, starts, reductions, full)
            self.body(sweep, spread if lanes > 1 else scalars, at)

        if any(r.op.name == "sum" for r in reductions.values()):
            with f.loop(0, full, BLOCK * LANES) as block:
                for r in reductions.values():
                    r.begin_block()
                with f.loop(block, f.smaller(block + BLOCK * LANES, full), LANES) as j:
                    body(j, LANES)
                for r in reductions.values():
                    r.end_block()
        else:
            with f.loop(0, full, LANES) as j:
                body(j, LANES)
        if self.layout.has_tail:
            with f.when(full < width):
                for r in reductions.values():
                    r.begin_tail()
                with f.loop(full, width) as j:
                    body(j, 1)
                for r in reductions.values():
                    r.end_tail()
        return {v: r.result() for v, r in reductions.items() if r.op.over == "row"}


class _Columns:
    """Columns j to j + lanes of a row."""

    def __init__(
        self,
        printer: Printer,
        lanes: int,
        j: Value,
        start: Value,
        starts: Mapping[int, Value],
        reductions: Mapping[int, Reduction],
        full: Value,
    ) -> None:
        self.lanes = lanes
        self._printer, self._f, self._kernel = printer, printer.f, printer.kernel
        self._j, self._start, self._starts = j, start, starts
        self._reductions, self._full = reductions, full

    def read(self, v: int) -> Value:
        printer, f, dtype = self._printer, self._f, self._kernel.dtype(v)
        if self._kernel.operation(v) is not None:
            return f.load(printer.place(f"w{v}"), dtype, self._j, self.lanes)
        if self._kernel.inputs[v].kind == "R":
            return printer.read_column(v, self._j, self.lanes)
        if printer.layout.is_dense(v):
            return f.load(printer.pointer(v), dtype, self._start + self._j, self.lanes)
        stride = printer.strides(v)[1]
        return f.load_strided(printer.pointer(v), dtype, self._starts[v] + self._j * stride, stride, self.lanes)

    def position(self, op: Operation) -> Value:
        return self._f.count(self.lanes) + (self._start + self._j if op.kind == "E" else self._j)

    def reduce(self, v: int, op: Operation, value: Value) -> None:
        if self.lanes > 1:
            self._reductions[v].add(value)
        else:
            self._reductions[v].add_in_tail(self._j - self._full, value)

    def add_to_column(self, v: int, op: Operation, value: Value) -> None:
        self._printer.accumulate_in(self._printer.place(f"w{v}"), op, self._j, value)

    def write(self, v: int, value: Value) -> None:
        for array in self._printer.layout.arrays_of(v):
            self._f.store(self._printer.pointer(array), self._start + self._j, value)

    def keep(self, v: int, value: Value) -> None:
        self._f.store(self._printer.place(f"w{v}"), self._j, value)
