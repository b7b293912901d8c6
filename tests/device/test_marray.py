"""marray: masked features, and arrays of a namespace of the user's own."""

from __future__ import annotations

import numpy as np
import pytest

import dlarray

pytest.importorskip("marray")
X = np.random.default_rng(0).normal(size=(32, 3))
Y = np.astype(np.sum(X * X, axis=1) < 2, np.int32)


def fit(x, y, **options):
    model = dlarray.mlp(3, 4, 1, dropout=0.2)
    return dlarray.fit(model, x, y, epochs=2, batch_size=16, dtype="float64", metrics=[], progress=False, **options)


def test_the_losses_are_those_of_numpy_with_dropout_too():
    assert fit(X, Y, device="marray").history.steps == fit(X, Y, compile=False).history.steps


def test_arrays_of_a_namespace_of_the_user_s():
    """marray makes a new namespace, with a type of arrays of its own, for each import."""
    from marray import numpy as own

    trained = fit(own.asarray(X), own.asarray(Y), device="marray")
    assert trained.history.steps == fit(X, Y, compile=False).history.steps
    np.testing.assert_array_equal(dlarray.to_numpy(trained.predict(own.asarray(X))), trained.predict(X))


def test_a_masked_feature_counts_as_0():
    from marray import numpy as own

    x = own.asarray(X, mask=X > 1)
    filled = np.where(X > 1, 0, X)
    trained = fit(x, own.asarray(Y), device="marray")
    assert trained.history.steps == fit(filled, Y, compile=False).history.steps
    np.testing.assert_array_equal(dlarray.to_numpy(trained.predict(x)), trained.predict(filled))


def test_a_masked_number_does_not_become_one_of_numpy():
    from marray import numpy as own

    x = own.asarray(X, mask=X > 1)
    with pytest.raises(ValueError, match=rf"{np.sum(X > 1)} of the array's 96 numbers are masked.*take x\.data"):
        dlarray.to_numpy(x)


def test_the_bits_keep_the_mask():
    from marray import numpy as own

    x = own.asarray(np.ones(3, np.float32), mask=[False, True, False])
    bits = dlarray.core.libraries.get("marray").view(x, "int32")
    assert bits.data.tolist() == [0x3F800000] * 3
    assert bits.mask.tolist() == [False, True, False]
