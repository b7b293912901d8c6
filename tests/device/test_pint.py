"""Pint: a network computes with dimensionless quantities, and refuses the others."""

from __future__ import annotations

import numpy as np
import pytest

import dlarray

pint = pytest.importorskip("pint")
X = np.random.default_rng(0).normal(size=(32, 3))
Y = np.astype(np.sum(X * X, axis=1) < 2, np.int32)


def fit(x, **options):
    model = dlarray.mlp(3, 4, 1, activation="tanh")
    return dlarray.fit(model, x, Y, epochs=2, batch_size=16, dtype="float64", metrics=[], progress=False, **options)


def quantity(x, unit):
    return pint.get_application_registry().Quantity(x, unit)


def test_the_losses_are_those_of_numpy():
    assert fit(X, device="pint").history.steps == fit(X, compile=False).history.steps


def test_a_length_is_refused_and_a_ratio_of_lengths_is_a_number():
    trained = fit(X, device="pint")
    with pytest.raises(pint.DimensionalityError, match="meter"):
        trained.predict(quantity(X, "m"))
    predicted = trained.predict(quantity(X, "m") / quantity(1.0, "km"))
    np.testing.assert_allclose(dlarray.to_numpy(predicted), trained.predict(X / 1000), rtol=1e-13)


def test_random_masks_are_refused_by_name():
    with pytest.raises(ValueError, match="the backend pint has no operations on the bits"):
        dlarray.fit(dlarray.mlp(3, 4, 1, dropout=0.2), X, Y, epochs=1, device="pint", progress=False)


def test_the_bits_of_a_quantity():
    backend = dlarray.core.libraries.get("pint")
    bits = backend.view(backend.asarray(np.ones(3, np.float32), "cpu"), "int32")
    assert backend.to_numpy(bits).tolist() == [0x3F800000] * 3
