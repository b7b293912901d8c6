"""Kernels as native code have the numbers of the interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlarray.planner.kernel import interpreter
from dlarray.planner.kernel.joining import BatchRead, StepArrays
from dlarray.planner.kernel.loops import Call, Input, Kernel, Operation
from dlarray.planner.native import kernels as kernel_calls
from dlarray.planner.native import module
from dlarray.planner.native.executor import native
from tests.fuzz import exact
from tests.support import kernels
from tests.support.kernels import by_native
from tests.support.library_steps import library_steps

pytest.importorskip("llvmlite", reason='pip install "dlarray[fast]"')

HAND = [(dtype, name) for dtype in kernels.FLOATS for name in kernels.by_hand(dtype)]


def normal(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    values = np.random.default_rng(1).normal(size=shape)
    return values.astype(dtype)


def positive(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return abs(normal(dtype, shape)) + np.asarray(0.5, dtype)


@pytest.mark.parametrize(("dtype", "name"), HAND)
def test_every_kind_and_reduction(dtype: str, name: str):
    kernel = kernels.by_hand(dtype)[name]
    in_place = kernels.IN_PLACE.get(name, {})
    for rows, cols in kernels.SIZES if kernel.sweeps else [(1, 1)]:
        kernels.check(kernels.call(kernel, rows, cols, positive, in_place), by_native)


@pytest.mark.parametrize("shape", ["wide", "narrow"])
@pytest.mark.parametrize(("dtype", "name"), HAND)
def test_every_size_in_another_shape_of_loops(dtype: str, name: str, shape: str, monkeypatch: pytest.MonkeyPatch):
    """The planner chooses the shape by the size; any shape must be right at any size."""
    monkeypatch.setattr(kernel_calls, "shape_for", lambda kernel, rows, cols: shape)
    kernel = kernels.by_hand(dtype)[name]
    for rows, cols in [(1, 7), (7, 1), (5, 20), (66, 3)] if kernel.sweeps else [(1, 1)]:
        kernels.check(kernels.call(kernel, rows, cols, positive, kernels.IN_PLACE.get(name, {})), by_native)


@pytest.mark.parametrize("name", ["relu of a sum", "softmax", "strided"])
def test_no_rows(name: str):
    kernel = kernels.by_hand("float64")[name]
    call = kernels.call(kernel, 0, 5, normal, {})
    by_native(call)
    for value, out in zip(kernel.outputs, call.outputs, strict=True):
        if kernel.kind(value) in "RS" and (op := kernel.operation(value)) is not None and op.name == "sum":
            np.testing.assert_array_equal(out, 0)


def test_random_programs():
    reports, counts = exact.fuzz(range(70), ["native"])
    assert not reports, reports[0]
    assert counts["equal"] > 50


@pytest.mark.parametrize("dtype", [*kernels.FLOATS, "bool", *kernels.INTEGERS])
def test_every_exact_operation_bit_for_bit(dtype: str):
    kernels.check_exact(dtype, by_native)


@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_a_quotient_by_the_largest_is_a_quotient(dtype: str):
    """x / max(x) is 1 for the largest number, and 127 times that is 127, for any number."""
    divided = Operation("divide", (0, 1), "E", dtype, 0)
    by_one, by_row = (Kernel((Input("E", dtype), Input(kind, dtype)), (), (divided,), (2,)) for kind in "SC")
    for largest in range(2, 1000, 83):
        x = np.arange(1, largest + 1, dtype=dtype).reshape(1, -1)
        call = Call(by_one, 1, largest, [], [x, np.full((1, 1), largest, dtype)], [np.empty_like(x)])
        by_native(call)
        np.testing.assert_array_equal(call.outputs[0], x / x.dtype.type(largest))
    x = np.tile(np.arange(1, 1000, dtype=dtype), (998, 1))
    largest = np.arange(2, 1000, dtype=dtype).reshape(-1, 1)
    call = Call(by_row, 998, 999, [], [x, largest], [np.empty_like(x)])
    by_native(call)
    np.testing.assert_array_equal(call.outputs[0], x / largest)


@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_numbers_below_0_wrap_to_unsigned_ones(dtype: str):
    x = np.array([[-1, -2.5, -104, 3.7, 200, -0.5, 0, 254.99]] * 3, dtype)
    for to in ("uint8", "uint16", "uint32", "uint64"):
        call = Call(kernels.together([("astype", to)], dtype), 3, 8, [], [x, x, x > 0], [np.empty(x.shape, to)])
        by_native(call)
        whole = [int(v) % 2 ** (8 * np.dtype(to).itemsize) for v in x.ravel()]
        np.testing.assert_array_equal(call.outputs[0].ravel(), np.array(whole, to))


@pytest.mark.parametrize("dtype", kernels.FLOATS)
@pytest.mark.parametrize(("rows", "cols"), [(2, 300_000), (300_000, 2), (30_000, 40), (1, 100_003)])
def test_sums_of_many_numbers_are_as_accurate_as_numpys(rows: int, cols: int, dtype: str):
    """Sums of rows, columns, all elements and values by row, compared with exact sums."""

    def reduced(name: str, over: Any, of: int = 0) -> Operation:
        return Operation(name, (of,), {"row": "C", "column": "R", "all": "S"}[over], dtype, 0, over)

    x = (0.1 + 1e-3 * np.random.default_rng(2).random((rows, cols))).astype(dtype)
    sums = [reduced("sum", "row"), reduced("sum", "column"), reduced("sum", "all")]
    shapes = [(rows, 1), (1, cols), (1, 1)]
    if rows == 1:  # a domain of one row has no other kinds
        sums, shapes = sums[2:], shapes[2:]
    call = Call(Kernel((Input("E", dtype),), (), tuple(sums), tuple(range(1, 1 + len(sums)))), rows, cols, [], [x])
    call.outputs = [np.empty(shape, dtype) for shape in shapes]
    by_native(call)
    wide = x.astype(np.longdouble)
    for op, found in zip(sums, call.outputs, strict=True):
        axis = {"row": 1, "column": 0, "all": None}[op.over]
        exact = np.sum(wide, axis=axis).ravel()
        of_numpy = np.max(np.abs(np.sum(x, axis=axis).ravel() / exact - 1))
        error = np.max(np.abs(found.ravel() / exact - 1))
        assert error <= max(4 * np.finfo(dtype).eps, float(of_numpy)), (op.over, error, of_numpy)


@pytest.mark.parametrize("shape", [(4, 2000), (40, 20)])
@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_sums_with_infinities_and_of_zeros(dtype: str, shape: tuple[int, int]):
    """An infinite sum is infinite; that of opposite infinities NaN; that of negative zeros 0, as in NumPy."""
    kernel = Kernel((Input("E", dtype),), (), (Operation("sum", (0,), "C", dtype, 0, "row"),), (1,))
    x, last = np.ones(shape, dtype), shape[1] - 1
    x[0, 7], x[1, 3], x[1, last - 2], x[2, last], x[3] = np.inf, np.inf, -np.inf, np.nan, -0.0
    call = Call(kernel, *shape, [], [x], [np.empty((shape[0], 1), dtype)])
    by_native(call)
    np.testing.assert_array_equal(call.outputs[0][:4].ravel(), [np.inf, np.nan, np.nan, 0])
    assert np.signbit(call.outputs[0][3, 0]) == np.signbit(x[3].sum())


@pytest.mark.slow
@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_every_kernel_of_the_library(dtype: str):
    made = 0
    for name, (step, state, batch) in library_steps(dtype).items():
        try:
            made += kernels.through_planner(step, state, batch, by_native)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
    assert made > 70


def test_a_new_size_and_new_constants_need_no_new_code(monkeypatch: pytest.MonkeyPatch):
    made: list[Any] = []
    new = module.Module

    def counted(*args: Any) -> Any:
        made.append(new(*args))
        return made[-1]

    monkeypatch.setattr(module, "Module", counted)
    kernel = kernels.by_hand("float32")["relu of a sum"]
    for rows, constant in ((20, 0.5), (33, 0.25), (300, -1.0)):
        call = kernels.call(kernel, rows, 64, normal, {})
        call.constants = [constant]
        kernels.check(call, by_native)
    assert len(made) == 1


def test_an_input_can_move():
    kernel = kernels.by_hand("float64")["strided"]
    call = kernels.call(kernel, 6, 40, normal, {})
    read = BatchRead(0, 0, 0, np.asarray)
    joined = native.join(native(call).calls, [read], StepArrays(batch=call.inputs[:1]))
    wide = np.zeros((6, 80))[:, ::-2]
    wide[...] = call.inputs[0] + 1
    assert wide.strides == call.inputs[0].strides
    joined.rebind(read, wide)
    for function, args in joined.calls:
        function(*args)
    found = [a.copy() for a in call.outputs]
    call.inputs[0] = wide
    interpreter.run(call)
    for a, b in zip(found, call.outputs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-13)


def test_an_output_across_an_input_is_refused():
    kernel = kernels.by_hand("float64")["relu of a sum"]
    call = kernels.call(kernel, 4, 64, normal, {})
    memory = np.zeros(5 * 64)
    call.inputs[0], call.outputs[0] = memory[:256].reshape(4, 64), memory[64:].reshape(4, 64)
    with pytest.raises(ValueError, match="output 0 overlaps input 0"):
        native(call)
    square = kernels.call(kernel, 4, 4, normal, {})
    square.inputs[0] = square.outputs[0].T
    with pytest.raises(ValueError, match="output 0 overlaps input 0"):
        native(square)
