# SPDX-License-Identifier: BSD-3-Clause
"""Sorts, reductions and scans that CuPy compiles with Thrust and CUB, against NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
FLOATS = ["float16", "float32", "float64"]
COMPLEX = ["complex64", "complex128"]
TYPES = ["bool", *INTEGERS, *FLOATS, *COMPLEX]


def drawn(shape: int | tuple[int, ...], dtype: str) -> np.ndarray:
    """Numbers with many equal ones, and NaN where the type has it."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 50, shape)
    if np.dtype(dtype).kind in "fc":
        values = np.where(rng.random(shape) < 0.1, np.nan, values / 4 - 5)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * np.where(rng.random(shape) < 0.1, np.nan, rng.integers(0, 3, shape))
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "axis"), [((300,), 0), ((5, 40), 1), ((40, 5), 0), ((3, 20, 2), 1), ((0,), 0)])
def test_sort(cupy: Any, dtype: str, shape: tuple[int, ...], axis: int):
    x = drawn(shape, dtype)
    found = cupy.sort(cupy.asarray(x), axis=axis).get()
    expected = np.sort(x, axis=axis)
    if np.dtype(dtype).kind == "c":  # among numbers with NaN, NumPy leaves the order open in part
        found, expected = (np.nan_to_num(y, nan=1e9) for y in (found, expected))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["bool", *INTEGERS, *FLOATS])
@pytest.mark.parametrize(("shape", "axis"), [((300,), 0), ((5, 40), 1), ((40, 5), 0)])
def test_argsort_is_stable(cupy: Any, dtype: str, shape: tuple[int, ...], axis: int):
    x = drawn(shape, dtype)
    np.testing.assert_array_equal(cupy.argsort(cupy.asarray(x), axis=axis).get(), np.argsort(x, axis, kind="stable"))


@pytest.mark.parametrize("dtype", ["int32", "float32", "float64"])
def test_lexsort(cupy: Any, dtype: str):
    keys = drawn((3, 200), dtype)
    np.testing.assert_array_equal(cupy.lexsort(cupy.asarray(keys)).get(), np.lexsort(keys))


def test_functions_on_top_of_sorts(cupy: Any):
    x = drawn(300, "int32")
    np.testing.assert_array_equal(cupy.unique(cupy.asarray(x)).get(), np.unique(x))
    for found, expected in zip(
        cupy.unique(cupy.asarray(x), return_index=True, return_inverse=True, return_counts=True),
        np.unique(x, return_index=True, return_inverse=True, return_counts=True),
        strict=True,
    ):
        np.testing.assert_array_equal(found.get(), expected)
    assert float(cupy.median(cupy.asarray(x))) == np.median(x)
    np.testing.assert_array_equal(cupy.partition(cupy.asarray(x), 10).get()[:10].max(), np.sort(x)[9])


@pytest.fixture
def with_cub(cupy: Any) -> Iterator[Any]:
    """CuPy with the reductions that were compiled with CUB, also where its own kernels are the default."""
    before = cupy._core.get_routine_accelerators()
    cupy._core.set_routine_accelerators(["cub"])
    yield cupy
    cupy._core.set_routine_accelerators(before)


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32", "float64", "complex64"])
@pytest.mark.parametrize("axis", [None, 1])
def test_reductions(with_cub: Any, dtype: str, axis: int | None):
    xp = with_cub
    x = np.nan_to_num(drawn((6, 50), dtype), nan=3)
    for name in ("sum", "max", "min", "prod"):
        values = np.sign(x) + (x == 0) if name == "prod" else x
        found, expected = getattr(xp, name)(xp.asarray(values), axis=axis), getattr(np, name)(values, axis=axis)
        np.testing.assert_allclose(found.get(), expected, rtol=1e-5, err_msg=name)
        assert found.dtype == expected.dtype
    if np.dtype(dtype).kind != "c":
        for name in ("argmax", "argmin"):
            found, expected = getattr(xp, name)(xp.asarray(x), axis=axis), getattr(np, name)(x, axis=axis)
            np.testing.assert_array_equal(found.get(), expected)


def test_nan_is_the_largest_and_the_smallest(with_cub: Any):
    x = with_cub.asarray([1.0, np.nan, 3.0, np.nan])
    assert np.isnan(float(x.max())), "max"
    assert np.isnan(float(x.min())), "min"
    with_nan = with_cub.asarray([[1.0, np.nan], [2.0, 3.0]])
    np.testing.assert_array_equal(with_nan.max(axis=1).get(), [np.nan, 3])


@pytest.mark.parametrize("dtype", ["int32", "float32", "float64", "complex128"])
def test_scans(with_cub: Any, dtype: str):
    x = np.nan_to_num(drawn(200, dtype), nan=1)
    np.testing.assert_allclose(with_cub.cumsum(with_cub.asarray(x)).get(), np.cumsum(x), rtol=1e-5)
    signs = np.sign(x) + (x == 0)
    np.testing.assert_allclose(with_cub.cumprod(with_cub.asarray(signs)).get(), np.cumprod(signs), rtol=1e-5)


def test_sums_of_long_vectors_are_precise(with_cub: Any):
    x = np.full(1 << 20, 0.1, "float32")
    np.testing.assert_allclose(float(with_cub.asarray(x).sum()), 0.1 * len(x), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int32", "float32", "float64"])
def test_histograms(with_cub: Any, dtype: str):
    x = np.nan_to_num(drawn(500, dtype), nan=1)
    edges = np.linspace(-6, 50, 9)
    found = with_cub.histogram(with_cub.asarray(x), bins=with_cub.asarray(edges))[0]
    np.testing.assert_array_equal(found.get(), np.histogram(x, edges)[0])
    counts = np.abs(x).astype("int32")
    np.testing.assert_array_equal(with_cub.bincount(with_cub.asarray(counts)).get(), np.bincount(counts))
