"""Kernels made by hand for the tests of printers, and the comparison of their results with the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dlarray.core.trees import flatten
from dlarray.planner.kernel import interpreter
from dlarray.planner.kernel.loops import AFTER, BEFORE, OPERATIONS, BoundKernel, Call, Input, Kernel, Operation
from dlarray.planner.native.executor import native
from dlarray.planner.run.program import Program

INEXACT = {"sum", "power"} | {f"arc{n}{h}" for n in ("sin", "cos", "tan") for h in ("", "h")}
INEXACT |= {"exp", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan", "sinh", "cosh", "tanh"}
"""Operations whose last digits depend on the order of a sum or on the library of functions."""
EPSILONS = 64

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, np.inf, -np.inf, np.nan, 1e-40, -3e-310, 88.8, -104.0, 1e30, 0.3]
EXACT = (
    "positive negative absolute sign square reciprocal floor ceil trunc rint sqrt "
    "add subtract multiply divide maximum minimum where"
)
QUESTIONS = (
    "less less_equal greater greater_equal equal not_equal isnan isinf isfinite "
    "logical_and logical_or logical_xor logical_not"
)
WHOLE = (
    "add subtract multiply maximum minimum square absolute negative "
    "bitwise_and bitwise_or bitwise_xor invert left_shift right_shift where"
)
TRUTH = "add multiply maximum minimum bitwise_and bitwise_or bitwise_xor where"
INTEGERS = [f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)]

Run = Callable[[Call], None]
FLOATS = ("float32", "float64")
SIZES = [(1, 1), (1, 7), (7, 1), (3, 5), (16, 10), (65, 31), (64, 64), (5, 1000), (2, 4097)]


def together(operations: list[tuple[str, str]], dtype: str) -> Kernel:
    """One kernel that does many operations, each with its result's dtype, on the same inputs; the third is bool."""
    made = [(name, *((2, 0, 1) if name == "where" else (0, 1))[: OPERATIONS[name]], to) for name, to in operations]
    ops = tuple(Operation(name, tuple(args), "E", to, 0) for name, *args, to in made)
    inputs = (Input("E", dtype), Input("E", dtype), Input("E", "bool"))
    return Kernel(inputs, (), ops, tuple(range(3, 3 + len(ops))))


def exact(dtype: str) -> Iterator[Kernel]:
    """Every operation on a dtype whose result has no rounding of its own or the only right one, eight to a kernel."""
    names = EXACT if dtype in FLOATS else TRUTH if dtype == "bool" else WHOLE
    all_ = [(name, dtype) for name in names.split()] + [(name, "bool") for name in QUESTIONS.split()]
    all_ += [("astype", to) for to in (FLOATS if dtype in FLOATS else (*FLOATS, *INTEGERS))] + [("astype", "bool")]
    widths = {"float32": ("int32", "uint32"), "float64": ("int64", "uint64"), "int32": ("float32", "uint32")}
    widths |= {"uint32": ("float32",), "int64": ("float64",), "uint64": ("float64", "int64"), "int16": ("uint16",)}
    all_ += [("bits", to) for to in widths.get(dtype, ())]
    for i in range(0, len(all_), 8):
        yield together(all_[i : i + 8], dtype)


def specials(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers with special cases: zeros, infinities, NaN, very large and very small ones."""
    rng = np.random.default_rng(17)
    if dtype in FLOATS:
        with np.errstate(over="ignore"):
            return rng.choice(SPECIAL, shape).astype(dtype)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


def shifts(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Shift counts: below the number of bits, equal to it, above it, and negative."""
    info = np.iinfo(dtype)
    counts = [0, 1, info.bits - 1, info.bits, info.bits + 1, 2 * info.bits, 64, info.max, max(info.min, -1), info.min]
    return np.random.default_rng(18).choice(np.array(counts, dtype), shape)


def check_exact(dtype: str, run: Run, values: Callable[[str, tuple[int, int]], np.ndarray] = specials) -> None:
    """Every exact operation on a dtype, bit for bit, the sign of zero too."""
    for kernel in exact(dtype):
        given = call(kernel, 8, 64, values, {})
        given.inputs[1] = np.roll(given.inputs[1], 7).copy()
        if any("shift" in op.name for op in kernel.operations):
            given.inputs[1] = shifts(dtype, given.inputs[1].shape)
        found = copied(given)
        run(found)
        interpreter.run(given)
        for op, a, b in zip(kernel.operations, found.outputs, given.outputs, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"{op.name} of {dtype}")
            if b.dtype.kind == "f" and op.name not in ("maximum", "minimum", "sign"):
                known = ~np.isnan(b)
                np.testing.assert_array_equal(np.signbit(a[known]), np.signbit(b[known]), err_msg=f"sign of {op.name}")


def by_hand(dtype: str) -> dict[str, Kernel]:
    """Kernels with every kind of value, every reduction, and operations before, in and after the sweeps."""

    def op(name: str, args: tuple[int, ...], kind: Any, sweep: int, over: Any = "", to: str = dtype) -> Operation:
        return Operation(name, args, kind, to, sweep, over)

    def kernel(
        inputs: list[tuple[Any, bool]], constants: int, operations: list[Operation], outputs: list[int]
    ) -> Kernel:
        given = tuple(Input(kind, dtype, dense) for kind, dense in inputs)
        return Kernel(given, (dtype,) * constants, tuple(operations), tuple(outputs))

    e, r, c, s = ("E", True), ("R", True), ("C", True), ("S", True)
    return {
        "relu of a sum": kernel([e, r], 1, [op("add", (0, 1), "E", 0), op("maximum", (3, 2), "E", 0)], [4]),
        "softmax": kernel(
            [e],
            0,
            [
                op("max", (0,), "C", 0, "row"),
                op("subtract", (0, 1), "E", 1),
                op("exp", (2,), "E", 1),
                op("sum", (3,), "C", 1, "row"),
                op("divide", (3, 4), "E", 2),
                op("sum", (5,), "R", 2, "column"),
                op("sum", (5,), "S", 2, "all"),
                op("log", (4,), "C", 2),
                op("add", (8, 1), "C", 2),
                op("sum", (9,), "S", 2, "all"),
                op("sqrt", (10,), "S", AFTER),
            ],
            [5, 6, 7, 9, 10, 4],
        ),
        "norm by columns": kernel(
            [e, r, r, s],
            1,
            [
                op("add", (2, 4), "R", 0),
                op("sqrt", (5,), "R", 0),
                op("reciprocal", (3,), "S", BEFORE),
                op("multiply", (6, 7), "R", 0),
                op("subtract", (0, 1), "E", 0),
                op("divide", (9, 8), "E", 0),
                op("max", (10,), "R", 0, "column"),
                op("min", (10,), "S", 0, "all"),
                op("sum", (10,), "C", 0, "row"),
            ],
            [10, 11, 12, 13],
        ),
        "strided": kernel(
            [("E", False), ("R", False), ("C", False)],
            0,
            [
                op("add", (0, 1), "E", 0),
                op("multiply", (3, 2), "E", 0),
                op("sum", (4,), "R", 0, "column"),
                op("min", (4,), "C", 0, "row"),
            ],
            [4, 5, 6],
        ),
        "columns in": kernel(
            [c, e],
            0,
            [op("square", (0,), "C", 0), op("multiply", (1, 2), "E", 0), op("max", (0,), "S", 0, "all")],
            [2, 3, 4],
        ),
        "descent": kernel(  # θ and m are written in place
            [e, e, e, s],
            1,
            [
                op("multiply", (1, 4), "E", 0),
                op("add", (5, 2), "E", 0),
                op("multiply", (6, 3), "E", 0),
                op("subtract", (0, 7), "E", 0),
                op("add", (3, 4), "S", BEFORE),
            ],
            [8, 6, 9],
        ),
        "sums of what is written over": kernel(
            [e],
            1,
            [
                op("sum", (0,), "C", 0, "row"),
                op("max", (0,), "S", 0, "all"),
                op("min", (0,), "R", 0, "column"),
                op("multiply", (0, 1), "E", 0),
            ],
            [5, 2, 3, 4],
        ),
        "index": kernel(
            [],
            0,
            [op("index", (), k, 0) for k in "ERC"] + [op("add", (0, 1), "E", 0), op("multiply", (3, 2), "E", 0)],
            [4],
        ),
        "scalars": kernel([s], 1, [op("add", (0, 1), "S", BEFORE), op("sqrt", (2,), "S", BEFORE)], [2, 3]),
    }


IN_PLACE = {"descent": {0: 0, 1: 1, 2: 3}, "sums of what is written over": {0: 0}}
"""Which outputs of a kernel made by hand are the memory of which inputs."""


def by_native(call: Call) -> None:
    """Run a call by the native executor, as a step of this kernel alone."""
    for function, args in native(call).calls:
        function(*args)


def shape(kind: str, rows: int, cols: int) -> tuple[int, int]:
    return rows if kind in "EC" else 1, cols if kind in "ER" else 1


def strided(array: np.ndarray, how: str = "transposed") -> np.ndarray:
    """The same numbers with other strides."""
    if how == "transposed":
        return np.asfortranarray(array)
    wide = np.zeros((array.shape[0], 2 * array.shape[1]), array.dtype)[:, ::-2]
    wide[...] = array
    return wide


def call(
    kernel: Kernel, rows: int, cols: int, values: Callable[[str, tuple[int, int]], np.ndarray], in_place: dict[int, int]
) -> Call:
    """A call with generated inputs. ``in_place`` maps outputs to the inputs whose memory they are."""
    inputs = [values(i.dtype, shape(i.kind, rows, cols)) for i in kernel.inputs]
    for k, i in enumerate(kernel.inputs):
        inputs[k] = inputs[k] if i.dense else strided(inputs[k], "transposed" if k else "backwards")
    outputs = [np.full(shape(kernel.kind(v), rows, cols), 7, kernel.dtype(v)) for v in kernel.outputs]
    for o, k in in_place.items():
        outputs[o] = inputs[k]
    return Call(kernel, rows, cols, [0.5] * len(kernel.constants), inputs, outputs)


def copied(given: Call) -> Call:
    """The same call on copies: shared memory stays shared, and strided arrays stay strided."""
    copies: dict[int, np.ndarray] = {}

    def copy(array: np.ndarray, dense: bool) -> np.ndarray:
        key = array.ctypes.data
        return copies.setdefault(key, array.copy() if dense else strided(array)) if array.size else array.copy()

    outputs = [copy(a, True) for a in given.outputs]
    inputs = [copy(a, i.dense) for a, i in zip(given.inputs, given.kernel.inputs, strict=True)]
    inputs = [b.reshape(a.shape) if a.shape != b.shape else b for a, b in zip(given.inputs, inputs, strict=True)]
    return Call(given.kernel, given.rows, given.cols, given.constants, inputs, outputs)


def check(given: Call, run: Run) -> None:
    """Run a call on copies, compare with the interpreter, and leave the interpreter's results in the call's arrays."""
    interpreter.validate(given.kernel)
    found = copied(given)
    run(found)
    interpreter.run(given)
    exact = INEXACT.isdisjoint(op.name for op in given.kernel.operations)
    for v, a, b in zip(given.kernel.outputs, found.outputs, given.outputs, strict=True):
        what = f"output {v} of {given.rows} x {given.cols}, {given.kernel}"
        if exact or a.dtype.kind != "f":
            np.testing.assert_array_equal(a, b, err_msg=what)
        else:
            known = np.isfinite(b)
            np.testing.assert_array_equal(a[~known], b[~known], err_msg=what)
            scale = np.max(np.abs(b[known]), initial=0)
            limit = EPSILONS * np.finfo(a.dtype).eps * max(float(scale), float(np.finfo(a.dtype).tiny))
            assert np.all(np.abs(a[known] - b[known]) <= limit), (
                f"{np.max(np.abs(a[known] - b[known])) / limit}: {what}"
            )


def through_planner(step: Callable[[Any, Any], tuple[Any, Any]], state: Any, batch: Any, run: Run) -> int:
    """Trace a step and check every kernel of its plan; returns their number."""
    calls: list[Call] = []

    def executor(given: Call) -> BoundKernel:
        calls.append(given)
        return BoundKernel([(check, (given, run))])

    given: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    flatten(state, given[0])
    flatten(batch, given[1])
    Program(step, state, batch, executor).replay(*given)(given[1])
    return len(calls)
