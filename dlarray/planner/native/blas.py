"""The matrix products of NumPy's own BLAS, as addresses that native code calls.

``numpy.matmul`` and ``numpy.dot`` check their arguments for half a microsecond and more before they call CBLAS. Native
code calls the same routines without that.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Generator
from ctypes import c_double, c_float, c_int, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "NO_TRANS",
    "ROW_MAJOR",
    "TRANS",
    "Blas",
    "Product",
    "addresses",
    "blas",
    "call",
    "find",
    "libraries",
    "matrix",
]

ROW_MAJOR, NO_TRANS, TRANS = 101, 111, 112
"""CBLAS's codes for the order of memory and for an operand as it is and transposed."""
LETTERS = {np.dtype(np.float32): "s", np.dtype(np.float64): "d"}
"""The first letter of a routine's name, by the type of its numbers."""
NAMES = (
    ("scipy_cblas_{}64_", 64),  # the wheels of NumPy
    ("cblas_{}64_", 64),
    ("cblas_{}_64", 64),  # MKL
    ("cblas_{}$NEWLAPACK$ILP64", 64),  # Accelerate
    ("scipy_cblas_{}", 32),
    ("cblas_{}$NEWLAPACK", 32),
    ("cblas_{}", 32),
)
"""The names of a routine such as sgemm, and the bits of its integers."""
ROUTINES = ("sgemm", "dgemm", "sgemv", "dgemv")


@dataclass(frozen=True)
class Blas:
    """The addresses of CBLAS's routines.

    Integers other than CBLAS's codes are passed in 64 bits, whatever the routine reads: the calling conventions of
    64-bit machines keep a smaller argument in the lower half of a register or of eight bytes of the stack. So sizes
    up to ``largest`` are right, and a wrong guess of the width would do no harm.
    """

    sgemm: int
    dgemm: int
    sgemv: int
    dgemv: int
    largest: int
    """The largest size or leading dimension that the routines take."""

    def product(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> Product | None:
        """The call that writes a b into ``out``; None where an array is not as BLAS expects, or too large.

        One row or one column is a product of a matrix and a vector, as in NumPy.
        """
        if not a.dtype == b.dtype == out.dtype or (left := matrix(a)) is None or (right := matrix(b)) is None:
            return None
        m, k, n = *a.shape, b.shape[1]
        if m == 1:
            found = self._by_vector(b.T, (TRANS + NO_TRANS - right[0], right[1]), a[0], out[0], (1, 0))
        elif n == 1:
            found = self._by_vector(a, left, b[:, 0], out[:, 0], (0, 1))
        elif (to := matrix(out)) is None or to[0] == TRANS:
            return None
        else:
            leading = (left[1], right[1], to[1])
            found = Product(self.gemm(a.dtype), (left[0], right[0]), (m, n, k), (0, 1), leading)
        return found if found and max(found.sizes + found.leading) <= self.largest else None

    def _by_vector(
        self, a: np.ndarray, as_stored: tuple[int, int], x: np.ndarray, y: np.ndarray, order: tuple[int, int]
    ) -> Product | None:
        """The call that writes a x into y."""
        code, leading = as_stored
        steps = [_increment(vector) for vector in (x, y)]
        if 0 in steps or not y.flags.aligned:
            return None
        sizes = a.shape if code == NO_TRANS else a.shape[::-1]
        return Product(self.gemv(a.dtype), (code,), sizes, order, (leading, *steps))

    def gemm(self, dtype: np.dtype[Any]) -> int:
        """The address of the product of two matrices of this type."""
        return getattr(self, f"{LETTERS[dtype]}gemm")

    def gemv(self, dtype: np.dtype[Any]) -> int:
        """The address of the product of a matrix and a vector of this type."""
        return getattr(self, f"{LETTERS[dtype]}gemv")


@dataclass(frozen=True)
class Product:
    """A call of gemm, or of gemv, which has one code and two sizes.

    Its arguments are ROW_MAJOR, ``codes``, ``sizes``, 1, first operand, ``leading[0]``, second operand,
    ``leading[1]``, 0, result, ``leading[2]``.
    """

    address: int
    codes: tuple[int, ...]
    sizes: tuple[int, ...]
    order: tuple[int, int]
    """Which of a and b is the first operand, and which the second: gemv takes the matrix first."""
    leading: tuple[int, ...]
    """The leading dimensions of matrices and the increments of vectors, in numbers."""


@cache
def blas() -> Blas | None:
    """The routines of NumPy's BLAS; None where they are not found, or do not compute what NumPy computes."""
    found = find()
    return found if found and all(_agrees(found, dtype) for dtype in LETTERS) else None


def find() -> Blas | None:
    """The routines by their names in the libraries that NumPy has loaded, not tried yet; None where there are none."""
    if ctypes.sizeof(c_void_p) != 8:
        return None
    for library, (name, bits) in itertools.product(list(libraries()), NAMES):
        if found := addresses(library, [name.format(routine) for routine in ROUTINES]):
            return Blas(*found, largest=2 ** (bits - 1) - 1)
    return None


def addresses(library: ctypes.CDLL, names: list[str]) -> list[int] | None:
    """The addresses of these functions; None where one is missing."""
    try:
        return [ctypes.cast(getattr(library, name), c_void_p).value or 0 for name in names]
    except AttributeError:
        return None


def libraries() -> Generator[ctypes.CDLL]:
    """NumPy's extension module, through which its dependencies are searched, and the libraries in its wheel.

    All of them are loaded already: opening a library again returns the same.
    """
    package = Path(np.__file__).parent
    bundled = [package / ".dylibs", package.parent / "numpy.libs"]
    paths = [getattr(import_module("numpy._core._multiarray_umath"), "__file__", None)]
    paths += sorted(str(path) for folder in bundled for path in folder.glob("*blas*"))
    for path in paths:
        try:
            yield ctypes.CDLL(path)
        except OSError:  # a file of another kind
            continue


def matrix(x: np.ndarray) -> tuple[int, int] | None:
    """The code of a matrix, as it is or transposed, and its leading dimension; None where it is no matrix for BLAS.

    BLAS reads element (i, j) at i ld + j, or at j ld + i if transposed. Strides that are negative, zero, no multiple
    of the item, or shorter than what they step over cannot be written so.
    """
    if x.ndim != 2 or not x.size or x.dtype not in LETTERS or not x.flags.aligned:
        return None
    (rows, columns), (down, across) = x.shape, x.strides
    for code, length, lines, along, step in (
        (NO_TRANS, columns, rows, across, down),
        (TRANS, rows, columns, down, across),
    ):
        if length > 1 and along != x.itemsize:
            continue
        if lines == 1:  # its stride is never used
            return code, length
        if step % x.itemsize == 0 and step >= length * x.itemsize:
            return code, step // x.itemsize
    return None


def _increment(vector: np.ndarray) -> int:
    """The increment of a vector in numbers; 0 where BLAS cannot read it in this order."""
    if vector.size == 1:
        return 1
    (step,) = vector.strides
    return step // vector.itemsize if step > 0 and step % vector.itemsize == 0 else 0


def call(product: Product, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Call a product from Python; native code is what it is for."""
    number = c_float if out.dtype.itemsize == 4 else c_double
    operand = (c_void_p, c_int64)
    kinds = (*(c_int for _ in product.codes), *(c_int64 for _ in product.sizes))
    routine = ctypes.CFUNCTYPE(None, c_int, *kinds, number, *operand, *operand, number, *operand)(product.address)
    first, second = ((a, b)[i].ctypes.data for i in product.order)
    (one, two, three), sizes = product.leading, (*product.codes, *product.sizes)
    routine(ROW_MAJOR, *sizes, 1, first, one, second, two, 0, out.ctypes.data, three)


def _agrees(found: Blas, dtype: np.dtype[Any]) -> bool:
    """Whether the routines multiply small parts of larger arrays as NumPy does, and write nothing else."""
    draw = np.random.default_rng(0)

    def part(rows: int, columns: int, transposed: bool) -> np.ndarray:
        lines, length = (columns, rows) if transposed else (rows, columns)
        inner = draw.uniform(1, 2, (lines, length + 3)).astype(dtype)[:, 1 : length + 1]
        return inner.T if transposed else inner

    for m, n, left, right in itertools.product((1, 3), (1, 5), (False, True), (False, True)):
        a, b, whole = part(m, 4, left), part(4, n, right), np.full((m + 1, n + 2), np.nan, dtype)
        out = whole[:m, :n]
        if (product := found.product(a, b, out)) is None:
            return False
        call(product, a, b, out)
        if not np.allclose(out, a @ b, rtol=1e-5) or np.isnan(whole).sum() != whole.size - out.size:
            return False
    return True
