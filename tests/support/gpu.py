"""CuPy's GPU, real or emulated, with a list of what it queues and a clock that the test sets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from typing import Any

import numpy as np
from dlarray_cupy.gpu import CupyGpu

from dlarray.core.trees import map_arrays
from dlarray.device import DeviceError, resolve
from dlarray.planner.cuda.gpu import Product
from dlarray.planner.cuda.launch import Grid
from tests import cuda_on_cpu as emulator

__all__ = ["ForgetfulGpu", "WatchedGpu", "missing", "order", "to_gpu", "to_host"]


@cache
def missing() -> str:
    """Why CuPy and cublasLt cannot be used here, "" if they can."""
    try:
        resolve("cuda")
    except (DeviceError, ImportError) as error:
        return str(error).partition("\n")[0]
    return CupyGpu(0).no_products


def order(when: str) -> AbstractContextManager[None]:
    """Work queued inside runs in this order, if the GPU is emulated: see ``cuda_on_cpu.order``."""
    return emulator.order(when) if emulator.installed() else nullcontext()


class WatchedGpu(CupyGpu):
    """``cost`` gives the seconds of queued work, from a list of what it is."""

    def __init__(self, cost: Callable[[list[Any]], float] = len) -> None:
        super().__init__(0)
        self.cost = cost
        self.queued: list[Any] = []
        """All work so far: names of kernels, "copy", "graph", ("product", its epilogue, the algorithm, its columns)."""
        self.records = 0

    def queue(self, what: Any, run: Callable[..., None], *args: Any) -> None:
        self.queued.append(what)
        run(*args)

    def copy(self, target: int, source: int, nbytes: int) -> None:
        self.queue("copy", super().copy, target, source, nbytes)

    def launch(self, function: Any, grid: Grid, head: np.ndarray) -> None:
        self.queue(grid.name, super().launch, function, grid, head)

    def algorithms(self, product: Product, most: int) -> list[Callable[[], None]]:
        found = super().algorithms(product, most)
        return [partial(self.queue, ("product", product.epilogue, i, product.n), run) for i, run in enumerate(found)]

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        graph = super().record(work)
        self.records += 1
        return partial(self.queue, "graph", graph)

    def seconds(self, work: Callable[[], None]) -> float:
        before = len(self.queued)
        work()
        done = self.queued[before:]
        del self.queued[before:]
        return float(self.cost(done))


class ForgetfulGpu(WatchedGpu):
    """A GPU whose graphs lack the work ``left_out`` from their end; those of less than ``shortest`` are whole."""

    left_out = 1
    shortest = 0
    _skipped = -1

    def queue(self, what: Any, run: Callable[..., None], *args: Any) -> None:
        super().queue(what, _nothing if len(self.queued) == self._skipped else run, *args)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        before = len(self.queued)
        whole, after = super().record(work), len(self.queued)
        if after - before < self.shortest:
            return whole
        self._skipped = after + (after - before) - self.left_out
        graph = super().record(work)
        self._skipped = -1
        return graph


def to_gpu(tree: Any) -> Any:
    """The tree with copies of its arrays on the GPU."""
    import cupy

    return map_arrays(tree, cupy.array)


def to_host(array: Any) -> np.ndarray:
    """A copy of an array or number of CuPy or NumPy."""
    return array.get() if hasattr(array, "get") else np.array(array)


def _nothing(*args: object) -> None:
    pass
