"""The reference meaning of a kernel: whole arrays, one operation after the other, in plain NumPy.

Slow and obvious; every printer and executor is tested against it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlarray.planner.kernel.loops import AFTER, BEFORE, DTYPES, FLOATS, OPERATIONS, REDUCTIONS, Call, Kernel, Operation

__all__ = ["run", "run_by_rows", "validate"]

AXES = {"row": 1, "column": 0, "all": (0, 1)}
SHAPE_OF = {"E": (True, True), "R": (False, True), "C": (True, False), "S": (False, False)}


def run(call: Call) -> None:
    """Compute all values of a call, and only then write the outputs."""
    kernel = call.kernel
    values: list[np.ndarray] = [array.copy() for array in call.inputs]
    values += [np.full((1, 1), c, dtype) for c, dtype in zip(call.constants, kernel.constants, strict=True)]
    with np.errstate(all="ignore"):
        for op in kernel.operations:
            values.append(_evaluated(op, [values[a] for a in op.args], call))
    for array, value in zip(call.outputs, kernel.outputs, strict=True):
        array[...] = values[value]


def _evaluated(op: Operation, args: list[np.ndarray], call: Call) -> np.ndarray:
    tall, wide = SHAPE_OF[op.kind]
    shape = (call.rows if tall else 1, call.cols if wide else 1)
    if op.over:
        value = getattr(np, op.name)(args[0], axis=AXES[op.over], keepdims=True)
    elif op.name == "index":
        value = np.arange(shape[0] * shape[1]).reshape(shape).astype(op.dtype)
    elif op.name == "astype":
        value = args[0].astype(op.dtype)
    elif op.name == "bits":
        value = args[0].view(op.dtype)
    elif op.name == "where":
        value = np.where(*args)
    else:
        value = getattr(np, op.name)(*args)
    assert value.dtype == op.dtype, f"{op} gives {value.dtype}"
    return np.array(np.broadcast_to(value, shape))


def run_by_rows(call: Call) -> None:
    """The same in the order of a printed loop: row after row, sweep after sweep; each value is written when it is made.

    Within a sweep all columns of a row are computed at once: by the rules of ``loops`` the result is the same.
    """
    _Rows(call).run()


class _Rows:
    def __init__(self, call: Call) -> None:
        self.call, self.kernel = call, call.kernel
        self.numbered = list(enumerate(self.kernel.operations, self.kernel.first))
        self.whole: dict[int, Any] = {}  # scalars, constants, and the partial results of reductions
        for i, (given, array) in enumerate(zip(self.kernel.inputs, call.inputs, strict=True)):
            if given.kind == "S":
                self.whole[i] = array.reshape(()).copy()
        for i, (c, dtype) in enumerate(zip(call.constants, self.kernel.constants, strict=True), len(call.inputs)):
            self.whole[i] = np.asarray(c, dtype)

    def run(self) -> None:
        kernel = self.kernel
        with np.errstate(all="ignore"):
            self._scalars(BEFORE)
            for i in range(self.call.rows if kernel.sweeps else 0):
                self._row(i)
            self._scalars(AFTER)
        for array, v in zip(self.call.outputs, kernel.outputs, strict=True):
            if kernel.kind(v) in "SR":
                array[...] = self.whole[v]

    def _scalars(self, sweep: int) -> None:
        for v, op in self.numbered:
            if op.sweep == sweep:
                self.whole[v] = self._made(op, self.whole, 0)

    def _row(self, i: int) -> None:
        kernel = self.kernel
        known = self.whole | {n: a[i, 0] for n, a in enumerate(self.call.inputs) if kernel.inputs[n].kind == "C"}
        buffered: dict[int, Any] = {}
        for sweep in range(kernel.sweeps):
            for v, op in self.numbered:
                if op.kind == "C" and not op.over and op.sweep == sweep:
                    known[v] = self._made(op, known, i)
            cells = (
                known
                | buffered
                | {n: self._input(n, i) for n in range(len(kernel.inputs)) if kernel.inputs[n].kind in "ER"}
            )
            for v in kernel.evaluated(sweep):
                op = kernel.operations[v - kernel.first]
                if op.over == "row":
                    known[v] = getattr(np, op.name)(cells[op.args[0]])
                elif op.over:
                    self._gather(v, op, cells[op.args[0]])
                else:
                    cells[v] = np.broadcast_to(self._made(op, cells, i), (self.call.cols,)).copy()
                    if v in kernel.buffered and op.sweep == sweep:
                        buffered[v] = cells[v]
            for v, op in self.numbered:
                if op.over == "all" and op.sweep == sweep and kernel.kind(op.args[0]) == "C":
                    self._gather(v, op, known[op.args[0]])
            for array, v in zip(self.call.outputs, kernel.outputs, strict=True):
                if kernel.kind(v) == "E" and kernel.sweep(v) == sweep:
                    array[i] = cells[v]
        for array, v in zip(self.call.outputs, kernel.outputs, strict=True):
            if kernel.kind(v) == "C":
                array[i] = known[v]

    def _input(self, n: int, i: int) -> np.ndarray:
        return self.call.inputs[n][i if self.kernel.inputs[n].kind == "E" else 0].copy()

    def _gather(self, v: int, op: Operation, x: Any) -> None:
        """Add one row to a reduction over rows."""
        share = x if op.over == "column" else getattr(np, op.name)(x)
        both = {"sum": np.add, "max": np.maximum, "min": np.minimum}[op.name]
        self.whole[v] = both(self.whole[v], share) if v in self.whole else share

    def _made(self, op: Operation, values: dict[int, Any], i: int) -> Any:
        args = [np.asarray(values[a]) for a in op.args]
        if op.name == "index":
            counter = np.arange(self.call.cols) if op.kind in "ER" else np.asarray(0)
            return (counter + {"E": i * self.call.cols, "C": i}.get(op.kind, 0)).astype(op.dtype)
        if op.name == "astype":
            return args[0].astype(op.dtype)
        if op.name == "bits":
            return args[0].view(op.dtype)
        return np.where(*args) if op.name == "where" else getattr(np, op.name)(*args)


def validate(kernel: Kernel) -> None:
    """Assert the rules of ``loops`` that printers rely on."""
    for number, op in enumerate(kernel.operations, kernel.first):
        assert op.dtype in DTYPES, op
        assert len(op.args) == OPERATIONS[op.name], op
        assert op.name not in FLOATS or op.dtype.startswith("float"), op
        assert all(a < number for a in op.args), op
        kinds = [kernel.kind(a) for a in op.args]
        assert (op.name in REDUCTIONS) == bool(op.over), op
        if op.over:
            allowed = {"row": [("E", "C")], "column": [("E", "R")], "all": [("E", "S"), ("C", "S")]}
            assert (kinds[0], op.kind) in allowed[op.over], op
            assert op.dtype in ("float32", "float64"), op
            if op.over == "column":
                assert number in kernel.outputs, op
        else:
            below = {"E": "ERCS", "R": "RS", "C": "CS", "S": "S"}[op.kind]
            assert all(k in below for k in kinds), op
        for a in op.args:
            made = kernel.operation(a)
            if made is not None and made.over == "column":
                raise AssertionError(f"{op} reads a column reduction")
            if made is not None and (made.over == "all" or made.sweep == AFTER):
                assert op.sweep == AFTER, op
            if made is not None and made.over == "row":
                assert op.sweep > made.sweep, op
        if op.kind == "S" and not op.over:
            assert op.sweep in (BEFORE, AFTER), op
        else:
            assert BEFORE < op.sweep < AFTER, op
    for value in kernel.outputs:
        op = kernel.operation(value)
        assert op is not None, f"output {value} is not an operation"
        assert op.kind in "ECS" or op.over == "column", f"output {op}"
