"""The special functions against mpmath with 60 digits, and on every device against scipy."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

from dlarray.core import libraries, special
from tests.support.exact import SPECIAL as EXACT
from tests.support.matrix import On

RANGE = {"erf": (-6, 6), "erfc": (-6, 27), "normal_cdf": (-38, 9), "normal_pdf": (-38, 38)}
"""Beyond these each is constant in float64, or below the normal numbers."""


def apply(name: str, x: Any) -> np.ndarray:
    with np.errstate(all="raise", under="ignore"):
        return getattr(special, name)(x)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", EXACT)
def test_relative_error_stays_below_three_and_a_half_epsilon(name: str, dtype: type[np.floating]):
    rng = np.random.default_rng(3)
    joints = np.concatenate([np.nextafter(h, [-np.inf, np.inf]) for h in np.arange(-4, 4.1, 0.5)])
    near = rng.choice([-1, 1], 200) * 10.0 ** rng.uniform(-30, 1, 200)
    x = np.concatenate([rng.uniform(*RANGE[name], 800), rng.uniform(-1.5, 1.5, 400), joints, near]).astype(dtype)
    y = apply(name, x)
    assert y.dtype == dtype
    eps, smallest, tiny = np.finfo(dtype).eps, np.finfo(dtype).smallest_subnormal, np.finfo(dtype).tiny
    with mp.workdps(60):
        for given, found in zip(x, y, strict=True):
            exact = EXACT[name](mp.mpf(float(given)))
            error = abs(mp.mpf(float(found)) - exact)
            bound = 3.5 * float(eps) * abs(exact) if abs(exact) > tiny else 100 * mp.mpf(float(smallest))
            assert error <= bound, f"{name}({given}) = {found}, not {mp.nstr(exact, 20)}"


@pytest.mark.parametrize(
    ("name", "low", "high"), [("erf", -1, 1), ("erfc", 2, 0), ("normal_cdf", 0, 1), ("normal_pdf", 0, 0)]
)
def test_far_out(name: str, low: float, high: float):
    x = np.array([-np.inf, -1e300, -1e4, -745, -40, 40, 745, 1e4, 1e300, np.inf, np.nan])
    np.testing.assert_array_equal(apply(name, x), [*[low] * 5, *[high] * 5, np.nan])
    np.testing.assert_array_equal(apply(name, np.array([-1e-300, -0.0, 0.0, 1e-300]))[1:3], float(EXACT[name](0)))


def test_tiny_arguments():
    x = np.array([1e-300, -1e-300, 1e-8, -1e-8])
    np.testing.assert_allclose(apply("erf", x), 2 / np.sqrt(np.pi) * x, rtol=4e-16)
    np.testing.assert_allclose(apply("erfc", x), 1 - 2 / np.sqrt(np.pi) * x, rtol=4e-16)


def test_the_tail_lasts_until_the_subnormal_numbers():
    y = apply("erfc", np.array([26.5, 26.9, 27.2, 27.3, 30.0]))
    assert np.all(y[:3] > 0)
    assert np.all(y[3:] == 0)
    assert np.all(apply("normal_cdf", np.array([-37.5, -38.4])) > 0)


@pytest.mark.parametrize("name", EXACT)
def test_every_device(on: On, name: str):
    scipy = pytest.importorskip("scipy.special")
    oracle = {
        "erf": scipy.erf,
        "erfc": scipy.erfc,
        "normal_cdf": scipy.ndtr,
        "normal_pdf": lambda x: np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
    }[name]
    for x in (np.linspace(-9, 9, 60).reshape(3, 4, 5), np.zeros((0, 3)), [-1e30, -np.inf, np.inf, np.nan, 1e30]):
        given = on.array(x)
        on.close(on.run(getattr(special, name), given), oracle(on.host(x).astype(np.float64)))
        np.testing.assert_array_equal(on.numpy(given), on.host(x))


@pytest.mark.parametrize("name", EXACT)
def test_a_scalar_array(name: str):
    assert np.shape(apply(name, np.asarray(0.3))) == ()
    np.testing.assert_allclose(apply(name, np.asarray(0.3)), float(EXACT[name](0.3)), rtol=1e-15)


def test_a_library_may_bring_its_own(monkeypatch: pytest.MonkeyPatch):
    scipy = pytest.importorskip("scipy.special")
    x, calls = np.linspace(-5, 5, 21), []

    def erfc(x: np.ndarray) -> np.ndarray:
        calls.append(x.shape)
        return scipy.erfc(x)

    before = {name: apply(name, x) for name in EXACT}
    monkeypatch.setattr(type(libraries.get("numpy")), "erfc", lambda self: erfc)
    np.testing.assert_array_equal(apply("erfc", x), scipy.erfc(x))
    for name in EXACT:
        np.testing.assert_allclose(apply(name, x), before[name], rtol=1e-14)
    assert len(calls) == 4  # twice erfc, once each erf and normal_cdf


def test_exp_ratio(on: On):
    x = on.host([-1e4, -700.0, -80.0, -1.5, -1e-8, 0.0, 1e-8, 1.5, 80.0, 700.0, 1e4, np.inf, -np.inf, np.nan])
    p, q = on.run(special.exp_ratio, on.array(x))
    wide = x.astype(np.float64)
    on.close(p, np.exp(np.minimum(wide, 0)))
    on.close(q, np.exp(-np.maximum(wide, 0)))
    at = np.abs(wide) <= 80
    np.testing.assert_allclose(on.numpy(p)[at] / on.numpy(q)[at].astype(np.float64), np.exp(wide[at]), rtol=on.rtol)
