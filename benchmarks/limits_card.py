"""The limits of a step: its products alone, one by one or as one graph; a large product and a copy for the roofline.

Nothing here that needs a card has ever run on one.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from ours_card import clock_of, on_a_card, versions
from setting import Setting
from timed import Clock, Measured

from dlarray.bench import Case, Problem, Products
from dlarray.device import resolve


class Limit(Products, Measured):
    """The products of a step alone, one by one: cuBLAS on a card."""

    def __init__(self, case: Case, setting: Setting, backward: bool = True) -> None:
        if setting.precision == "bfloat16":
            raise NotImplementedError("neither NumPy nor CuPy has products of bfloat16; PyTorch's are the limit")
        self.setting = setting
        super().__init__(case, resolve(setting.device), backward)

    def clock(self) -> Clock:
        return clock_of(self.setting)

    def about(self) -> dict[str, Any]:
        return versions(self.setting)


def products(problem: Problem, setting: Setting) -> Measured:
    """The limit, product by product."""
    return Limit(problem.case, setting)


class CapturedProducts(Measured):
    """The products of a step alone through cublasLt as one graph, each by its fastest algorithm of eight.

    ``card`` is what the planner computes on, ``asarray`` what brings a host's array there.
    """

    def __init__(self, case: Case, card: Any, asarray: Callable[[np.ndarray], Any]) -> None:
        from dlarray.planner.cuda.card import Matrix, Product

        self.card, draw = card, np.random.default_rng(0)
        self.arrays: list[Any] = []
        """Three to a product: a, b and what comes out."""

        def array(*shape: int) -> tuple[Any, int]:
            made = asarray(draw.standard_normal(shape, dtype=np.float32))
            return made, shape[1]

        def add(m: int, n: int, k: int, a: tuple[Any, int], b: tuple[Any, int], a_t: bool, b_t: bool) -> None:
            out, matrices = card.empty((m, n), np.dtype(np.float32)), []
            for (x, pitch), transposed in ((a, a_t), (b, b_t)):
                matrices.append(Matrix(card.address_of(x), pitch, transposed))
            asked = Product(m, n, k, "float32", *matrices, out=card.address_of(out))
            found = card.algorithms(asked, 8)
            if not found:
                raise NotImplementedError("cublasLt is missing (pip install nvmath-python), or has no such product")
            self.arrays += [a[0].T if a_t else a[0], b[0].T if b_t else b[0], out]
            chosen.append(min(found, key=card.seconds))

        chosen: list[Callable[[], None]] = []
        for i, (n, m) in enumerate(pairwise(case.widths)):
            x, w, dy = array(case.batch, n), array(n, m), array(case.batch, m)
            add(case.batch, m, n, x, w, False, False)
            add(n, m, case.batch, x, dy, True, False)
            if i:
                add(case.batch, n, m, dy, w, False, True)

        def work() -> None:
            for product in chosen:
                product()

        work()
        self.graph = card.record(work)

    def step(self, i: int) -> None:
        self.graph()


class OnCuda(CapturedProducts):
    """Those on a card of CuPy."""

    def __init__(self, problem: Problem, setting: Setting) -> None:
        from dlarray_cupy.card import CupyCard

        if setting.precision == "bfloat16":
            raise NotImplementedError("the planner has no products of bfloat16")
        self.setting, self.device = setting, resolve(setting.device)
        super().__init__(problem.case, CupyCard(0), self.device.asarray)

    def wait(self, loss: Any) -> None:
        self.device.backend.synchronize(self.device.place)

    def clock(self) -> Clock:
        return clock_of(self.setting)


def captured_products(problem: Problem, setting: Setting) -> Measured:
    """The limit as one graph."""
    return OnCuda(problem, on_a_card(setting))


def large_product(problem: Problem, setting: Setting) -> Measured:
    """One large product: the rate that the device reaches. It is the forward feed of a network of one layer."""
    side = setting.large
    return Limit(Case("large", (side, side), side), setting, backward=False)


class Copy(Measured):
    """An array copied to another one: the bandwidth that the device reaches, reading and writing."""

    def __init__(self, problem: Problem, setting: Setting) -> None:
        self.setting, self.device = setting, resolve(setting.device)
        host = np.random.default_rng(0).standard_normal((setting.large, setting.large), dtype=np.float32)
        self.source: Any = self.device.asarray(host)
        self.target: Any = self.device.asarray(host)

    def step(self, i: int) -> None:
        self.target[...] = self.source

    def wait(self, loss: Any) -> None:
        self.device.backend.synchronize(self.device.place)

    def clock(self) -> Clock:
        return clock_of(self.setting)
