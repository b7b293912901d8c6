"""Kernels printed for Numba have the numbers of the interpreter."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from dlarray.planner.kernel.loops import Call, Input, Kernel, Operation
from dlarray.planner.numba import executor as numba_executor
from tests.fuzz import exact
from tests.support import kernels, numba_text
from tests.support.library_steps import library_steps

compiled = pytest.mark.skipif(not numba_executor.available(), reason="no Numba: pip install 'dlarray[fast]'")
LAYOUTS = ("flat", "wide", "narrow")
HAND = [(dtype, name) for dtype in kernels.FLOATS for name in kernels.by_hand(dtype)]


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        if "DLARRAY_CACHE" not in os.environ:
            patch.setenv("DLARRAY_CACHE", str(tmp_path_factory.mktemp("kernels")))
        yield


def run(call: Call) -> None:
    for function, args in numba_executor.numba_loops(call).calls:
        function(*args)


def normal(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    values = np.random.default_rng(1).normal(size=shape)
    return values.astype(dtype)


def positive(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return abs(normal(dtype, shape)) + np.asarray(0.5, dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("dtype", "name"), HAND)
def test_the_text_run_by_python(dtype: str, name: str, layout: numba_text.Layout):
    """In every layout of loops, at all sizes; each access is checked against the scope that it names."""
    kernel = kernels.by_hand(dtype)[name]

    def by_python(call: Call) -> None:
        for function, args in numba_text.executor(layout)(call).calls:
            function(*args)

    for rows, cols in [(1, 7), (7, 1), (5, 20), (66, 3)] if kernel.sweeps else [(1, 1)]:
        kernels.check(kernels.call(kernel, rows, cols, positive, kernels.IN_PLACE.get(name, {})), by_python)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_random_programs_run_by_python(layout: numba_text.Layout, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(exact.EXECUTORS, layout, numba_text.executor(layout))
    reports, counts = exact.fuzz(range(70), [layout])
    assert not reports, reports[0]
    assert counts["equal"] > 50


@compiled
@pytest.mark.parametrize(("dtype", "name"), HAND)
def test_every_kind_and_reduction(dtype: str, name: str):
    kernel = kernels.by_hand(dtype)[name]
    in_place = kernels.IN_PLACE.get(name, {})
    for rows, cols in kernels.SIZES if kernel.sweeps else [(1, 1)]:
        kernels.check(kernels.call(kernel, rows, cols, positive, in_place), run)


@compiled
@pytest.mark.parametrize("name", ["relu of a sum", "softmax", "strided"])
def test_no_rows(name: str):
    kernel = kernels.by_hand("float64")[name]
    call = kernels.call(kernel, 0, 5, normal, {})
    run(call)
    for value, out in zip(kernel.outputs, call.outputs, strict=True):
        if kernel.kind(value) in "RS" and (op := kernel.operation(value)) is not None and op.name == "sum":
            np.testing.assert_array_equal(out, 0)


@compiled
@pytest.mark.parametrize("dtype", [*kernels.FLOATS, "bool", *kernels.INTEGERS])
def test_every_exact_operation_bit_for_bit(dtype: str):
    kernels.check_exact(dtype, run)


@compiled
@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_a_quotient_by_the_largest_is_a_quotient(dtype: str):
    """x / max(x) is 1 for the largest number, and 127 times that is 127, for any number."""
    divided = Operation("divide", (0, 1), "E", dtype, 0)
    kernel = Kernel((Input("E", dtype), Input("S", dtype)), (), (divided,), (2,))
    for largest in range(2, 1000, 7):
        x = np.arange(1, largest + 1, dtype=dtype).reshape(1, -1)
        call = Call(kernel, 1, largest, [], [x, np.full((1, 1), largest, dtype)], [np.empty_like(x)])
        run(call)
        np.testing.assert_array_equal(call.outputs[0], x / x.dtype.type(largest))


@compiled
@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_numbers_below_0_wrap_to_unsigned_ones(dtype: str):
    x = np.array([[-1, -2.5, -104, 3.7, 200, -0.5, 0, 254.99]] * 3, dtype)
    for to in ("uint8", "uint16", "uint32", "uint64"):
        call = Call(kernels.together([("astype", to)], dtype), 3, 8, [], [x, x, x > 0], [np.empty(x.shape, to)])
        run(call)
        whole = [int(v) % 2 ** (8 * np.dtype(to).itemsize) for v in x.ravel()]
        np.testing.assert_array_equal(call.outputs[0].ravel(), np.array(whole, to))


@compiled
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
    run(call)
    wide = x.astype(np.longdouble)
    for op, found in zip(sums, call.outputs, strict=True):
        axis = {"row": 1, "column": 0, "all": None}[op.over]
        exact = np.sum(wide, axis=axis).ravel()
        of_numpy = np.max(np.abs(np.sum(x, axis=axis).ravel() / exact - 1))
        error = np.max(np.abs(found.ravel() / exact - 1))
        assert error <= max(4 * np.finfo(dtype).eps, float(of_numpy)), (op.over, error, of_numpy)


@compiled
@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_sums_with_infinities_and_of_zeros(dtype: str):
    """An infinite sum is infinite; that of opposite infinities NaN; that of negative zeros -0, as in NumPy."""
    kernel = Kernel((Input("E", dtype),), (), (Operation("sum", (0,), "C", dtype, 0, "row"),), (1,))
    x = np.ones((4, 2000), dtype)
    x[0, 7], x[1, 3], x[1, 1800], x[2, 1999], x[3] = np.inf, np.inf, -np.inf, np.nan, -0.0
    call = Call(kernel, 4, 2000, [], [x], [np.empty((4, 1), dtype)])
    run(call)
    np.testing.assert_array_equal(call.outputs[0].ravel(), [np.inf, np.nan, np.nan, 0])
    assert np.signbit(call.outputs[0][3, 0])


@pytest.mark.slow
@pytest.mark.parametrize("by", [pytest.param("numba", marks=compiled), *LAYOUTS])
@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_every_kernel_of_the_library(dtype: str, by: str):
    executor = numba_executor.numba_loops if by == "numba" else numba_text.executor(by)
    made = 0

    def run(call: Call) -> None:
        for function, args in executor(call).calls:
            function(*args)

    for name, (step, state, batch) in library_steps(dtype, every=by != "numba").items():
        try:
            made += kernels.through_planner(step, state, batch, run)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
    assert made > 70


@compiled
def test_a_new_size_and_new_constants_need_no_new_code():
    kernel = kernels.by_hand("float32")["relu of a sum"]
    before = numba_executor.compiled.cache_info().misses
    for rows in (20, 33, 1000):
        kernels.check(kernels.call(kernel, rows, 64, normal, {}), run)
    assert numba_executor.compiled.cache_info().misses <= before + 1


@compiled
def test_an_input_can_move():
    kernel = kernels.by_hand("float64")["strided"]
    call = kernels.call(kernel, 6, 40, normal, {})
    bound = numba_executor.numba_loops(call)
    other = np.asfortranarray(call.inputs[0] + 1)
    wide = np.zeros((6, 80))[:, ::-2]
    wide[...] = other
    assert bound.rebind is not None
    bound.rebind(0, wide)
    for function, args in bound.calls:
        function(*args)
    found = [a.copy() for a in call.outputs]
    call.inputs[0] = wide
    kernels.interpreter.run(call)
    for a, b in zip(found, call.outputs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-13)


@compiled
def test_an_output_across_an_input_is_refused():
    kernel = kernels.by_hand("float64")["relu of a sum"]
    call = kernels.call(kernel, 4, 64, normal, {})
    memory = np.zeros(5 * 64)
    call.inputs[0], call.outputs[0] = memory[:256].reshape(4, 64), memory[64:].reshape(4, 64)
    with pytest.raises(ValueError, match="output 0 overlaps input 0"):
        numba_executor.numba_loops(call)
