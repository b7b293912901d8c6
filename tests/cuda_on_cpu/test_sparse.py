# SPDX-License-Identifier: BSD-3-Clause
"""Sparse matrices of cupyx.scipy on the emulated cuSPARSE, against SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

TYPES = ["float32", "float64", "complex64", "complex128"]
FORMATS = ["csr", "csc", "coo"]
scipy_sparse = pytest.importorskip("scipy.sparse")


@pytest.fixture
def sparse(cupy: Any) -> Any:
    return pytest.importorskip("cupyx.scipy.sparse")


def drawn(rows: int, cols: int, dtype: str, seed: int = 0) -> np.ndarray:
    """Small integers, most of them zero: exact in any order of summing."""
    rng = np.random.default_rng(seed)
    values = rng.integers(-4, 5, (rows, cols)) * (rng.random((rows, cols)) < 0.3)
    if np.dtype(dtype).kind == "c":
        values = values * (1 + 2j)
    return values.astype(dtype)


def assert_same(found: Any, expected: Any) -> None:
    values = found.toarray() if hasattr(found, "toarray") else found
    other = expected.toarray() if hasattr(expected, "toarray") else expected
    np.testing.assert_array_equal(values.get(), np.asarray(other))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", FORMATS)
def test_formats(cupy: Any, sparse: Any, dtype: str, kind: str):
    x = drawn(7, 5, dtype)
    theirs = getattr(scipy_sparse, f"{kind}_matrix")(x)
    ours = getattr(sparse, f"{kind}_matrix")(theirs)
    assert_same(ours, x)
    for other in FORMATS:
        assert_same(getattr(ours, f"to{other}")(), x)
    assert_same(ours.T, x.T)
    np.testing.assert_array_equal(ours.get().toarray(), x)
    if kind != "coo":
        from_dense = getattr(sparse, f"{kind}_matrix")(cupy.asarray(x))
        assert from_dense.nnz == np.count_nonzero(x)
        assert_same(from_dense, x)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", ["csr", "csc"])
@pytest.mark.parametrize("turned", [False, True])
def test_products_with_dense(cupy: Any, sparse: Any, dtype: str, kind: str, turned: bool):
    x = drawn(7, 5, dtype)
    a = getattr(sparse, f"{kind}_matrix")(cupy.asarray(x))
    if turned:
        a, x = a.T, x.T
    for order in "CF":
        dense = drawn(x.shape[1], 4, dtype, seed=1)
        assert_same(a @ cupy.asarray(dense, order=order), x @ dense)
    vector = drawn(1, x.shape[1], dtype, seed=2)[0]
    assert_same(a @ cupy.asarray(vector), x @ vector)
    assert_same(cupy.asarray(drawn(3, x.shape[0], dtype)) @ a, drawn(3, x.shape[0], dtype) @ x)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", ["csr", "csc"])
def test_sums_and_products_of_sparse(cupy: Any, sparse: Any, dtype: str, kind: str):
    x, y, z = drawn(7, 5, dtype), drawn(7, 5, dtype, 1), drawn(5, 6, dtype, 2)
    a, b, c = (getattr(sparse, f"{kind}_matrix")(cupy.asarray(v)) for v in (x, y, z))
    assert_same(a + b, x + y)
    assert_same(a - b, x - y)
    assert_same(a @ c, x @ z)
    assert (a @ c).nnz == (scipy_sparse.csr_matrix(x) @ scipy_sparse.csr_matrix(z)).nnz
    assert_same(a.multiply(b), x * y)
    assert_same(a * 2, x * 2)


def test_rows_columns_and_sums(cupy: Any, sparse: Any):
    x = drawn(9, 6, "float64")
    a = sparse.csr_matrix(cupy.asarray(x))
    assert_same(a[3:7], x[3:7])
    assert_same(a[cupy.asarray([5, 0, 5])], x[[5, 0, 5]])
    assert_same(a[:, 1:4], x[:, 1:4])
    assert float(a[2, 3]) == x[2, 3]
    for axis in (0, 1):
        np.testing.assert_array_equal(a.sum(axis=axis).get().ravel(), x.sum(axis=axis))
        np.testing.assert_allclose(a.mean(axis=axis).get().ravel(), x.mean(axis=axis), rtol=1e-15)
    assert float(a.sum()) == x.sum()
    np.testing.assert_array_equal(a.max(axis=1).toarray().get().ravel(), x.max(axis=1))


def test_indices_out_of_order_and_twice(cupy: Any, sparse: Any):
    data, rows, cols = np.array([1.0, 2, 3, 4, 5]), np.array([2, 0, 2, 2, 0]), np.array([3, 1, 0, 3, 1])
    coo = sparse.coo_matrix((cupy.asarray(data), (cupy.asarray(rows), cupy.asarray(cols))), shape=(3, 4))
    expected = scipy_sparse.coo_matrix((data, (rows, cols)), shape=(3, 4)).toarray()
    for kind in ("csr", "csc"):
        found = getattr(coo, f"to{kind}")()
        assert_same(found, expected)
        assert found.nnz == 3
    csr = sparse.csr_matrix(
        (cupy.asarray([1.0, 2, 3]), cupy.asarray([3, 0, 1], "int32"), cupy.asarray([0, 2, 3], "int32")), shape=(2, 4)
    )
    csr.sort_indices()
    np.testing.assert_array_equal(csr.indices.get(), [0, 3, 1])
    np.testing.assert_array_equal(csr.data.get(), [2, 1, 3])


@pytest.mark.parametrize("dtype", TYPES)
def test_zeros_are_eliminated(cupy: Any, sparse: Any, dtype: str):
    x = drawn(7, 5, dtype)
    a = sparse.csr_matrix(cupy.asarray(x))
    a.data[:3] = 0
    kept = a.toarray().get()
    a.eliminate_zeros()
    assert a.nnz == np.count_nonzero(kept)
    assert_same(a, kept)


def test_empty_matrices(cupy: Any, sparse: Any):
    a = sparse.csr_matrix((3, 4), dtype="float32")
    assert_same(a @ cupy.ones((4, 2), "float32"), np.zeros((3, 2)))
    assert_same(a + a, np.zeros((3, 4)))
