"""Every planned operation on numbers at the limits of their types equals NumPy: wraps, shifts, zeros, NaN, casts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.planner import compile as compile_step
from dlarray.planner.native import executor as native_executor
from tests.support import kernels

EXECUTORS = [
    "ufuncs",
    pytest.param("native", marks=pytest.mark.skipif(not native_executor.available(), reason="there is no llvmlite")),
]
UNARY = (
    np.negative,
    np.absolute,
    np.sign,
    np.square,
    np.floor,
    np.ceil,
    np.trunc,
    np.rint,
    np.positive,
    np.isnan,
    np.isfinite,
)
BINARY = (
    np.add,
    np.subtract,
    np.multiply,
    np.floor_divide,
    np.remainder,
    np.fmod,
    np.maximum,
    np.minimum,
    np.logical_xor,
)
BINARY += (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal, np.divide)
WHOLE = (np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.left_shift, np.right_shift)
FLOATS = (np.copysign, np.hypot, np.arctan2)
TYPES = {
    "int8": "uint8",
    "uint8": "int8",
    "int64": "float64",
    "int32": "uint16",
    "uint64": "int32",
    "float32": "int64",
    "float64": "float32",
}
"""Types, and the types that their numbers are cast to."""


def ends(dtype: str) -> np.ndarray:
    """Numbers at the limits of a type, and around its width, 0 and 1."""
    if dtype in kernels.FLOATS:
        return np.array(
            [0.0, -0.0, 1, -1, 0.5, -2.5, 3, -7, np.inf, -np.inf, np.nan, 1e30, -1e-40, 300.7, 2.0**31], dtype
        )
    info = np.iinfo(dtype)
    numbers = [0, 1, 2, 3, 7, 100, info.bits - 1, info.bits, info.max, info.max - 1, info.max // 2]
    return np.array(numbers + ([-1, -2, -7, -info.bits, info.min, info.min + 1] if info.min else []), dtype)


def everything(state: Any, batch: Any) -> Any:
    """All operations, on all pairs."""
    a, b, small = batch
    functions: tuple[Callable[..., Any], ...] = BINARY + (FLOATS if a.dtype.kind == "f" else WHOLE)
    made = [f(a, b) for f in functions] + [f(a) for f in UNARY]
    made += [np.where(a > b, a, b), small.astype(TYPES[a.dtype.name]), a.astype(bool), np.max(a * 1.0), np.min(b * 1.0)]
    return state * 1.0, made


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_operation_at_the_ends_of_a_type(dtype: str, executor: str):
    a, b = (x.ravel().copy() for x in np.meshgrid(ends(dtype), ends(dtype)))
    small = np.where(np.abs(a) < 1000, a, 0).astype(dtype) if dtype in kernels.FLOATS else a
    fast = compile_step(everything, executor, check=False)
    with np.errstate(all="ignore"):
        _, expected = everything(np.ones(2), (a, b, small))
        _, actual = fast(np.ones(2), (a, b, small))
    assert fast.latest()
    for i, (x, y) in enumerate(zip(expected, actual, strict=True)):
        assert x.dtype == y.dtype, i
        if np.asarray(x).dtype.kind == "f":
            np.testing.assert_allclose(x, y, rtol=4 * np.finfo(x.dtype).eps, err_msg=str(i))
            zero = np.asarray(x == 0)
            if i not in (6, 7):  # NumPy's maximum of 0 and -0 is either of them
                np.testing.assert_array_equal(np.signbit(x[zero]), np.signbit(y[zero]), err_msg=str(i))
        else:
            np.testing.assert_array_equal(x, y, err_msg=str(i))


@pytest.mark.parametrize("executor", EXECUTORS)
def test_whole_numbers_to_a_power_below_0_are_an_error_as_in_numpy(executor: str):
    def step(state: Any, batch: Any) -> Any:
        return state * 1.0, batch[0] ** batch[1]

    fast = compile_step(step, executor)
    state = np.ones(2)
    state, y = fast(state, (np.array([2, 3]), np.array([3, 2])))
    np.testing.assert_array_equal(y, [8, 9])
    with pytest.raises(ValueError, match="negative integer powers"):
        fast(state, (np.array([2, 3]), np.array([3, -2])))


@pytest.mark.parametrize(
    ("low", "high"), [(None, 1.5), (0.5, 2.5), (0, 2), (None, 300), (-1, 10**12), (np.float64(0.5), 2)]
)
@pytest.mark.parametrize("dtype", ["int8", "int64", "float32"])
def test_the_standards_clip_keeps_the_type_and_numpys_promotes(dtype: str, low: Any, high: Any):
    def step(state: Any, batch: Any) -> Any:
        return state * 1.0, (array_namespace(batch).clip(batch, low, high), np.clip(batch * 1, low, 2))

    x = np.array([3, -3, 1, 0], dtype)
    fast = compile_step(step)
    _, expected = step(np.ones(2), x)
    for _ in range(2):
        _, actual = fast(np.ones(2), x)
        for a, b in zip(actual, expected, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    assert fast.latest()
