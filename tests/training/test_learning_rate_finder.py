"""The learning-rate finder: its rates and losses, its suggestion, and no change of the model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import dlarray as dl
from tests.support.fits import LABELS, MODEL, NUMBERS, X
from tests.support.matrix import On


def test_the_finder_trains_with_growing_rates_and_changes_nothing() -> None:
    model, loss = dl.mlp(6, 4, 2, activation="tanh"), dl.MeanSquaredError()
    theta = model.init(0, "cpu", "float64")
    before = theta[0].copy()
    options = {"optimizer": dl.GradientDescent(), "batch_size": None, "dtype": "float64", "device": "cpu"}
    found = dl.find_learning_rate(model, X, NUMBERS, lowest=1e-3, highest=1e3, steps=25, theta=theta, **options)
    np.testing.assert_array_equal(theta[0], before)
    np.testing.assert_allclose(found.rates, np.geomspace(1e-3, 1e3, 25), rtol=1e-12)
    losses: list[float] = []
    for rate in np.geomspace(1e-3, 1e3, 25):
        value, (g,) = model.loss_and_gradient(theta, X, NUMBERS, loss)
        losses.append(float(value))
        theta = (theta[0] - rate * g,)
    np.testing.assert_allclose(found.losses[:15], losses[:15], rtol=1e-9)
    smooth = [
        sum(0.1 * 0.9 ** (i - j) * found.losses[j] for j in range(i + 1)) / (1 - 0.9 ** (i + 1)) for i in range(25)
    ]
    np.testing.assert_allclose(found.smoothed, smooth, rtol=1e-12)
    assert 1e-3 < found.suggestion < 1e3
    inside = dl.Clipped(dl.GradientDescent(), dl.clip_by_global_norm, 1e9)
    again = dl.find_learning_rate(
        model, X, NUMBERS, lowest=1e-3, highest=1e3, steps=25, **(options | {"optimizer": inside})
    )
    np.testing.assert_allclose(again.losses[:10], found.losses[:10], rtol=1e-9)


def test_the_suggestion_is_where_the_loss_falls_most_steeply() -> None:
    rates = np.geomspace(1e-5, 1, 101)
    losses = 1 / (1 + np.exp(4 * (np.log10(rates) + 3))) + 1  # steepest at 1e-3
    found = dl.LRFinderResult(rates, losses, smoothing=0.0)
    assert found.suggestion == pytest.approx(1e-3, rel=0.06)
    assert found.end == 101
    blown = replace(found, losses=np.where(np.arange(101) < 80, losses, 100.0))
    assert blown.end == 80
    assert blown.suggestion == found.suggestion
    with pytest.raises(ValueError, match="the loss falls at no rate between 1e-05 and 1"):
        _ = dl.LRFinderResult(rates, np.linspace(1, 2, 101)).suggestion
    with pytest.raises(ValueError, match="the loss falls at no rate"):
        _ = dl.LRFinderResult(rates, np.full(101, np.nan)).suggestion


def test_the_finder_on_a_device(on: On) -> None:
    if on.name not in {"torch-float32", "jax-float32"}:
        pytest.skip("NumPy has it above")
    here, there = (
        dl.find_learning_rate(MODEL, X, LABELS, steps=12, lowest=1e-4, highest=1e-2, device=d)
        for d in ("cpu", on.device)
    )
    np.testing.assert_allclose(here.losses, there.losses, rtol=1e-4)
