"""The functions by which Python enters native code.

    call_<part>(self, NULL)        runs a part of the step
    enter(self, arrays, count)     checks the arrays of a batch, and runs the whole step on them
    many(table, …)                 runs several steps on batches of all examples

``self`` is the table, a NumPy array. The lock of Python's interpreter is released while a step is computed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

import numpy as np

from dlarray.planner.kernel.joining import BatchRead, StepArrays
from dlarray.planner.native.function import Function
from dlarray.planner.native.module import add_symbol
from dlarray.planner.native.parts import Parts
from dlarray.planner.native.python import ARRAY, SYMBOLS
from dlarray.planner.native.table import Table
from dlarray.planner.native.types import BYTES
from dlarray.planner.native.values import Value

__all__ = ["Entries"]

_CONTIGUOUS_AND_ALIGNED = 0x0001 | 0x0100
_BITS = {BYTES[name]: name for name in ("int8", "int16", "int32", "int64")}
"""The integers by which single numbers of other types are copied too, by their bytes."""


class Entries:
    """Functions for one table."""

    def __init__(self, parts: Parts, table: Table, reads: Sequence[BatchRead], arrays: StepArrays) -> None:
        self.functions: list[str] = []
        self.declared: set[str] = {
            "declare ptr @PyEval_SaveThread()",
            "declare void @PyEval_RestoreThread(ptr)",
            "declare void @Py_IncRef(ptr)",
        }
        _add_symbols()
        self._table = table
        self._arrays = arrays
        self._targets = [_Target(read, parts.words.get((read.call, read.position), ()), arrays) for read in reads]

    def add_call(self, part: str) -> None:
        """A function that runs a part."""
        f = Function(f"ptr @call_{part}(ptr %self, ptr %unused) nounwind")
        with _unlocked(f):
            f.do(f"call void @{part}(ptr {_table(f)})")
        self._add(f, _new_reference(f, None))

    def add_enter(self, part: str) -> None:
        """A function that runs a part as the whole step."""
        f = Function("ptr @enter(ptr %self, ptr %arrays, i64 %count) nounwind")
        table, done = _table(f), f.variable("int64", 0)
        with f.when(Value(f, "%count", "int64").equals(len(self._arrays.batch))):
            objects = [f.pointer("%arrays", i) for i in range(len(self._arrays.batch))]
            is_array = [_field(f, o, "type", "int64").equals(id(np.ndarray)) for o in objects]
            with f.when(_all(f, is_array)), f.when(_all(f, self._kinds(f, table, objects))):
                addresses = [_field(f, o, "data", "int64") for o in objects]
                with f.when(_all(f, [*self._shapes(f, table, objects), *self._outside(f, table, addresses)])):
                    self._store(f, table, dict(enumerate(addresses)))
                    with _unlocked(f):
                        f.do(f"call void @{part}(ptr {table})")
                    done.set(f.index(1))
        result = Value(f, _object(True), "pointer")
        text = f.emit(f"select i1 {done.get().differs(0).text}, ptr {result.text}, ptr {_object(False)}")
        f.do(f"call void @Py_IncRef(ptr {text})")
        self._add(f, f"ret ptr {text}")

    def add_many(self, part: str) -> tuple[int, ...]:
        """A function that runs several steps. Returns the words of the table for the addresses of all examples.

        None is added, and the result is empty, if the step has no loss, or if its batch is not rows of examples.
        """
        loss, batch = self._arrays.loss, self._arrays.batch
        if loss is None or loss.ndim or not batch or not all(a.ndim and 0 < len(a) == len(batch[0]) for a in batch):
            return ()
        f = Function("void @many(ptr %table, i64 %count, ptr %order, i64 %start, ptr %losses) nounwind")
        size = f.load("%table", "int64", self._table.add(len(batch[0])))
        ordered = Value(f, f.emit("icmp ne ptr %order, null"), "bool")
        words = tuple(self._table.add(0) for _ in batch)
        read = sorted({target.leaf for target in self._targets})
        gathered = {leaf: _Gathered(f, self._table, words[leaf], batch[leaf]) for leaf in read}
        with f.loop(0, Value(f, "%count", "int64")) as i:
            first = Value(f, "%start", "int64") + i * size
            with f.when(ordered), f.loop(0, size) as row:
                index = f.load("%order", "int32", first + row).cast("int64")
                for examples in gathered.values():
                    examples.copy(row, index)
            self._store(f, "%table", {leaf: ordered.select(x.target, x.row(first)) for leaf, x in gathered.items()})
            f.do(f"call void @{part}(ptr %table)")
            at = f.pointer("%table", self._table.add_array(loss))
            f.store("%losses", i, f.load(at, loss.dtype.name, 0))
        self._add(f, "ret void")
        return words

    def _kinds(self, f: Function, table: str, objects: Sequence[str]) -> Iterator[Value]:
        """Whether each array has the dtype, the number of axes and the layout in memory of the first one."""
        for o, array in zip(objects, self._arrays.batch, strict=True):
            dtype = self._table.add(id(self._table.keep(array.dtype)))
            yield _field(f, o, "dtype", "int64").equals(f.load(table, "int64", dtype))
            yield _field(f, o, "ndim", "int32").equals(array.ndim)
            yield (_field(f, o, "flags", "int32") & _CONTIGUOUS_AND_ALIGNED).equals(_CONTIGUOUS_AND_ALIGNED)

    def _shapes(self, f: Function, table: str, objects: Sequence[str]) -> Iterator[Value]:
        for o, array in zip(objects, self._arrays.batch, strict=True):
            shape = _field_pointer(f, o, "shape")
            for axis, length in enumerate(array.shape):
                yield f.load(shape, "int64", axis).equals(f.load(table, "int64", self._table.add(length)))

    def _outside(self, f: Function, table: str, addresses: Sequence[Value]) -> Iterator[Value]:
        """Whether each array is outside of the state's memory."""
        bounds = [np.lib.array_utils.byte_bounds(array) for array in self._arrays.state if array.size]
        words = [[f.load(table, "int64", self._table.add(word)) for word in pair] for pair in bounds]
        for address, array in zip(addresses, self._arrays.batch, strict=True):
            end = address + f.load(table, "int64", self._table.add(array.nbytes))
            for low, high in words:
                yield (end <= low) | (address >= high)

    def _store(self, f: Function, table: str, addresses: Mapping[int, Value]) -> None:
        """Write the addresses of the batch to the words of the table that depend on them."""
        for target in self._targets:
            address = addresses[target.leaf] + target.offset
            for word in target.words:
                f.store(table, word, address)

    def _add(self, f: Function, result: str) -> None:
        self.functions.append(f.text(result))
        self.declared |= f.declared


class _Target:
    """The words of the table that have the address of a view of a leaf."""

    def __init__(self, read: BatchRead, words: tuple[int, ...], arrays: StepArrays) -> None:
        leaf = arrays.batch[read.leaf]
        self.leaf, self.words = read.leaf, words
        self.offset = read.view(leaf).ctypes.data - leaf.ctypes.data


class _Gathered:
    """A leaf of the batch that is gathered from all examples."""

    def __init__(self, f: Function, table: Table, word: int, array: np.ndarray) -> None:
        self._f = f
        is_number = array.ndim == 1 and array.dtype.alignment == array.itemsize
        self._item = _BITS.get(array.itemsize) if is_number else None
        self._data = f.load("%table", "int64", word)
        self._size = f.load("%table", "int64", table.add(array.nbytes // len(array)))
        self.target = f.load("%table", "int64", table.add_array(table.new(array.shape, array.dtype)))

    def row(self, index: Value) -> Value:
        """The address of an example."""
        return self._data + self._size * index

    def copy(self, row: Value, index: Value) -> None:
        """Copy an example to a row of the batch."""
        f = self._f
        to, from_ = (
            f.emit(f"inttoptr {address.typed} to ptr") for address in (self.target + self._size * row, self.row(index))
        )
        if self._item is not None:
            f.store(to, 0, f.load(from_, self._item, 0))
        else:
            f.copy(to, from_, self._size)


def _table(f: Function) -> str:
    """The memory of the table."""
    return _field_pointer(f, "%self", "data")


def _field(f: Function, o: str, name: str, dtype: str) -> Value:
    return f.load(f.address(o, "int8", ARRAY[name]), dtype, 0)


def _field_pointer(f: Function, o: str, name: str) -> str:
    return f.pointer(f.address(o, "int8", ARRAY[name]), 0)


@cache
def _add_symbols() -> None:
    for name in SYMBOLS:
        add_symbol(name, ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0)


def _all(f: Function, conditions: Iterator[Value] | Sequence[Value]) -> Value:
    found = f.constant("bool", True)
    for condition in conditions:
        found = condition & found
    return found


def _object(value: object) -> str:
    """A Python object that lives as long as the process."""
    return f"inttoptr (i64 {id(value)} to ptr)"


def _new_reference(f: Function, value: object) -> str:
    f.do(f"call void @Py_IncRef(ptr {_object(value)})")
    return f"ret ptr {_object(value)}"


@contextmanager
def _unlocked(f: Function) -> Generator[None]:
    thread = f.emit("call ptr @PyEval_SaveThread()")
    yield
    f.do(f"call void @PyEval_RestoreThread(ptr {thread})")
