"""The loops of flat and wide kernels: columns in lanes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dlarray.planner.kernel.loops import Operation
from dlarray.planner.native.layout import BLOCK, LANES
from dlarray.planner.native.printer import Printer
from dlarray.planner.native.reductions import Reduction, masked
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
        known = {v: value.spread(LANES) for v, value in (self.known | dict(known)).items()}
        row = _Row(self, start, width, starts, reductions)
        if any(r.op.name == "sum" for r in reductions.values()):
            with f.loop(0, full, BLOCK * LANES) as block:
                for r in reductions.values():
                    r.begin_block()
                with f.loop(block, f.smaller(block + BLOCK * LANES, full), LANES) as j:
                    self.body(sweep, known, _Columns(row, j))
                for r in reductions.values():
                    r.end_block()
        else:
            with f.loop(0, full, LANES) as j:
                self.body(sweep, known, _Columns(row, j))
        if self.layout.has_tail:
            with f.when(full < width):
                self.body(sweep, known, _LastColumns(row, full))
        return {v: r.result() for v, r in reductions.items() if r.op.over == "row"}


@dataclass(frozen=True)
class _Row:
    """The elements of a row, or all elements of a flat kernel."""

    printer: Printer
    start: Value
    """The index of its first element, in dense arrays."""
    width: Value
    starts: Mapping[int, Value]
    """The same in other arrays."""
    reductions: Mapping[int, Reduction]


class _Columns:
    """16 columns of a row, from column j on."""

    lanes = LANES

    def __init__(self, row: _Row, j: Value) -> None:
        self._row, self._j = row, j
        self._printer, self._f, self._kernel = row.printer, row.printer.f, row.printer.kernel

    def read(self, v: int) -> Value:
        row, printer = self._row, self._printer
        if self._kernel.operation(v) is not None:
            return self._f.load(printer.place(f"w{v}"), self._kernel.dtype(v), self._j, LANES)
        is_row = self._kernel.inputs[v].kind == "R"
        if printer.layout.is_dense(v):
            return self.load(v, self._j if is_row else row.start + self._j)
        return self.load_strided(v, self._f.index(0) if is_row else row.starts[v], printer.strides(v)[1])

    def load(self, v: int, index: Value) -> Value:
        """Numbers of a dense input."""
        return self._f.load(self._printer.pointer(v), self._kernel.dtype(v), index, LANES)

    def load_strided(self, v: int, start: Value, stride: Value) -> Value:
        """Numbers of another input, whose row has this start."""
        pointer, dtype = self._printer.pointer(v), self._kernel.dtype(v)
        return self._f.load_strided(pointer, dtype, start + self._j * stride, stride, LANES)

    def position(self, op: Operation) -> Value:
        return self._f.count(LANES) + (self._row.start + self._j if op.kind == "E" else self._j)

    def reduce(self, v: int, op: Operation, value: Value) -> None:
        self._row.reductions[v].add(value)

    def add_to_column(self, v: int, op: Operation, value: Value) -> None:
        self._printer.accumulate_in(self._printer.place(f"w{v}"), op, self._j, value)

    def write(self, v: int, value: Value) -> None:
        for array in self._printer.layout.arrays_of(v):
            self.store(self._printer.pointer(array), self._row.start + self._j, value)

    def store(self, pointer: str, index: Value, value: Value) -> None:
        """Write numbers to an output."""
        self._f.store(pointer, index, value)

    def keep(self, v: int, value: Value) -> None:
        self._f.store(self._printer.place(f"w{v}"), self._j, value)


class _LastColumns(_Columns):
    """The last columns of a row, fewer than 16: nothing is read, written or reduced in the other lanes."""

    def __init__(self, row: _Row, j: Value) -> None:
        super().__init__(row, j)
        self._there = self._f.count(LANES) < (row.width - j).spread(LANES)

    def load(self, v: int, index: Value) -> Value:
        return self._f.load_masked(self._printer.pointer(v), index, self._there, self._kernel.dtype(v))

    def load_strided(self, v: int, start: Value, stride: Value) -> Value:
        column = self._f.smaller(self._f.count(LANES) + self._j, self._row.width - 1)
        return self._f.load_at(self._printer.pointer(v), self._kernel.dtype(v), column * stride + start)

    def reduce(self, v: int, op: Operation, value: Value) -> None:
        self._row.reductions[v].add_to_total(masked(op, value, self._there))

    def store(self, pointer: str, index: Value, value: Value) -> None:
        self._f.store_masked(pointer, index, self._there, value)
