"""The limit on NumPy: the products of a step by its BLAS, without the cost of calls from Python."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlarray.bench.cases import Case
from dlarray.bench.contenders import Contender, operands
from dlarray.device import resolve
from dlarray.planner.native.blas import ROW_MAJOR, Product, blas
from dlarray.planner.native.module import compiled

__all__ = ["RawProducts"]

_Triple = tuple[np.ndarray, np.ndarray, np.ndarray]


class RawProducts(Contender):
    """The products of a step one after the other in one native function, which calls NumPy's BLAS directly.

    Without ``backward``, the products of inference. Where native code is not available they are calls of
    ``numpy.dot``, and ``by`` says why.
    """

    def __init__(self, case: Case, backward: bool = True) -> None:
        pairs = operands(case, resolve("cpu"), backward)
        self.triples: list[_Triple] = [(a, b, np.empty((a.shape[0], b.shape[1]), a.dtype)) for a, b in pairs]
        try:
            self._times, self.by = _native(self.triples), "BLAS from native code"
        except (ImportError, NotImplementedError) as error:
            self._times, self.by = self._dots, f"numpy.dot ({error})"

    def step(self, i: int) -> None:
        self._times(1)

    def steps(self, first: int, end: int) -> None:
        self._times(end - first)

    def _dots(self, times: int) -> None:
        for _ in range(times):
            for a, b, out in self.triples:
                np.dot(a, b, out)


def _native(triples: Sequence[_Triple]) -> Callable[[int], Any]:
    """A function that computes all products so many times.

    Raises ImportError without llvmlite, and NotImplementedError, with the reason, where BLAS cannot be called.
    """
    if (routines := blas()) is None:
        raise NotImplementedError("NumPy's BLAS has no routines of CBLAS that can be found by name")
    lines: list[str] = []
    for a, b, out in triples:
        if (product := routines.product(a, b, out)) is None:
            raise NotImplementedError(f"BLAS cannot multiply {a.shape} by {b.shape} as they lie in memory")
        lines.append(_line(product, a, b, out))
    module = compiled(["\n".join([*HEAD, *lines, *TAIL])], [])
    function: Any = ctypes.CFUNCTYPE(None, ctypes.c_int64)(module.address("products"))
    function.module = module  # which owns the code
    return function


HEAD = (
    "define void @products(i64 %times) {",
    "entry:",
    "  br label %step",
    "step:",
    "  %i = phi i64 [0, %entry], [%next, %again]",
    "  %done = icmp sge i64 %i, %times",
    "  br i1 %done, label %end, label %again",
    "again:",
)
TAIL = ("  %next = add i64 %i, 1", "  br label %step", "end:", "  ret void", "}")


def _line(product: Product, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> str:
    """A call with all its numbers and addresses."""
    number = {"float32": "float", "float64": "double"}[str(out.dtype)]
    first, second, to = ((a, b, out)[i].ctypes.data for i in (*product.order, 2))
    one, two, three = product.leading
    arguments = [
        *(f"i32 {code}" for code in (ROW_MAJOR, *product.codes)),
        *(f"i64 {size}" for size in product.sizes),
        f"{number} 1.0, ptr inttoptr (i64 {first} to ptr), i64 {one}, ptr inttoptr (i64 {second} to ptr), i64 {two}",
        f"{number} 0.0, ptr inttoptr (i64 {to} to ptr), i64 {three}",
    ]
    return f"  call void inttoptr (i64 {product.address} to ptr)({', '.join(arguments)})"
