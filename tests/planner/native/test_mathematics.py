"""The functions of native code against mpmath, NumPy's wider types, and the special cases of IEEE 754."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from dlarray.planner.kernel.loops import Call, Input, Kernel, Operation
from dlarray.planner.native.mathematics import FUNCTIONS
from tests.support.kernels import by_native

pytest.importorskip("llvmlite", reason='pip install "dlarray[fast]"')

EXACT: dict[str, Callable[[Any], Any]] = {name: getattr(mp, name) for name in FUNCTIONS}
RANGE = {"exp": (-746, 710), "expm1": (-60, 710), "tanh": (-30, 30), "log": (0, 20), "log1p": (-1, 20)}
AT: dict[str, tuple[float, float, float]] = {  # -inf, 0, inf
    "exp": (0, 1, np.inf),
    "expm1": (-1, 0, np.inf),
    "tanh": (-1, 0, 1),
    "log": (np.nan, -np.inf, np.inf),
    "log1p": (np.nan, 0, np.inf),
}
ODD_AT_ZERO = ("expm1", "tanh", "log1p")
"""f(-0) is -0."""
DTYPES = ("float32", "float64")


def apply(name: str, x: np.ndarray) -> np.ndarray:
    """The function of each number, by a kernel of this operation alone."""
    kernel = Kernel((Input("E", x.dtype.name),), (), (Operation(name, (0,), "E", x.dtype.name, 0),), (1,))
    y = np.empty_like(x)
    by_native(Call(kernel, 1, x.size, [], [x.reshape(1, -1)], [y.reshape(1, -1)]))
    return y


def stated(name: str, dtype: str) -> float:
    """The error in ulp that the function's docstring states."""
    found = re.search(r"within (\d\.\d) and (\d\.\d) ulp", FUNCTIONS[name].__doc__ or "")
    assert found
    return float(found[1 if dtype == "float32" else 2])


def arguments(name: str, dtype: str, count: int = 1500) -> np.ndarray:
    """In the whole range, near zero, near one, at every power of ten and at the limits of the range."""
    rng = np.random.default_rng(4)
    low, high = (max(limit, -104) if dtype == "float32" else limit for limit in RANGE[name])
    info = np.finfo(dtype)
    powers = 10.0 ** rng.uniform(np.log10(info.smallest_subnormal) + 0.5, np.log10(info.max) - 0.5, count // 3)
    x = np.concatenate(
        [
            rng.uniform(low, high, count),
            rng.uniform(-1, 1, count),
            rng.normal(1, 0.01, count // 5),
            rng.choice([-1.0, 1.0], count // 3) * 10.0 ** rng.uniform(-9, 0, count // 3),
            powers,
            -powers,
            [info.max, info.tiny, info.smallest_subnormal, -info.tiny, -info.smallest_subnormal, 709.78, 88.72, -103.9],
        ]
    ).astype(dtype)
    return x[x > {"log": 0, "log1p": -1}.get(name, -np.inf)]


def ulp(exact: Any, dtype: str) -> Any:
    """The unit in the last place of a number between two floats."""
    info = np.finfo(dtype)
    exponent = int(mp.frexp(exact)[1]) - info.nmant - 1
    return mp.ldexp(mp.mpf(1), max(exponent, info.minexp - info.nmant))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_stays_below_what_the_docstring_states(name: str, dtype: str):
    x = arguments(name, dtype)
    y = apply(name, x)
    worst, where = 0.0, 0.0
    largest = mp.mpf(float(np.finfo(dtype).max))
    with mp.workdps(60):
        for given, found in zip(x.tolist(), y.tolist(), strict=True):
            exact = EXACT[name](mp.mpf(given))
            if abs(exact) > largest:
                assert found == (np.inf if exact > 0 else -np.inf) or abs(found) == largest, given
                continue
            error = float(abs(mp.mpf(found) - exact) / ulp(exact, dtype)) if exact else abs(found)
            worst, where = max((worst, where), (error, given))
    assert worst <= stated(name, dtype), f"{worst} ulp at {where}"


def check_against_wider(name: str, x: np.ndarray, exact: np.ndarray) -> None:
    """Every result is within the stated error of one in a wider type, whose own error is small beside it."""
    y = apply(name, x)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        rounded = exact.astype(x.dtype)
    known = np.isfinite(rounded)
    np.testing.assert_array_equal(y[~known], rounded[~known])
    np.testing.assert_array_equal(np.signbit(y[known]), np.signbit(rounded[known]))
    info = np.finfo(x.dtype)
    exponents = np.frexp(np.abs(exact[known]))[1] - info.nmant - 1
    unit = np.ldexp(exact.dtype.type(1), np.maximum(exponents, info.minexp - info.nmant))
    error = np.abs(y[known] - exact[known]) / unit
    worst = int(np.argmax(error))
    assert error[worst] <= stated(name, x.dtype.name), f"{error[worst]} ulp at {x[known][worst]!r}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_against_numpys_float64_on_a_dense_sample(name: str):
    """Every 1021st of all float32, including NaN and infinities: four million numbers."""
    x = np.arange(0, 2**32, 1021, dtype=np.uint64).astype(np.uint32).view(np.float32)
    with np.errstate(all="ignore"):  # signalling NaNs are among them
        exact = getattr(np, name)(x.astype(np.float64))
    check_against_wider(name, x, exact)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="this machine has no type wider than float64")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_against_longdouble_at_a_million_numbers(name: str):
    x = arguments(name, "float64", 360_000)
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(x.astype(np.longdouble))
    check_against_wider(name, x, exact)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_limits(name: str, dtype: str):
    y = apply(name, np.array([-np.inf, 0, np.inf, np.nan, -0.0], dtype))
    np.testing.assert_array_equal(y, np.array([*AT[name], np.nan, AT[name][1]], dtype))
    assert np.signbit(y[4]) == (name in ODD_AT_ZERO or name == "log")
    tiny = np.finfo(dtype).smallest_subnormal * np.arange(-3, 4).astype(dtype)
    if name in ("expm1", "tanh", "log1p"):
        np.testing.assert_array_equal(apply(name, tiny), tiny)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_number_has_the_same_bits_in_a_vector_and_alone(name: str, dtype: str):
    x = arguments(name, dtype, 30)
    alone = np.array([apply(name, x[i : i + 1])[0] for i in range(0, len(x), 9)])
    assert apply(name, x)[::9].tobytes() == alone.tobytes()


def test_sums_to_overflow():
    """The largest arguments whose results are finite, and their neighbours."""
    for dtype, edge in (("float32", np.float32(88.72283)), ("float64", np.float64(709.782712893384))):
        x = np.array([edge, np.nextafter(edge, np.inf, dtype=dtype) + 1], dtype)
        for name in ("exp", "expm1"):
            y = apply(name, x)
            assert np.isfinite(y[0])
            assert np.isinf(y[1])
