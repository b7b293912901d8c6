# SPDX-License-Identifier: BSD-3-Clause
"""Products by the emulated cuBLAS, as CuPy calls it, against NumPy in a wider type."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from itertools import product as every
from typing import Any

import numpy as np
import pytest

from tests import cuda_on_cpu as emulator

SHAPES = [(1, 1, 1), (7, 5, 3), (1, 9, 4), (16, 6, 64), (33, 18, 130), (5, 4, 0)]
REAL = ["float32", "float64"]
TYPES = [*REAL, "complex64", "complex128"]
WIDER = {"float16": "float64", "float32": "float64", "complex64": "complex128"}
WIDER |= {"float64": "longdouble", "complex128": "clongdouble"}


@pytest.fixture
def blas(cupy: Any) -> Any:
    """CuPy's functions by the names of BLAS."""
    return import_module("cupy.cublas")


@pytest.fixture
def cublas(cupy: Any) -> Any:
    """cuBLAS itself."""
    return import_module("cupy_backends.cuda.libs.cublas")


def drawn(shape: int | tuple[int, ...], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(sum(np.atleast_1d(shape)))
    values = rng.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.normal(size=shape)
    return values.astype(dtype)


def assert_rounded(found: Any, terms: int, f: Callable[..., np.ndarray], *operands: np.ndarray) -> None:
    """Compare with f in a wider type.

    A sum of so many products, however it is ordered, is off by that many units of rounding of the sum of their
    magnitudes at most; a complex product is two real ones and their sum, and factors and the result round once more.
    f is computed with the magnitudes of the operands too, so all its terms are added.
    """
    wide = [x.astype(WIDER[x.dtype.name]) for x in operands]
    most = f(*map(np.abs, wide))
    units = np.finfo(found.dtype).eps
    assert found.dtype == operands[0].dtype
    assert found.shape == most.shape
    assert np.all(np.abs(found.get() - f(*wide)) <= (terms + 2) * 2 * units * most)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("turned", list(every((False, True), (False, True))))
def test_matrices(cupy: Any, dtype: str, turned: tuple[bool, bool]):
    for m, n, k in SHAPES:
        a, b = drawn((m, k), dtype), drawn((k, n), dtype)
        left, right = (
            cupy.asarray(x.T.copy()).T if t else cupy.asarray(x) for x, t in zip((a, b), turned, strict=True)
        )
        assert_rounded(left @ right, k, np.matmul, a, b)


@pytest.mark.parametrize("dtype", [*TYPES, "float16"])
def test_batches(cupy: Any, dtype: str):
    a, b = drawn((3, 4, 7, 5), dtype), drawn((3, 4, 5, 6), dtype)
    assert_rounded(cupy.asarray(a) @ cupy.asarray(b), 5, np.matmul, a, b)
    broadcast = cupy.matmul(cupy.asarray(a), cupy.asarray(b[:1, :1]))
    assert_rounded(broadcast, 5, np.matmul, a, b[:1, :1])


def test_matrices_in_half_are_summed_in_float32(cupy: Any):
    ones = cupy.ones((2, 4096), "float16")  # in half, the sum would stop at 2048
    np.testing.assert_array_equal((ones @ ones.T).get(), np.full((2, 2), 4096, "float16"))


@pytest.mark.parametrize("dtype", TYPES)
def test_sums_of_matrices_into_what_is_there(cupy: Any, blas: Any, dtype: str):
    a, b, c = (drawn(shape, dtype) for shape in ((6, 4), (4, 5), (6, 5)))
    out = cupy.asfortranarray(cupy.asarray(c))
    blas.gemm("N", "N", cupy.asarray(a), cupy.asarray(b), out=out, alpha=2.0, beta=0.5)
    assert_rounded(out, 6, lambda a, b, c: 2 * a @ b + c / 2, a, b, c)


def test_what_is_there_is_not_read_with_a_factor_of_zero(cupy: Any, blas: Any):
    a, out = cupy.ones((3, 3), "float32"), cupy.full((3, 3), np.nan, "float32", order="F")
    blas.gemm("N", "N", a, a, out=out)
    np.testing.assert_array_equal(out.get(), np.full((3, 3), 3, "float32"))
    nan = cupy.full((3, 3), np.nan, "float32")
    blas.gemm("N", "N", nan, nan, out=out, alpha=0.0, beta=2.0)
    np.testing.assert_array_equal(out.get(), np.full((3, 3), 6, "float32"))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("on_gpu", [False, True])
def test_vectors(cupy: Any, blas: Any, dtype: str, on_gpu: bool):
    x, y = drawn(300, dtype), drawn(301, dtype)[1:]
    gx, gy = cupy.asarray(x), cupy.asarray(y)
    real = x.real.dtype
    out, real_out = (cupy.empty((), t) if on_gpu else None for t in (x.dtype, real))
    if np.dtype(dtype).kind == "c":
        assert_rounded(cupy.asarray(blas.dotu(gx, gy, out=out)), 300, np.dot, x, y)
        assert_rounded(cupy.asarray(blas.dotc(gx, gy, out=out)), 300, np.vdot, x, y)
    else:
        assert_rounded(cupy.asarray(blas.dot(gx, gy, out=out)), 300, np.dot, x, y)
    np.testing.assert_allclose(cupy.asarray(blas.nrm2(gx, out=real_out)).get(), np.linalg.norm(x), rtol=1e-6)
    magnitudes = np.abs(x.real) + np.abs(x.imag)
    np.testing.assert_allclose(cupy.asarray(blas.asum(gx, out=real_out)).get(), magnitudes.sum(), rtol=1e-6)
    index = cupy.empty((), "int32") if on_gpu else None
    assert int(blas.iamax(gx, out=index)) == magnitudes.argmax() + 1  # counted from 1
    assert int(blas.iamin(gx, out=index)) == magnitudes.argmin() + 1
    alpha = cupy.asarray(1.5, dtype) if on_gpu else 1.5
    blas.axpy(alpha, gx, gy)
    assert_rounded(gy, 2, lambda x, y: 1.5 * x + y, x, y)
    blas.scal(alpha, gx)
    np.testing.assert_array_equal(gx.get(), (x * np.asarray(1.5, dtype)).astype(dtype))


@pytest.mark.parametrize("dtype", TYPES)
def test_a_matrix_with_vectors(cupy: Any, blas: Any, cublas: Any, dtype: str):
    a, x, y = drawn((6, 4), dtype), drawn(4, dtype), drawn(6, dtype)
    ga, gx, gy = (cupy.asfortranarray(cupy.asarray(v)) for v in (a, x, y))
    for trans, matrix in (("N", a), ("T", a.T), ("H", a.conj().T)):
        left, right = (gx, gy.copy()) if trans == "N" else (gy, gx.copy())
        before = right.get()
        blas.gemv(trans, 2.0, ga, left, 1.0, right)
        assert_rounded(right, 8, lambda a, x, y: 2 * a @ x + y, matrix, left.get(), before)
    blas.dgmm("L", ga, gy, out=(out := cupy.empty_like(ga)))
    np.testing.assert_allclose(out.get(), y[:, None] * a, rtol=1e-6)
    blas.dgmm("R", ga, gx, out=out)
    np.testing.assert_allclose(out.get(), a * x, rtol=1e-6)
    names = ("geru", "gerc") if np.dtype(dtype).kind == "c" else ("ger",)
    for name in names:
        out = ga.copy(order="F")
        getattr(cupy.cublas, name)(2.0, gy, gx, out)
        assert_rounded(out, 4, lambda y, x, a: 2 * np.outer(y, x) + a, y, x.conj() if name == "gerc" else x, a)


@pytest.mark.parametrize("dtype", TYPES)
def test_sums_and_squares_of_matrices(cupy: Any, blas: Any, dtype: str):
    a, b = drawn((6, 4), dtype), drawn((4, 6), dtype)
    ga, gb = (cupy.asfortranarray(cupy.asarray(v)) for v in (a, b))
    found = blas.geam("N", "T", 2.0, ga, 1.0, gb)
    assert_rounded(found, 4, lambda a, b: 2 * a + b.T, a, b)
    for lower, kept in ((True, np.tril), (False, np.triu)):
        found = blas.syrk("N", ga, lower=lower)
        np.testing.assert_allclose(kept(found.get()), kept(a @ a.T), rtol=1e-5, atol=1e-5)


@contextmanager
def math_mode(cupy: Any, cublas: Any, mode: int) -> Generator[int]:
    """A handle of cuBLAS in another mode of computing."""
    handle = cupy.cuda.device.get_cublas_handle()
    before = cublas.getMathMode(handle)
    cublas.setMathMode(handle, mode)
    try:
        yield handle
    finally:
        cublas.setMathMode(handle, before)


def test_tf32_rounds_the_operands_to_ten_bits(cupy: Any, blas: Any, cublas: Any):
    x = cupy.asarray([[1 + 2.0**-10 + 2.0**-12]], "float32")
    one = cupy.ones((1, 1), "float32")
    assert (x @ one).item() == x.item()
    with math_mode(cupy, cublas, 3):  # CUBLAS_TF32_TENSOR_OP_MATH
        assert blas.gemm("N", "N", x, one).item() == 1 + 2.0**-10
        double = x.astype("float64")
        assert blas.gemm("N", "N", double, cupy.ones((1, 1))).item() == double.item()


GEMM_EX = [
    # name of A and B, of C, of the sums, and their numbers in CUDA
    ("float32", "float32", (0, 0, 68)),
    ("float16", "float16", (2, 2, 68)),
    ("float16", "float32", (2, 0, 68)),
    ("float16", "float16", (2, 2, 64)),
    ("float64", "float64", (1, 1, 70)),
    ("int8", "int32", (3, 10, 72)),
    ("int8", "float32", (3, 0, 68)),
    ("complex64", "complex64", (4, 4, 68)),
    ("complex128", "complex128", (5, 5, 70)),
]


def gemm_ex(
    cupy: Any, cublas: Any, a: Any, b: Any, out: Any, numbers: tuple[int, int, int], leading: int | None = None
) -> None:
    """out = a b for matrices in column-major order."""
    kind, out_kind, compute = numbers
    scalar = {64: "float16", 68: "float32", 70: "float64", 72: "int32"}[compute]
    one, zero = (np.array(v, a.dtype if a.dtype.kind == "c" else scalar) for v in (1, 0))
    (m, k), n = a.shape, b.shape[1]
    cublas.gemmEx(
        cupy.cuda.device.get_cublas_handle(),
        *(0, 0, m, n, k),
        one.ctypes.data,
        *(a.data.ptr, kind, m if leading is None else leading),
        *(b.data.ptr, kind, k),
        zero.ctypes.data,
        *(out.data.ptr, out_kind, m, compute, -1),
    )


@pytest.mark.parametrize(("given", "result", "numbers"), GEMM_EX)
def test_mixed_types(cupy: Any, cublas: Any, given: str, result: str, numbers: tuple[int, int, int]):
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-3, 4, shape).astype(given) for shape in ((5, 7), (7, 3)))
    out = cupy.empty((5, 3), result, order="F")
    gemm_ex(cupy, cublas, *(cupy.asfortranarray(cupy.asarray(x)) for x in (a, b)), out, numbers)
    np.testing.assert_array_equal(out.get(), a.astype(result) @ b.astype(result))  # integers: exact


def bfloat16(x: np.ndarray) -> np.ndarray:
    """The upper half of float32."""
    return (x.astype("float32").view("uint32") >> 16).astype("uint16")


def test_bfloat16(cupy: Any, cublas: Any):
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-3, 4, shape) for shape in ((5, 7), (7, 3)))
    left, right = (cupy.asfortranarray(cupy.asarray(bfloat16(x))) for x in (a, b))
    out = cupy.empty((5, 3), "uint16", order="F")
    gemm_ex(cupy, cublas, left, right, out, (14, 14, 68))
    np.testing.assert_array_equal(out.get(), bfloat16(a @ b))


@pytest.mark.parametrize(("numbers", "status"), [((2, 1, 68), "NOT_SUPPORTED"), ((0, 0, 64), "NOT_SUPPORTED")])
def test_types_that_cublas_does_not_have(cupy: Any, cublas: Any, numbers: tuple[int, int, int], status: str):
    a, out = (cupy.zeros((2, 2), "float64", order="F") for _ in range(2))
    with pytest.raises(cublas.CUBLASError, match=status):
        gemm_ex(cupy, cublas, a, a, out, numbers)


def test_a_leading_dimension_that_is_too_small(cupy: Any, cublas: Any, capfd: pytest.CaptureFixture[str]):
    a, out = (cupy.zeros((2, 2), "float32", order="F") for _ in range(2))
    with pytest.raises(cublas.CUBLASError, match="INVALID_VALUE"):
        gemm_ex(cupy, cublas, a, a, out, (0, 0, 68), leading=1)
    assert "parameter number 8" in capfd.readouterr().err


def test_cupy_makes_products_in_tf32_if_asked(cupy: Any):
    linalg = import_module("cupy._core._routines_linalg")
    x, ones = cupy.full((2, 2), 1 + 2.0**-10 + 2.0**-12, "float32"), cupy.ones((2, 3), "float32")
    before = linalg.get_compute_type("float32")
    linalg.set_compute_type("float32", linalg.COMPUTE_TYPE_TF32)  # as the variable CUPY_TF32=1 does
    try:
        np.testing.assert_array_equal((x @ ones).get(), np.full((2, 3), 2 + 2.0**-9, "float32"))
    finally:
        linalg.set_compute_type("float32", before)
    np.testing.assert_array_equal((x @ ones).get(), np.full((2, 3), 2 * x[0, 0].item(), "float32"))


def test_cupy_refuses_products_while_a_graph_is_recorded(cupy: Any):
    a = cupy.ones((3, 3))
    with cupy.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        try:
            with pytest.raises(NotImplementedError, match="during stream capture"):
                a @ a
        finally:
            stream.end_capture()


def test_results_on_the_host_are_waited_for(cupy: Any, blas: Any):
    x = cupy.arange(4.0)
    with emulator.order("late"), cupy.cuda.Stream(non_blocking=True):
        y = cupy.arange(4.0) * 2
        assert float(blas.nrm2(y)) == np.linalg.norm(np.arange(4.0) * 2)
    assert float(x @ x) == 14


def test_what_is_not_emulated_names_itself(cupy: Any, cublas: Any, capfd: pytest.CaptureFixture[str]):
    a, b = cupy.eye(3, order="F"), cupy.ones((3, 1), order="F")
    one = np.ones(1)
    with pytest.raises(cublas.CUBLASError, match="NOT_SUPPORTED"):
        cublas.dtrsm(
            cupy.cuda.device.get_cublas_handle(), 0, 0, 0, 0, 3, 1, one.ctypes.data, a.data.ptr, 3, b.data.ptr, 3
        )
    assert "cublasDtrsm" in capfd.readouterr().err
