"""The limits of a step: its products alone, one by one or as one graph; a large product and a copy for the roofline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from contenders.base import Measured, on_gpu
from contenders.ours import cuda_versions
from dlarray.bench import Case, Problem, Products, operands
from dlarray.device import Device, resolve
from setting import Setting

ALGORITHMS = 8
"""How many of cublasLt's proposals are tried for each product."""


class Limit(Products, Measured):
    """The products of a step alone, one by one: NumPy's BLAS, and cuBLAS on a GPU."""

    def __init__(self, case: Case, setting: Setting, backward: bool = True) -> None:
        if setting.precision == "bfloat16":
            raise NotImplementedError("neither NumPy nor CuPy has products of bfloat16; PyTorch's are the limit")
        self.setting = setting
        super().__init__(case, resolve(setting.device), backward)

    def about(self) -> dict[str, Any]:
        return {} if self.setting.device == "cpu" else cuda_versions()


def products(problem: Problem, setting: Setting) -> Measured:
    """The limit, product by product."""
    return Limit(problem.case, setting)


def large_product(problem: Problem, setting: Setting) -> Measured:
    """One large product: the rate that the device reaches."""
    return Limit(large(setting), setting, backward=False)


def large(setting: Setting) -> Case:
    """A network of one layer whose forward pass is one large product."""
    return Case("large", (setting.large, setting.large), setting.large)


class TorchLimit(Measured):
    """The products of a step alone through PyTorch's library, in the precision of the setting."""

    library = "torch"

    def __init__(self, case: Case, setting: Setting, backward: bool = True) -> None:
        import torch

        self.setting, self.device, self.multiply = setting, torch_device(setting), torch.matmul
        self.triples = [(a, b, a @ b) for a, b in operands(case, self.device, backward)]

    def step(self, i: int) -> None:
        for a, b, out in self.triples:
            self.multiply(a, b, out=out)

    def wait(self, loss: Any) -> None:
        self.device.backend.synchronize(self.device.handle)


class Half(Device):
    """A device of torch whose new arrays are of bfloat16."""

    def asarray(self, values: Any, dtype: str | None = None) -> Any:
        return super().asarray(values, dtype).bfloat16()


def torch_device(setting: Setting) -> Device:
    """The device of torch with its products in the setting's precision."""
    from contenders.torch import prepare

    device = resolve(f"torch:{prepare(setting)}")
    return Half(**vars(device)) if setting.precision == "bfloat16" else device


def torch_products(problem: Problem, setting: Setting) -> Measured:
    """The limit, product by product."""
    return TorchLimit(problem.case, setting)


def torch_large_product(problem: Problem, setting: Setting) -> Measured:
    """One large product."""
    return TorchLimit(large(setting), setting, backward=False)


class Captured(Measured):
    """The products of a step alone through cublasLt as one graph, each by the fastest of its algorithms.

    ``card`` is what the planner computes on; the arrays are those of the device.
    """

    def __init__(self, case: Case, device: Device, card: Any) -> None:
        from dlarray.planner.cuda.card import Product

        self.card, self.device = card, device
        self.triples: list[tuple[Any, Any, Any]] = []
        chosen: list[Callable[[], None]] = []
        for a, b in operands(case, device):
            (m, k), n = a.shape, b.shape[1]
            out = card.empty((m, n), np.dtype(np.float32))
            asked = Product(m, n, k, "float32", matrix(card, a), matrix(card, b), out=card.address_of(out))
            found = card.algorithms(asked, ALGORITHMS)
            if not found:
                raise NotImplementedError("cublasLt is missing (pip install nvmath-python), or has no such product")
            self.triples.append((a, b, out))
            chosen.append(min(found, key=card.seconds))

        def work() -> None:
            for product in chosen:
                product()

        work()
        self.graph = card.record(work)

    def step(self, i: int) -> None:
        self.graph()

    def wait(self, loss: Any) -> None:
        self.device.backend.synchronize(self.device.handle)


def matrix(card: Any, x: Any) -> Any:
    """An array as the planner describes the operand of a product: its rows, or those of its transpose."""
    from dlarray.planner.cuda.card import Matrix

    transposed = not x.flags.c_contiguous
    return Matrix(card.address_of(x), x.shape[0] if transposed else x.shape[1], transposed)


def captured(problem: Problem, setting: Setting) -> Measured:
    """The limit as one graph."""
    device = resolve(on_gpu(setting).device)
    if setting.precision == "bfloat16":
        raise NotImplementedError("the planner has no products of bfloat16")
    from dlarray_cupy.card import CupyCard

    made = Captured(problem.case, device, CupyCard(0))
    made.setting = setting
    return made


class Copy(Measured):
    """An array of float32 copied to another one: the bandwidth that the device reaches, reading and writing."""

    def __init__(self, device: Device, library: str, setting: Setting) -> None:
        self.device, self.library, self.setting = device, library, setting
        host = np.random.default_rng(0).standard_normal((setting.large, setting.large), dtype=np.float32)
        self.source: Any = device.asarray(host)
        self.target: Any = device.asarray(host)

    def step(self, i: int) -> None:
        self.target[...] = self.source

    def wait(self, loss: Any) -> None:
        self.device.backend.synchronize(self.device.handle)


def copy(problem: Problem, setting: Setting) -> Measured:
    """The copy by NumPy or CuPy."""
    return Copy(resolve(setting.device), "", setting)


def torch_copy(problem: Problem, setting: Setting) -> Measured:
    """The copy by PyTorch."""
    return Copy(torch_device(replace(setting, precision="float32")), "torch", setting)
