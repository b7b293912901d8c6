"""The linear model that a network is compared with, against scikit-learn's."""

from __future__ import annotations

import time

import numpy as np
import pytest

linear_model = pytest.importorskip("sklearn.linear_model")
datasets = pytest.importorskip("sklearn.datasets")

from dlarray.core.random import Bits  # noqa: E402
from dlarray.datasets import standardize  # noqa: E402
from dlarray.losses import MeanSquaredError, SparseCategoricalCrossEntropy  # noqa: E402
from dlarray.tables.linear import linear_outputs, minimum  # noqa: E402

rng = np.random.default_rng(4)


@pytest.mark.parametrize("name", ["wine", "iris", "digits"])
def test_classes_are_predicted_as_by_logistic_regression(name: str) -> None:
    data = getattr(datasets, f"load_{name}")()
    x, t = standardize(data.data)[0], data.target.astype(np.int32)
    new = x[::3] + 0.1
    y = linear_outputs(x, t, new, SparseCategoricalCrossEntropy(), int(t.max()) + 1)
    expected = linear_model.LogisticRegression(max_iter=5000, tol=1e-9).fit(x, t).predict_proba(new)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, atol=5e-3)


def test_numbers_are_predicted_as_by_ridge_regression() -> None:
    data = datasets.load_diabetes()
    x, t = standardize(data.data, data.target.reshape(-1, 1)[:0])[0], standardize(data.target.reshape(-1, 1))[0][:, 0]
    y = linear_outputs(x, t, x, MeanSquaredError(), 1)
    expected = linear_model.Ridge(alpha=0.5).fit(x, t).predict(x)
    np.testing.assert_allclose(y[:, 0], expected, atol=1e-4)


def test_weights_count_rows() -> None:
    x, t = rng.normal(size=(60, 3)).astype(np.float32), rng.integers(0, 2, 60).astype(np.int32)
    twice = np.arange(60) % 4 == 0
    weight = np.where(twice, 2.0, 1.0)
    y = linear_outputs(x, t, x, SparseCategoricalCrossEntropy(), 2, weight)
    repeated = np.concatenate([np.arange(60), np.flatnonzero(twice)])
    expected = linear_outputs(x[repeated], t[repeated], x, SparseCategoricalCrossEntropy(), 2)
    np.testing.assert_allclose(y, expected, atol=0.02)  # λ / 2n has another n
    assert np.abs(y - linear_outputs(x, t, x, SparseCategoricalCrossEntropy(), 2)).max() > 0.02


def test_a_large_table_is_sampled() -> None:
    """All 200,000 rows at 100 iterations would take tens of seconds."""
    x = rng.normal(size=(200_000, 60)).astype(np.float32)
    t = (x[:, 0] + x[:, 1] > 0).astype(np.int32)
    start = time.process_time()
    y = linear_outputs(x, t, x, SparseCategoricalCrossEntropy(), 2)
    assert time.process_time() - start < 15
    assert np.mean(np.argmax(y, axis=1) == t) > 0.98


def test_more_features_than_rows() -> None:
    x, t = rng.normal(size=(30, 400)).astype(np.float32), rng.integers(0, 2, 30).astype(np.int32)
    y = linear_outputs(x, t, x, SparseCategoricalCrossEntropy(), 2)
    assert np.mean(np.argmax(y, axis=1) == t) == 1


def test_the_minimum_of_a_quadratic_is_found() -> None:
    a = np.diag([1.0, 10.0, 100.0])
    centre = np.array([3.0, -2.0, 0.5])

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        d = theta - centre
        return 0.5 * float(d @ a @ d), a @ d

    np.testing.assert_allclose(minimum(objective, Bits(0, "start").normal(3), 50), centre, atol=1e-5)
