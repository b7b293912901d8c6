"""A model that predicts a mean and a variance: targets, predictions, metrics, and what it learns."""

from __future__ import annotations

import numpy as np
import pytest

import dlarray as dl
from tests.support.fits import FEW
from tests.support.matrix import On

rng = np.random.default_rng(1)
X = rng.uniform(-1, 1, (400, 2))
SPREAD = np.where(X[:, 0] > 0, 1.0, 0.1)
Y = X[:, 1] + SPREAD * rng.normal(size=400)


def fit(y: np.ndarray, outputs: int, **options: object) -> dl.Trained:
    model = dl.MLP(2, [dl.Dense(16), "tanh", dl.Dense(outputs)])
    where = {"epochs": 60, "optimizer": dl.Adam(0.02), "progress": False, "device": "cpu"}
    return dl.fit(model, X, y, loss="gaussian_nll", **(where | options))


def test_the_spread_is_learnt(on: On) -> None:
    if on.name not in FEW | {"numpy-native-float32"}:
        pytest.skip("a few devices are enough: the loss is tested on all")
    trained = fit(Y, 2, device=on.device, dtype=on.dtype)
    mean, variance = trained.predict(X).T
    assert np.median(variance[SPREAD == 0.1]) < 0.05
    assert 0.5 < np.median(variance[SPREAD == 1]) < 2
    measured = trained.evaluate(X, Y)
    assert measured["r2"] == pytest.approx(1 - np.mean((Y - mean) ** 2) / np.var(Y), rel=1e-4)
    assert measured["loss"] == pytest.approx(0.5 * np.mean(np.log(variance) + (Y - mean) ** 2 / variance), rel=1e-4)


def test_two_targets_have_four_outputs() -> None:
    both = np.stack([Y, -Y], axis=1)
    trained = fit(both, 4, epochs=1)
    assert trained.predict(X).shape == (400, 4)
    assert np.all(trained.predict(X)[:, 2:] >= 1e-6)
    assert trained.evaluate(X, both)["r2"] <= 1
    with pytest.raises(ValueError, match=r"targets of shape \(400, 2\) do not match outputs of shape \(400, 1\)"):
        fit(both, 2)
    with pytest.raises(ValueError, match=r"outputs must be \(n, 2k\).*got \(400, 3\)"):
        fit(both, 3)
