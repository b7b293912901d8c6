"""Products of NumPy's own BLAS by address."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dlarray.planner.native import blas as module
from dlarray.planner.native.blas import NO_TRANS, TRANS, Blas, addresses, blas, call, find, libraries, matrix

DTYPES = ("float32", "float64")


@pytest.fixture
def found() -> Blas:
    if (routines := blas()) is None:
        pytest.skip("NumPy's BLAS has no CBLAS routines to be found by name")
    return routines


def test_the_wheels_of_numpy_have_the_routines():
    bundled = [library for library in libraries() if addresses(library, ["scipy_cblas_sgemm64_"])]
    routines = blas()
    if not bundled:
        pytest.skip("NumPy is not from a wheel with OpenBLAS")
    assert routines is not None
    assert [routines.sgemm] == addresses(bundled[0], ["scipy_cblas_sgemm64_"])
    assert routines.largest == 2**63 - 1
    assert len({routines.sgemm, routines.dgemm, routines.sgemv, routines.dgemv}) == 4
    assert routines == find()
    assert routines.gemm(np.dtype("float64")) == routines.dgemm
    assert routines.gemv(np.dtype("float32")) == routines.sgemv


def part(draw: np.random.Generator, rows: int, columns: int, layout: str, dtype: str) -> np.ndarray:
    """A matrix in one of several layouts."""
    if layout == "transposed":
        return part(draw, columns, rows, "whole", dtype).T
    if layout == "transposed part":
        return part(draw, columns, rows, "part", dtype).T
    whole = draw.standard_normal((rows + 3, columns + 5)).astype(dtype)
    return whole[2 : rows + 2, 1 : columns + 1] if layout == "part" else whole[:rows, :columns].copy()


LAYOUTS = ("whole", "part", "transposed", "transposed part")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("left", LAYOUTS)
@pytest.mark.parametrize("right", LAYOUTS)
def test_products_are_those_of_numpy(found: Blas, left: str, right: str, dtype: str):
    draw = np.random.default_rng(0)
    for m in (1, 2, 33):
        for n in (1, 3, 17):
            for k in (1, 2, 64):
                a, b = part(draw, m, k, left, dtype), part(draw, k, n, right, dtype)
                whole = np.full((m + 2, n + 3), np.nan, dtype)
                out = whole[1 : m + 1, 2 : n + 2]
                product = found.product(a, b, out)
                assert product is not None
                assert product.address in ([found.sgemv, found.dgemv] if 1 in (m, n) else [found.sgemm, found.dgemm])
                call(product, a, b, out)
                eps = np.finfo(dtype).eps
                assert np.all(np.abs(out - a @ b) <= 4 * k * eps * (np.abs(a) @ np.abs(b)))
                assert np.isnan(whole).sum() == whole.size - out.size  # nothing else is written


def test_a_vector_may_have_an_increment(found: Blas):
    draw = np.random.default_rng(0)
    a, columns = draw.random((6, 4)), draw.random((4, 5))
    for b in (columns[:, 2:3], columns[:, ::3][:, 1:]):
        out = np.full((6, 3), np.nan)
        product = found.product(a, b, out[:, 1:2])
        assert product is not None
        assert product.leading == (4, 5, 3)
        call(product, a, b, out[:, 1:2])
        np.testing.assert_allclose(out[:, 1:2], a @ b)
    row, out = draw.random((1, 8))[:, ::2], np.full((1, 10), np.nan)
    product = found.product(row, columns, out[:, ::2])
    assert product is not None
    assert (product.order, product.leading) == ((1, 0), (5, 2, 2))
    call(product, row, columns, out[:, ::2])
    np.testing.assert_allclose(out[:, ::2], row @ columns)


def test_what_blas_cannot_take_is_no_product(found: Blas):
    a, b, out = np.ones((3, 4)), np.ones((4, 5)), np.empty((3, 5))
    assert found.product(a, b, out) is not None
    assert found.product(a.astype("float32"), b, out) is None
    assert found.product(a[:, ::-1], b, out) is None
    assert found.product(a, b[::-1], out) is None
    assert found.product(a, b, np.empty((5, 3)).T) is None
    assert found.product(a, b[:, :1], out[::-1, :1]) is None
    small = Blas(*(found.sgemm, found.dgemm, found.sgemv, found.dgemv), largest=4)
    assert small.product(a, b, out) is None
    assert small.product(a, np.ones((4, 4)), np.empty((3, 4))) is not None
    assert small.product(a, np.ones((4, 5))[:, :4], np.empty((3, 4))) is None  # the leading dimension


def sliding(x: np.ndarray) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(x, 3)


def unaligned() -> np.ndarray:
    return np.zeros(8 * 6 + 1, np.uint8)[1:].view("float64").reshape(2, 3)


def fields() -> np.ndarray:
    return np.zeros((2, 3), [("a", "f8"), ("b", "f4")])["a"]


BASE = np.zeros((5, 7))


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (BASE, (NO_TRANS, 7)),
        (BASE.T, (TRANS, 7)),
        (BASE[1:3, 2:6], (NO_TRANS, 7)),
        (BASE[::2], (NO_TRANS, 14)),
        (BASE[:, ::2], None),
        (BASE[::-1], None),
        (BASE[:, ::-1], None),
        (BASE[:1], (NO_TRANS, 7)),
        (BASE[3:2:-1], (NO_TRANS, 7)),  # one row: its stride is never used
        (BASE[:, 2:3], (NO_TRANS, 7)),
        (BASE[:, 2:3].T, (TRANS, 7)),
        (BASE[::-1, 2:3], None),
        (BASE[:1, ::2], (TRANS, 2)),
        (BASE[2:3, 3:4], (NO_TRANS, 1)),
        (np.broadcast_to(1.0, (5, 7)), None),
        (np.broadcast_to(1.0, (1, 1)), (NO_TRANS, 1)),
        (np.broadcast_to(BASE[0], (5, 7)), None),
        (np.broadcast_to(BASE[:, :1], (5, 7)), None),
        (np.broadcast_to(BASE[0], (1, 7)), (NO_TRANS, 7)),
        (sliding(BASE[0]), None),
        (np.zeros((5, 0)), None),
        (np.zeros((0, 7)), None),
        (np.zeros(7), None),
        (np.zeros((2, 5, 7)), None),
        (BASE.astype(">f8"), None),
        (BASE.astype("float16"), None),
        (BASE.astype("int64"), None),
        (BASE.astype("complex128"), None),
        (BASE.astype("float32")[:, 1:], (NO_TRANS, 7)),
        (unaligned(), None),
        (fields(), None),
    ],
)
def test_the_leading_dimension_of_a_matrix(x: np.ndarray, expected: tuple[int, int] | None):
    assert matrix(x) == expected


def test_every_view_reads_what_its_leading_dimension_says():
    draw, memory = np.random.default_rng(0), np.arange(400.0)
    seen = 0
    for _ in range(3000):
        rows, columns = draw.integers(1, 5, 2)
        steps = draw.integers(-9, 10, 2)
        if draw.random() < 0.5:
            steps[draw.integers(2)] = 1
        x = np.lib.stride_tricks.as_strided(memory[200:], (rows, columns), tuple(8 * steps))
        if (described := matrix(x)) is None:
            continue
        seen += 1
        code, leading = described
        assert leading >= (columns if code == NO_TRANS else rows)
        i, j = np.indices(x.shape)
        assert np.array_equal(x, memory[200:][i * leading + j if code == NO_TRANS else j * leading + i])
    assert seen > 500


def test_without_the_routines_there_are_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "libraries", lambda: iter([ctypes.CDLL(None)]))
    monkeypatch.setattr(module, "NAMES", (("no_such_{}_", 64),))
    assert find() is None
    assert blas.__wrapped__() is None


def test_a_library_that_cannot_be_opened_is_left_out(monkeypatch: pytest.MonkeyPatch):
    every = [library._name for library in libraries()]

    def elsewhere(_: str) -> Any:
        return SimpleNamespace(__file__="/no/such/library.so")

    monkeypatch.setattr(module, "import_module", elsewhere)
    assert [library._name for library in libraries()] == every[1:]


@pytest.mark.parametrize("wrong", [("sgemm", "sgemv"), ("dgemv", "dgemm")])
def test_routines_that_compute_something_else_are_not_used(
    found: Blas, wrong: tuple[str, str], monkeypatch: pytest.MonkeyPatch
):
    def broken(product: Any, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        call(product, a, b, out)
        if product.address == getattr(found, wrong[0]):
            out.flat[0] += 0.01

    monkeypatch.setattr(module, "call", broken)
    assert blas.__wrapped__() is None


def test_routines_that_write_too_much_are_not_used(found: Blas, monkeypatch: pytest.MonkeyPatch):
    def wide(product: Any, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        call(product, a, b, out)
        whole: Any = out.base
        whole[-1, -1] = 0

    monkeypatch.setattr(module, "call", wide)
    assert blas.__wrapped__() is None
