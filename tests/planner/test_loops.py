"""A kernel's loops are executed as the interpreter executes them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from dlarray.planner.kernel.interpreter import run, run_by_rows, validate
from dlarray.planner.kernel.loops import AFTER, BEFORE, OPERATIONS, Call, Input, Kernel, Operation
from dlarray.planner.numpy.ufuncs import ufuncs
from tests.support.steps import arrays

EXECUTORS = {
    "ufuncs": lambda call: [f(*args) for f, args in ufuncs(call).calls],
    "blocks": lambda call: [f(*args) for f, args in partial(ufuncs, block=8)(call).calls],
    "rows": run_by_rows,
}


def softmax_kernel(dtype: str = "float64") -> Kernel:
    """dz = softmax(z + b) w - t, its columns' sums, every row's maximum, and the sum of all, doubled."""
    E, R, C, S = "E", "R", "C", "S"
    return Kernel(
        inputs=(Input(E, dtype), Input(R, dtype), Input(C, dtype), Input(E, dtype, dense=False)),
        constants=(dtype,),
        operations=(
            Operation("add", (0, 1), E, dtype, 0),  # 5: z + b
            Operation("max", (5,), C, dtype, 0, "row"),  # 6
            Operation("subtract", (5, 6), E, dtype, 1),
            Operation("exp", (7,), E, dtype, 1),  # 8: buffered
            Operation("sum", (8,), C, dtype, 1, "row"),  # 9
            Operation("divide", (2, 9), C, dtype, 2),  # 10
            Operation("multiply", (8, 10), E, dtype, 2),
            Operation("subtract", (11, 3), E, dtype, 2),  # 12: dz
            Operation("sum", (12,), R, dtype, 2, "column"),  # 13
            Operation("sum", (12,), S, dtype, 2, "all"),  # 14
            Operation("multiply", (14, 4), S, dtype, AFTER),  # 15
            Operation("min", (6,), S, dtype, 1, "all"),  # 16: of values by row
            Operation("index", (), C, "int32", 0),  # 17
            Operation("negative", (4,), S, dtype, BEFORE),  # 18
        ),
        outputs=(6, 12, 13, 15, 16, 17, 18),
    )


def softmax_call(rows: int, cols: int, dtype: str = "float64") -> Call:
    z, t = arrays((rows, cols), (cols, rows), dtype=dtype)
    b, w = arrays((1, cols), (rows, 1), dtype=dtype)
    outputs = [np.zeros(s, dtype) for s in ((rows, 1), (rows, cols), (1, cols), (1, 1), (1, 1))]
    outputs += [np.zeros((rows, 1), np.int32), np.zeros((1, 1), dtype)]
    return Call(softmax_kernel(dtype), rows, cols, [2.0], [z, b, w, t.T], outputs)


def test_a_kernels_operations_are_numpys():
    for name in OPERATIONS:
        assert name in ("where", "astype", "bits", "index") or hasattr(np, name)


def test_what_a_sweep_evaluates_and_keeps():
    kernel = softmax_kernel()
    validate(kernel)
    assert kernel.sweeps == 3
    assert kernel.buffered == {8}
    assert [kernel.evaluated(s) for s in range(3)] == [[5, 6], [5, 7, 8, 9], [11, 12, 13, 14]]


def test_the_interpreter_does_what_the_formula_says():
    call = softmax_call(6, 4)
    run(call)
    z, b, w, t = call.inputs
    e = np.exp(z + b - (z + b).max(axis=1, keepdims=True))
    dz = e / e.sum(axis=1, keepdims=True) * w - t
    expected = [(z + b).max(axis=1), dz, dz.sum(axis=0), 2 * dz.sum(), (z + b).max(axis=1).min(), np.arange(6), -2.0]
    for made, value in zip(call.outputs, expected, strict=True):
        np.testing.assert_allclose(made.ravel(), np.ravel(value), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 3), (7, 2), (16, 9)])
@pytest.mark.parametrize("name", EXECUTORS)
def test_executors_agree_with_the_interpreter(name, shape, dtype):
    call, oracle = softmax_call(*shape, dtype), softmax_call(*shape, dtype)
    run(oracle)
    for _ in range(2):  # a second step uses the memory of the first
        EXECUTORS[name](call)
    for made, value in zip(call.outputs, oracle.outputs, strict=True):
        np.testing.assert_allclose(
            made, value, rtol=2e-5 if dtype == "float32" else 1e-12, atol=1e-6 if dtype == "float32" else 1e-14
        )


SELECT = [np.nan, np.inf, -np.inf, -0.0, 0.0, 1.5, 5e-324, -2.0]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool", "int8"])
@pytest.mark.parametrize("constant", [None, 1, 2])
@pytest.mark.parametrize("name", EXECUTORS)
def test_selection_is_exact_to_the_bit(name, constant, dtype):
    values = np.array(SELECT)
    with np.errstate(all="ignore"):
        a = (values if dtype.startswith("float") else np.arange(8)).astype(dtype).reshape(2, 4)
    b = a[::-1, ::-1].copy()
    condition = np.array([[True, False, True, True], [False, True, False, True]])
    args = [0, 1, 2]
    inputs, given = [Input("E", "bool"), Input("E", dtype), Input("E", dtype)], [condition, a, b]
    if constant is not None:  # 0, whose bits are all 0, has a shorter form
        del inputs[constant], given[constant]
        args = [0, 2, 1] if constant == 1 else [0, 1, 2]
    constants, zero = ((), []) if constant is None else ((dtype,), [np.zeros((), dtype).item()])
    kernel = Kernel(tuple(inputs), constants, (Operation("where", tuple(args), "E", dtype, 0),), (3,))
    call = Call(kernel, 2, 4, zero, given, [np.empty((2, 4), dtype)])
    EXECUTORS[name](call)
    full = [condition, a, b]
    if constant is not None:
        full[constant] = np.zeros((2, 4), dtype)
    assert call.outputs[0].tobytes() == np.where(*full).astype(dtype).tobytes()


@pytest.mark.parametrize("name", EXECUTORS)
def test_maximum_keeps_nan_and_integers_wrap(name):
    x = np.array([[np.nan, 1.0, -1.0]])
    kernel = Kernel((Input("E", "float64"),), ("float64",), (Operation("maximum", (0, 1), "E", "float64", 0),), (2,))
    call = Call(kernel, 1, 3, [0.0], [x], [np.empty((1, 3))])
    EXECUTORS[name](call)
    np.testing.assert_array_equal(call.outputs[0], [[np.nan, 1.0, 0.0]])
    kernel = Kernel((Input("E", "int32"),), ("int32",), (Operation("multiply", (0, 1), "E", "int32", 0),), (2,))
    call = Call(kernel, 1, 2, [2**30], [np.array([[4, 3]], np.int32)], [np.empty((1, 2), np.int32)])
    EXECUTORS[name](call)
    np.testing.assert_array_equal(call.outputs[0], [[0, -(2**30)]])


@pytest.mark.parametrize("name", EXECUTORS)
def test_an_output_may_be_an_input_that_is_read_again(name):
    """x = x + 1 is written over x while y = x (x + 1), later in the same sweep, reads the old one."""
    operations = (Operation("add", (0, 1), "E", "float64", 0), Operation("multiply", (0, 2), "E", "float64", 0))
    kernel = Kernel((Input("E", "float64"),), ("float64",), operations, (2, 3))
    x, y = np.arange(24.0).reshape(4, 6), np.empty((4, 6))
    EXECUTORS[name](Call(kernel, 4, 6, [1.0], [x], [x, y]))
    old = np.arange(24.0).reshape(4, 6)
    np.testing.assert_array_equal(x, old + 1)
    np.testing.assert_array_equal(y, old * (old + 1))


def test_what_breaks_the_promises_is_refused():
    late = (Operation("sum", (0,), "S", "float64", 0, "all"), Operation("add", (0, 1), "E", "float64", 0))
    with pytest.raises(AssertionError):
        validate(Kernel((Input("E", "float64"),), (), late, (2,)))
    with pytest.raises(AssertionError):
        validate(Kernel((Input("R", "float64"),), (), (Operation("sum", (0,), "C", "float64", 0, "row"),), (1,)))
