"""A training run has as many digits as mpmath."""

import mpmath
import numpy as np

import dlarray

X = np.random.default_rng(0).normal(size=(8, 2))


def parameters(digits):
    """The parameters, with all digits, after 3 steps that computed with this many."""
    model = dlarray.mlp(2, 3, 1, activation="tanh")
    targets = np.sum(X, axis=1, keepdims=True)
    with mpmath.workdps(digits):
        trained = dlarray.fit(
            model, X, targets, epochs=3, batch_size=8, dtype="float64", device="mparray", progress=False
        )
        return np.concatenate([np.reshape(p._data, -1) for p in trained.theta])


def test_more_digits_are_closer_to_even_more():
    exact = parameters(60)
    apart = {digits: max(abs(parameters(digits) - exact)) for digits in (15, 30)}
    assert 0 < apart[30] < 1e-27 < 1e-18 < apart[15] < 1e-14
