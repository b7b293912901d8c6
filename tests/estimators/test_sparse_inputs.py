"""Sparse inputs of the estimators stay sparse and give the same results as dense ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from dlarray.estimators import MLPClassifier
from tests.support.estimators import SMALL, classes

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("without_native"),
]


def test_sparse_inputs_stay_sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    """A matrix that would fill the memory many times over, if anything made it dense."""
    rng = np.random.default_rng(0)
    x = sparse.random_array((300, 200_000), density=1e-4, format="csr", rng=rng)
    y = (x[:, :100_000].sum(axis=1) > x[:, 100_000:].sum(axis=1)).astype(int)
    plain = sparse.csr_array.toarray

    def small(matrix: Any, *args: Any, **options: Any) -> np.ndarray:
        assert matrix.shape[1] < 10, f"a matrix of shape {matrix.shape} was made dense"
        return plain(matrix, *args, **options)

    for kind in (sparse.csr_array, sparse.csr_matrix, sparse.csc_array):
        monkeypatch.setattr(kind, "toarray", small)
    with pytest.raises(AssertionError, match="made dense"):
        x.toarray()
    model = MLPClassifier(4, max_iter=3, batch_size=100, early_stopping=True, random_state=0).fit(x, y)
    assert model.predict_proba(x).shape == (300, 2)
    model.set_params(early_stopping=False).partial_fit(x, y)


@pytest.mark.parametrize("normalization", [None, "batch_norm", "layer_norm"])
@pytest.mark.parametrize("hidden", [(), (6,), (6, 5)])
def test_sparse_and_dense_inputs_give_the_same(hidden: tuple[int, ...], normalization: str | None) -> None:
    x, y = classes()
    x = np.where(np.abs(x) > 0.8, x, 0.0)
    own = {**SMALL, "hidden_layer_sizes": hidden, "normalization": normalization, "dropout": 0.3, "activation": "tanh"}
    dense, thin = MLPClassifier(**own).fit(x, y), MLPClassifier(**own).fit(sparse.csr_array(x), y)
    for a, b in zip(dense.coefs_ + dense.intercepts_, thin.coefs_ + thin.intercepts_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(dense.predict_proba(x), thin.predict_proba(sparse.csc_matrix(x)), rtol=1e-10)


def test_a_device_without_sparse_matrices_says_so() -> None:
    pytest.importorskip("array_api_strict")
    x, y = classes()
    with pytest.raises(TypeError, match=r"strict has no sparse matrices here: use the device cpu or cuda"):
        MLPClassifier(**SMALL, device="strict").fit(sparse.csr_array(x), y)
