"""The vectorised functions against mpmath, the special cases of IEEE 754, and whether they are vectorised."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import mpmath as mp
import numpy as np
import pytest

numba = pytest.importorskip("llvmlite", reason="Numba is not installed: pip install 'dlarray[fast]'")

from dlarray.planner.numba.mathematics import FUNCTIONS  # noqa: E402 - it needs Numba

NAMES = list(FUNCTIONS["float64"])
EXACT: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(mp, name) for name in ("exp", "expm1", "log", "log1p", "tanh", "erf", "erfc")},
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
}
RANGE = {
    "exp": (-746, 710),
    "expm1": (-60, 710),
    "sigmoid": (-746, 60),
    "tanh": (-30, 30),
    "log": (0, 20),
    "log1p": (-1, 20),
    "erf": (-7, 7),
    "erfc": (-7, 28),
}
AT: dict[str, tuple[float, float, float]] = {  # -inf, 0, inf
    "exp": (0, 1, np.inf),
    "expm1": (-1, 0, np.inf),
    "sigmoid": (0, 0.5, 1),
    "tanh": (-1, 0, 1),
    "log": (np.nan, -np.inf, np.inf),
    "log1p": (np.nan, 0, np.inf),
    "erf": (-1, 0, 1),
    "erfc": (2, 1, 0),
}
ODD_AT_ZERO = ("expm1", "tanh", "log1p", "erf")
"""f(-0) is -0."""


@cache
def loop(name: str, dtype: str) -> Any:
    f = FUNCTIONS[dtype][name]

    def over(x: Any, y: Any) -> None:
        for i in range(x.size):
            y[i] = f(x[i])

    return numba.njit(over, error_model="numpy")


def apply(name: str, x: np.ndarray) -> np.ndarray:
    y = np.empty_like(x)
    loop(name, x.dtype.name)(x, y)
    return y


def stated(name: str, dtype: str) -> float:
    """The error in ulp that the function's docstring states."""
    found = re.search(r"within (\d\.\d) and (\d\.\d) ulp", FUNCTIONS[dtype][name].py_func.__doc__)
    assert found
    return float(found[1 if dtype == "float32" else 2])


def arguments(name: str, dtype: str) -> np.ndarray:
    """In the whole range, near zero, near one, at every power of ten and at the limits of the range."""
    rng = np.random.default_rng(4)
    low, high = (max(limit, -104) if dtype == "float32" else limit for limit in RANGE[name])
    info = np.finfo(dtype)
    powers = 10.0 ** rng.uniform(np.log10(info.smallest_subnormal) + 0.5, np.log10(info.max) - 0.5, 500)
    x = np.concatenate(
        [
            rng.uniform(low, high, 1500),
            rng.uniform(-1, 1, 1500),
            rng.normal(1, 0.01, 300),
            rng.choice([-1.0, 1.0], 500) * 10.0 ** rng.uniform(-9, 0, 500),
            powers,
            -powers,
            [info.max, info.tiny, info.smallest_subnormal, -info.tiny, -info.smallest_subnormal, 709.78, 88.72, -103.9],
        ]
    ).astype(dtype)
    if name == "erfc":
        x = x[np.abs(x) < 1e6]  # mpmath's limit
    return x[x > {"log": 0, "log1p": -1}.get(name, -np.inf)]


def ulp(exact: Any, dtype: str) -> Any:
    """The unit in the last place of a number between two floats."""
    info = np.finfo(dtype)
    exponent = int(mp.frexp(exact)[1]) - info.nmant - 1
    return mp.ldexp(mp.mpf(1), max(exponent, info.minexp - info.nmant))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
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


@pytest.mark.parametrize("name", NAMES)
def test_float32_against_float64_on_a_dense_sample(name: str):
    """Every 4099th of all float32, including NaN and infinities."""
    x = np.arange(0, 2**32, 4099, dtype=np.uint64).astype(np.uint32).view(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # signalling NaNs are among them
        exact, y = apply(name, x.astype(np.float64)), apply(name, x)
        rounded = exact.astype(np.float32)
    known = np.isfinite(rounded)
    np.testing.assert_array_equal(y[~known], rounded[~known])
    np.testing.assert_array_equal(np.signbit(y[known]), np.signbit(rounded[known]))
    unit = np.ldexp(1.0, np.maximum(np.frexp(np.abs(exact[known]))[1] - 24, -149))
    assert np.max(np.abs(y[known] - exact[known]) / unit) <= stated(name, "float32")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_limits(name: str, dtype: str):
    y = apply(name, np.array([-np.inf, 0, np.inf, np.nan, -0.0], dtype))
    np.testing.assert_array_equal(y, np.array([*AT[name], np.nan, AT[name][1]], dtype))
    assert np.signbit(y[4]) == (name in ODD_AT_ZERO or name == "log")
    tiny = np.finfo(dtype).smallest_subnormal * np.arange(-3, 4).astype(dtype)
    if name in ("expm1", "tanh", "log1p"):
        np.testing.assert_array_equal(apply(name, tiny), tiny)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_the_loop_is_vectorised(name: str, dtype: str):
    """It contains no call of a library, and its multiplications are vector instructions."""
    apply(name, np.ones(4, dtype))
    (text,) = loop(name, dtype).inspect_asm().values()
    assert not re.search(rf"\b(?:call|bl)\w*\s+\S*\b{name}f?\b", text)
    packed = r"\bv?mulp[sd]\b|\bfmul\s+v\d+\.(?:4s|2d)"
    assert re.search(packed, text)


def test_sums_to_overflow():
    """The largest arguments whose results are finite, and their neighbours."""
    for dtype, edge in (("float32", np.float32(88.72283)), ("float64", np.float64(709.782712893384))):
        x = np.array([edge, np.nextafter(edge, np.inf, dtype=dtype) + 1], dtype)
        for name in ("exp", "expm1"):
            y = apply(name, x)
            assert np.isfinite(y[0])
            assert np.isinf(y[1])
