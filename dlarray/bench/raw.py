"""The limit on NumPy: the products of a step by its BLAS, without the cost of calls from Python."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import numpy as np

from dlarray.bench.cases import Case
from dlarray.bench.contenders import Contender, operands
from dlarray.device import resolve
from dlarray.planner.native.blas import blas
from dlarray.planner.native.function import Function
from dlarray.planner.native.module import compiled
from dlarray.planner.native.parts import Parts
from dlarray.planner.native.table import Table
from dlarray.planner.native.values import Value

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


def _native(triples: Sequence[_Triple]) -> Callable[[int], None]:
    """A function that computes all products so many times.

    Raises ImportError without llvmlite, and NotImplementedError, with the reason, where BLAS cannot be called.
    """
    if blas() is None:
        raise NotImplementedError("NumPy's BLAS has no routines of CBLAS that can be found by name")
    table = Table()
    parts = Parts(table, None)
    for number, (a, b, out) in enumerate(triples):
        if not parts.add(number, (np.dot, (a, b, out))):
            raise NotImplementedError(f"BLAS cannot multiply {a.shape} by {b.shape} as they lie in memory")
    parts.end()
    table.finish()
    f = Function("void @products(ptr %table, i64 %times) nounwind")
    with f.loop(0, Value(f, "%times", "int64")):
        f.do(f"call void @{parts.name}(ptr %table)")
    module = compiled([*parts.functions, f.text()], parts.declared)
    run = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(module.address("products"))

    def compute(times: int) -> None:
        run(table.words.ctypes.data, times)
        _ = module  # keeps the code alive

    return compute
