"""The products that ``explain`` counts."""

from __future__ import annotations

import numpy as np
import pytest

from dlarray.explanation import explain


@pytest.mark.parametrize(
    ("product", "count"),
    [
        (lambda a, b: np.dot(a, b), 6 * 4 * 5),
        (lambda a, b: np.dot(a, b[:, 0]), 6 * 4),
        (lambda a, b: a @ b, 6 * 4 * 5),
        (lambda a, b: np.einsum("ij,jk->ik", a, b), 6 * 4 * 5),
        (lambda a, b: np.einsum("...j, jk", a, b), 6 * 4 * 5),
        (lambda a, b: np.einsum("ij,ij->i", a, a), 6 * 4),
        (lambda a, b: np.tensordot(a, b, axes=1), 6 * 4 * 5),
        (lambda a, b: np.inner(a, b.T), 6 * 4 * 5),
        (lambda a, b: np.vdot(a, a), 6 * 4),
        (lambda a, b: np.outer(a[0], b[0]), 4 * 5),
        (lambda a, b: np.reshape(a, (2, 3, 4)) @ b, 2 * 3 * 4 * 5),
        (lambda a, b: np.matmul(np.reshape(a, (2, 3, 4)), np.reshape(a, (2, 4, 3))), 2 * 3 * 4 * 3),
        (lambda a, b: np.vecdot(a, a), 6 * 4),
        (lambda a, b: np.sort(a, axis=0), 0),
    ],
)
def test_every_product_counts_its_terms(product, count):
    """Two operations for each term, both for planned products and for calls of NumPy."""
    found = explain(lambda state, batch: (state * 1.0, product(*batch)), np.ones(2), (np.ones((6, 4)), np.ones((4, 5))))
    assert sum(work.flops for work in found.description.of("product")) == 2 * count
