"""The limits of a step: its products alone, one by one or as one graph, and the rates of a device for the roofline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from contenders.base import Measured, on_gpu
from contenders.ours import cuda_versions
from dlarray.bench import Case, Products, RawProducts, Workload, limits, operands
from dlarray.device import Device, resolve
from setting import Setting

ALGORITHMS = 8
"""How many of cublasLt's proposals are tried for each product."""


class Raw(RawProducts, Measured):
    """The products of a step alone by NumPy's BLAS, called from native code."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        super().__init__(workload.case)

    def about(self) -> dict[str, Any]:
        return {"products": self.by}


class OneByOne(Products, Measured):
    """The products of a step alone, one call each: numpy.matmul, and cuBLAS on a GPU."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        self.setting = setting
        super().__init__(workload.case, own_device(setting))

    def about(self) -> dict[str, Any]:
        return {} if self.setting.device == "cpu" else cuda_versions()


def own_device(setting: Setting) -> Device:
    """The device of NumPy or CuPy."""
    if setting.precision == "bfloat16":
        raise NotImplementedError("neither NumPy nor CuPy has products of bfloat16; PyTorch's are the limit")
    return resolve(setting.device)


class Captured(Measured):
    """The products of a step alone through cublasLt as one graph, each by the fastest of its algorithms.

    ``gpu`` is what the planner computes on; the arrays are those of the device.
    """

    def __init__(self, case: Case, device: Device, gpu: Any) -> None:
        from dlarray.planner.cuda.gpu import Product

        self.gpu, self.device = gpu, device
        self.triples: list[tuple[Any, Any, Any]] = []
        chosen: list[Callable[[], None]] = []
        for a, b in operands(case, device):
            (m, k), n = a.shape, b.shape[1]
            out = gpu.empty((m, n), np.dtype(np.float32))
            asked = Product(m, n, k, "float32", matrix(gpu, a), matrix(gpu, b), out=gpu.address_of(out))
            found = gpu.algorithms(asked, ALGORITHMS)
            if not found:
                raise NotImplementedError("cublasLt is missing (pip install nvmath-python), or has no such product")
            self.triples.append((a, b, out))
            chosen.append(min(found, key=gpu.seconds))

        def work() -> None:
            for product in chosen:
                product()

        work()
        self.graph = gpu.record(work)

    def step(self, i: int) -> None:
        self.graph()

    def wait(self, loss: Any) -> None:
        self.device.backend.synchronize(self.device.handle)


def matrix(gpu: Any, x: Any) -> Any:
    """An array as the planner describes the operand of a product: its rows, or those of its transpose."""
    from dlarray.planner.cuda.gpu import Matrix

    transposed = not x.flags.c_contiguous
    return Matrix(gpu.address_of(x), x.shape[0] if transposed else x.shape[1], transposed)


def captured(workload: Workload, setting: Setting) -> Measured:
    """The limit as one graph."""
    device = own_device(on_gpu(setting))
    from dlarray_cupy.gpu import CupyGpu

    made = Captured(workload.case, device, CupyGpu(0))
    made.setting = setting
    return made


class Rates:
    """What a device reaches: the rate of a large product and the bandwidth of a large array, for the roofline."""

    def __init__(self, device: Device, setting: Setting, dtype: str = "float32") -> None:
        self.device, self.side, self.dtype = device, setting.large, dtype

    def measured(self) -> dict[str, float]:
        """Operations a second, and bytes a second that are read and written."""
        found = limits(self.device, self.dtype, (4 * self.side**2,), (self.side,))
        return {"rate": found.products, "bandwidth": found.memory}


def rates(workload: Workload, setting: Setting) -> Rates:
    """The rates of NumPy or CuPy."""
    return Rates(own_device(setting), setting)
