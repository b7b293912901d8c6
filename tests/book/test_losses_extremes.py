"""Losses at extreme inputs against exact arithmetic, and at infinite inputs and NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from dlarray.losses import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Focal,
    Hinge,
    KLDivergence,
    Loss,
    RootMeanSquaredError,
)
from dlarray.testing.loss_cases import LOSSES, outputs, targets, value_and_slope
from tests.support.exact import LOSSES as EXACT

EXTREMES = [0.0, *(s * x for x in (1e-300, 1e-8, 0.4, 0.6, 40.0, 745.0, 1e4, 1e300) for s in (1, -1))]


@pytest.mark.parametrize(("loss", "tried", "exact"), EXACT, ids=lambda x: repr(x) if isinstance(x, Loss) else "")
def test_extremes(loss: Loss, tried: list[float], exact: Callable[[Any, Any], tuple[Any, Any]]) -> None:
    for z in EXTREMES:
        for t in tried:
            with mp.workdps(700):
                value, slope = (float(x) for x in exact(mp.mpf(z), mp.mpf(t)))
            # a number beyond float64 is inf, with NumPy's warning; nothing else may warn
            with np.errstate(
                all="raise", under="ignore", over="raise" if np.isfinite([value, slope]).all() else "ignore"
            ):
                found_value, found_slope = value_and_slope(loss)(np.array([[z]]), np.array([[t]]))
            where = f"z = {z}, t = {t}"
            np.testing.assert_allclose(np.squeeze(found_value), value, rtol=1e-12, atol=1e-307, err_msg=where)
            np.testing.assert_allclose(np.squeeze(found_slope), slope, rtol=1e-12, atol=1e-307, err_msg=where)


@pytest.mark.parametrize("cls", [CategoricalCrossEntropy, KLDivergence])
def test_extremes_of_rows(cls: type[Loss]) -> None:
    rows = [[z, 0.0, -z / 3] for z in EXTREMES] + [[z, z, z] for z in EXTREMES] + [[z, z + 1, 5.0] for z in EXTREMES]
    for row in rows:
        for t in ([1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.5, 0.25, 0.25], [0.5, 0.5, 0.0]):
            with mp.workdps(700):
                total = mp.fsum(mp.exp(mp.mpf(z)) for z in row)
                log_q = [mp.mpf(z) - mp.log(total) for z in row]
                pairs = list(zip(t, log_q, strict=True))
                truth = mp.fsum(p * ((mp.log(p) if cls is KLDivergence else 0) - q) for p, q in pairs if p)
                value, slopes = float(truth), [float(mp.exp(q) - mp.mpf(p)) for p, q in pairs]
            with np.errstate(all="raise", under="ignore"):
                found, dz = value_and_slope(cls(reduction="sum"))(np.array([row]), np.array([t]))
            exact = 1e-307 if max(t) == 1 else 1e-15  # of a soft target q - t may be a difference of equals
            np.testing.assert_allclose(found, value, rtol=1e-12, atol=exact, err_msg=f"{row}, {t}")
            np.testing.assert_allclose(dz[0], slopes, rtol=1e-12, atol=exact, err_msg=f"{row}, {t}")


@pytest.mark.parametrize("y", [0.0, 1e-300, 1e-30, 1e-8, 0.3, 1 - 1e-8, 1.0])
@pytest.mark.parametrize("t", [0.0, 1.0, 0.25])
def test_extremes_of_probabilities(y: float, t: float) -> None:
    def held(x: Any) -> Any:
        return max(mp.log(x), mp.mpf(-100)) if x else mp.mpf(-100)

    with mp.workdps(50):
        p, floor = mp.mpf(y), mp.mpf(1e-12)
        value = float(-t * held(p) - (1 - t) * held(1 - p))
        slope = float((1 - t) / max(1 - p, floor) - t / max(p, floor))
    loss = BinaryCrossEntropy(from_logits=False)
    with np.errstate(all="raise", under="ignore"):
        found_value, found_slope = value_and_slope(loss)(np.array([[y]]), np.array([[t]]))
    np.testing.assert_allclose(found_value, value, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found_slope, slope, rtol=1e-12)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_nan_is_never_lost(loss: Loss) -> None:
    rng = np.random.default_rng(3)
    z, t = outputs(loss, rng), targets(loss, rng)
    t = t if t.dtype.kind == "i" else np.clip(t, 0.05, None) / np.sum(np.clip(t, 0.05, None), axis=1, keepdims=True)
    t = np.round(t) if isinstance(loss, (Focal, Hinge)) else t
    z[2, 1] = np.nan
    value, dz = value_and_slope(loss)(z, t)
    assert np.isnan(value).any()
    assert np.isnan(dz[2]).any()


@pytest.mark.parametrize(("loss", "tried", "exact"), EXACT, ids=lambda x: repr(x) if isinstance(x, Loss) else "")
def test_infinity_gives_the_limit(loss: Loss, tried: list[float], exact: Callable[[Any, Any], Any]) -> None:
    for sign in (1, -1):
        for t in tried:
            with mp.workdps(50):
                limits = [float(x) for x in exact(mp.mpf(sign * 1e200), mp.mpf(t))]
            limits = [np.sign(x) * np.inf if abs(x) > 1e100 else x for x in limits]
            with np.errstate(invalid="ignore"):
                found = value_and_slope(loss)(np.array([[sign * np.inf]]), np.array([[t]]))
            np.testing.assert_allclose(
                [x.item() for x in found], limits, rtol=1e-12, atol=1e-50, err_msg=f"{sign} inf, {t}"
            )


def test_one_infinite_error_among_others_is_all_of_the_root() -> None:
    with np.errstate(invalid="ignore"):
        value, dz = value_and_slope(RootMeanSquaredError())(np.array([[1.0], [-np.inf], [3.0]]), np.zeros((3, 1)))
    assert value == np.inf
    np.testing.assert_allclose(dz, [[0], [-1 / np.sqrt(3)], [0]])
