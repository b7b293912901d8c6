"""A kernel as one function of LLVM's text, with the vectors written out: ``void name(ptr head)``.

``layout`` describes the head and the shapes of loops. What is common to all shapes is here; ``rows`` prints the loops
of flat and wide kernels, ``narrow`` those of narrow ones.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Protocol

from dlarray.planner.kernel.head import address_indices, constant_index
from dlarray.planner.kernel.loops import AFTER, BEFORE, Operation
from dlarray.planner.native.function import Function, Index
from dlarray.planner.native.layout import BLOCK, LANES, Layout
from dlarray.planner.native.operations import NEUTRAL, accumulated, computed
from dlarray.planner.native.reductions import Reduction, across
from dlarray.planner.native.values import Value

__all__ = ["Place", "Printer"]


class Place(Protocol):
    """Where a body of operations reads and writes: some columns of a row, or some rows of a column."""

    lanes: int

    def read(self, v: int) -> Value:
        """An input, or a value in the workspace."""
        ...

    def position(self, op: Operation) -> Value:
        """The index of each element."""
        ...

    def reduce(self, v: int, op: Operation, value: Value) -> None:
        """Add numbers to a reduction of rows or of everything."""
        ...

    def add_to_column(self, v: int, op: Operation, value: Value) -> None:
        """Add numbers to a reduction of columns."""
        ...

    def write(self, v: int, value: Value) -> None:
        """Write numbers to the outputs that they are."""
        ...

    def keep(self, v: int, value: Value) -> None:
        """Write numbers to the workspace."""
        ...


class Printer:
    """One function. Its methods ``whole``, ``elements`` and ``scalars`` print different parts of a kernel."""

    def __init__(self, layout: Layout, name: str) -> None:
        self.layout = layout
        self.kernel = layout.kernel
        self.f = Function(f"internal void @{name}(ptr %head) nounwind")
        self._width: Index = 0  # the items of a row in the workspace
        self.known: dict[int, Value] = {}
        """Constants, scalars, and reductions to one number."""
        self.totals: dict[int, Reduction] = {}
        """The reductions of everything."""

    # What is printed

    def whole(self) -> str:
        """The whole kernel."""
        self._begin()
        self._begin_totals()
        if self.kernel.sweeps:
            self.loops()
        self._end()
        return self.f.text()

    def elements(self) -> str:
        """All but the scalar outputs, for a part of the rows of a kernel without totals."""
        self._begin()
        self.loops()
        return self.f.text()

    def scalars(self) -> str:
        """The scalar outputs of a kernel without totals."""
        self._begin(hoists=False)
        self._end()
        return self.f.text()

    @abstractmethod
    def loops(self) -> None:
        """The loops over all rows."""

    # The argument

    @cached_property
    def first(self) -> Value:
        """The first row, or element of a flat kernel."""
        return self.f.load("%head", "int64", 0)

    @cached_property
    def end(self) -> Value:
        """The row, or element, after the last one."""
        return self.f.load("%head", "int64", 1)

    @cached_property
    def cols(self) -> Value:
        return self.f.load("%head", "int64", 2)

    def pointer(self, k: int) -> str:
        """The memory of an array, by its number among inputs and outputs."""
        return self._pointers[self.layout.aliases[k]]

    def strides(self, k: int) -> tuple[Value, Value]:
        """The strides of an input along rows and columns."""
        return self._strides[k]

    def place(self, name: str) -> str:
        """A row of the workspace."""
        return self._places[name]

    def _read_head(self) -> None:
        layout, f = self.layout, self.f
        _ = self.first, self.end, self.cols
        self._pointers: dict[int, str] = {}
        self._strides: dict[int, tuple[Value, Value]] = {}
        for k, index in enumerate(address_indices(self.kernel)):
            if k == layout.aliases[k]:
                self._pointers[k] = f.pointer("%head", index)
            if k < len(self.kernel.inputs) and not layout.is_dense(k):
                self._strides[k] = f.load("%head", "int64", index + 1), f.load("%head", "int64", index + 2)
        for n, dtype in enumerate(self.kernel.constants):
            stored = "float64" if dtype.startswith("float") else "int64"
            self.known[len(self.kernel.inputs) + n] = f.load("%head", stored, constant_index(n)).cast(dtype)

    def _begin(self, hoists: bool = True) -> None:
        """Arrays, constants, scalars and values that are the same for all rows."""
        layout, f = self.layout, self.f
        self._read_head()
        self._places: dict[str, str] = {}
        if layout.places or layout.per_row:
            memory = f.pointer("%head", 3)
            self._width = self.cols * LANES if layout.is_narrow else (self.cols + (LANES - 1)) & -LANES
            for name, n in layout.places.items():
                self._places[name] = f.address(memory, "int64", self._width * n)
            for n, v in enumerate(layout.per_row):
                self._places[f"b{v}"] = f.address(memory, "int64", self._width * len(layout.places) + n * LANES)
        for n, given in enumerate(self.kernel.inputs):
            if given.kind == "S":
                self.known[n] = f.load(self.pointer(n), given.dtype, 0)
        for v, op in layout.values:
            if op.kind == "S" and op.sweep == BEFORE:
                self.known[v] = self.computed(op, self.known, 0)
        if layout.hoisted and hoists:
            with f.loop(0, self.cols, self._step) as j:
                self._hoist(j)

    @property
    def _step(self) -> int:
        """How many columns a loop over the columns of a row takes at a time."""
        return 1 if self.layout.has_tail or self.layout.is_narrow else LANES

    def _hoist(self, j: Value) -> None:
        have = dict(self.known)
        for v in self.layout.hoisted:
            op = self.kernel.operations[v - self.kernel.first]
            for a in op.args:
                if a < len(self.kernel.inputs) and a not in have:
                    have[a] = self.read_column(a, j, self._step)
            have[v] = self.computed(op, have, self.f.count(self._step) + j).spread(self._step)
            self.f.store(self.place(f"w{v}"), j, have[v])

    def read_column(self, k: int, j: Value, lanes: int = 1) -> Value:
        """Numbers of an input of kind R, from column j on."""
        dtype = self.kernel.dtype(k)
        if self.layout.is_dense(k):
            return self.f.load(self.pointer(k), dtype, j, lanes)
        return self.f.load_at(self.pointer(k), dtype, (self.f.count(lanes) + j) * self.strides(k)[1])

    def computed(self, op: Operation, have: Mapping[int, Value], position: Index) -> Value:
        """An operation of known values."""
        return computed(op, [have[a] for a in op.args], lambda: self.f.index(position))

    # Reductions of everything, and of columns

    def _begin_totals(self) -> None:
        layout, f = self.layout, self.f
        for v, op in layout.values:
            if op.over == "all":
                in_lanes = layout.is_narrow or self.kernel.kind(op.args[0]) == "E"
                self.totals[v] = Reduction(f, op, LANES if in_lanes else 1)
            elif op.over == "column":
                with f.loop(0, self._width, LANES) as j:
                    f.store(self.place(f"w{v}"), j, f.constant(op.dtype, NEUTRAL[op.name], LANES))
                    if op.name == "sum":
                        f.store(self.place(f"d{v}"), j, f.constant("float64", 0.0, LANES))

    def add_columns(self) -> None:
        """Add the sums of columns to the rows of float64, and begin again."""
        f = self.f
        for v in self.layout.column_sums:
            dtype, own, total = self.kernel.dtype(v), self.place(f"w{v}"), self.place(f"d{v}")
            with f.loop(0, self._width, LANES) as j:
                more = f.load(own, dtype, j, LANES).cast("float64")
                f.store(total, j, f.load(total, "float64", j, LANES) + more)
                f.store(own, j, f.constant(dtype, 0.0, LANES))

    def _end(self) -> None:
        """The reductions' results, what depends on them, and the scalar outputs."""
        f, kernel, layout = self.f, self.kernel, self.layout
        for v, op in layout.values:
            if op.over == "all":
                self.known[v] = self.totals[v].result()
            elif op.over == "column":
                self._end_column(v, op)
            elif op.sweep == AFTER:
                self.known[v] = self.computed(op, self.known, 0)
        for o, v in enumerate(kernel.outputs):
            if kernel.kind(v) == "S":
                f.store(self.pointer(len(kernel.inputs) + o), 0, self.known[v])

    def _end_column(self, v: int, op: Operation) -> None:
        f, is_narrow = self.f, self.layout.is_narrow
        name, dtype = (f"d{v}", "float64") if op.name == "sum" else (f"w{v}", op.dtype)
        with f.loop(0, self.cols, self._step) as j:
            if is_narrow:
                value = across(op.name, f.load(self.place(name), dtype, j * LANES, LANES)).cast(op.dtype)
            else:
                value = f.load(self.place(name), dtype, j, self._step).cast(op.dtype)
            for array in self.layout.arrays_of(v):
                f.store(self.pointer(array), j, value)

    # Rows

    @contextmanager
    def over_rows(self, step: int) -> Generator[Value]:
        """A loop over all rows, ``step`` at a time, in which the sums of columns are regularly added up."""
        if not self.layout.column_sums:
            with self.f.loop(self.first, self.end, step) as i:
                yield i
            return
        with self.f.loop(self.first, self.end, step * BLOCK) as block:
            with self.f.loop(block, self.f.smaller(block + step * BLOCK, self.end), step) as i:
                yield i
            self.add_columns()

    def body(self, sweep: int, known: Mapping[int, Value], at: Place) -> None:
        """The operations of a sweep at a place: all loads come before all stores, as an output can be an input."""
        kernel, layout = self.kernel, self.layout
        have = dict(known)
        reductions: list[tuple[int, Operation, Value]] = []
        results: list[tuple[int, Value]] = []
        for v in kernel.evaluated(sweep):
            if v in layout.hoisted:
                continue
            op = kernel.operations[v - kernel.first]
            for a in op.args:
                if a not in have:
                    have[a] = at.read(a)
            if op.over:
                reductions.append((v, op, have[op.args[0]].spread(at.lanes)))
                continue
            have[v] = computed(op, [have[a] for a in op.args], lambda op=op: at.position(op))
            if op.sweep == sweep and op.kind == "E":
                results.append((v, have[v].spread(at.lanes)))
        for v, op, value in reductions:
            (at.add_to_column if op.over == "column" else at.reduce)(v, op, value)
        for v, value in results:
            if v in kernel.buffered:
                at.keep(v, value)
            if v in kernel.outputs:
                at.write(v, value)

    def new_reductions(self, sweep: int) -> dict[int, Reduction]:
        """The reductions of a sweep: those of everything, and new ones of this row."""
        return {
            v: self.totals[v] if op.over == "all" else Reduction(self.f, op, LANES)
            for v, op in self.layout.reductions(sweep)
        }

    def accumulate_in(self, pointer: str, op: Operation, index: Value, value: Value) -> None:
        """Add numbers to numbers in memory."""
        old = self.f.load(pointer, op.dtype, index, value.lanes)
        self.f.store(pointer, index, accumulated(op.name, old, value))
