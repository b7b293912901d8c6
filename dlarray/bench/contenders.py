"""The contenders of ``dlarray bench``: dlarray's step, and its matrix products alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from dlarray.bench.cases import Case, Workload
from dlarray.core.array import Array
from dlarray.device import Device, to_numpy
from dlarray.explanation import Explanation, explain
from dlarray.losses import SparseCategoricalCrossEntropy
from dlarray.optimizers import Adam
from dlarray.training import Step
from dlarray.training.binding import bind, settling
from dlarray.training.mixed_precision import mixed_precision

__all__ = ["Contender", "FullStep", "Products", "operands"]


class Contender:
    """Runs training steps in this process. A subclass defines ``restart``, ``step`` and, if needed, ``wait``."""

    def restart(self) -> None:
        """Go back to the initial weights."""

    def step(self, i: int) -> Any:
        """Run the i-th step and return its loss, on the device."""
        raise NotImplementedError

    def wait(self, loss: Any) -> None:
        """Wait until the step of this loss has finished, if steps are asynchronous."""

    def value(self, loss: Any) -> float:
        """The loss as a number."""
        return float(loss)

    def losses(self, steps: int, patience: float = float("inf")) -> list[float]:
        """The losses of the first steps; fewer if they take more than ``patience`` seconds."""
        self.restart()
        end = time.perf_counter() + patience
        found: list[float] = []
        while len(found) < steps and (not found or time.perf_counter() < end):
            found.append(self.value(self.step(len(found))))
        return found

    def run(self, steps: int) -> float:
        """The seconds that this many steps take, after some first steps that warm caches and wake threads."""
        self.restart()
        warm = -(-steps // 5)
        self.wait(self.steps(0, warm))
        start = time.perf_counter()
        self.wait(self.steps(warm, warm + steps))
        return time.perf_counter() - start

    def steps(self, first: int, end: int) -> Any:
        """Run steps first to end - 1 without waiting, and return the last loss."""
        loss = None
        for i in range(first, end):
            loss = self.step(i)
        return loss


def operands(case: Case, device: Device, backward: bool = True) -> list[tuple[Array, Array]]:
    """The operands of a step's products: X W, Xᵀ dY and, except for the first layer, dY Wᵀ; or X W only."""
    draw = np.random.default_rng(0)

    def array(*shape: int) -> Array:
        return device.asarray(draw.standard_normal(shape, dtype=np.float32), case.dtype)

    pairs: list[tuple[Array, Array]] = []
    for i, (n, m) in enumerate(pairwise(case.widths)):
        x, w, dy = array(case.batch, n), array(n, m), array(case.batch, m)
        pairs += [(x, w), (x.T, dy), (dy, w.T)][: (3 if i else 2) if backward else 1]
    return pairs


class Products(Contender):
    """The limit: only the products of a step, computed by the device's library.

    Without ``backward``, the products of inference.
    """

    def __init__(self, case: Case, device: Device, backward: bool = True) -> None:
        self._device = device
        self._pairs = tuple(operands(case, device, backward))
        self._products: Callable[..., Any] = _products
        if device.backend.uses_numpy_arrays:
            self._triples = [(a, b, np.empty((a.shape[0], b.shape[1]), a.dtype)) for a, b in self._pairs]
            self.step = self._into_buffers
        elif not device.backend.writes_in_place:  # each single product would cost a compiled call
            self._products = device.backend.compile(_products)

    def _into_buffers(self, i: int) -> None:
        for a, b, out in self._triples:
            np.matmul(a, b, out)

    def step(self, i: int) -> Any:
        return self._products((), self._pairs)[1]

    def wait(self, loss: Any) -> None:
        _finish(self._device, loss)


def _products(state: Any, pairs: Sequence[tuple[Array, Array]]) -> tuple[Any, list[Array]]:
    return state, [a @ b for a, b in pairs]


class FullStep(Contender):
    """dlarray's step, as ``fit`` runs it: compiled by ``compile``, or eager without it.

    ``keep`` keeps a copy of the initial weights for ``restart``; it is off when memory is measured. ``precision`` is
    that of the products, as in ``fit``. Raises ValueError if the device does not have it.
    """

    def __init__(
        self,
        workload: Workload,
        device: Device,
        compile: Callable[..., Any] | None = None,  # noqa: A002 - the name that fit has
        keep: bool = True,
        precision: str | None = None,
    ) -> None:
        case = workload.case
        step = mixed_precision(
            Step(case.model, SparseCategoricalCrossEntropy(), Adam(1e-3)), precision, device, case.dtype
        )
        self._device, self._eager = device, step
        self._compiled: Callable[..., Any] = compile(step) if compile else step
        theta = case.model.init(0, device, case.dtype)
        self._theta = [np.array(to_numpy(vector)) for vector in theta] if keep else []
        self._bound = bind(settling(self._compiled, device.backend), step.init(theta, (), 0, device))
        self._batches = [(device.asarray(x), device.asarray(t), None) for x, t in workload.batches]

    def restart(self) -> None:
        if self._theta:
            theta = tuple(self._device.asarray(vector) for vector in self._theta)
            self._bound.state = self._eager.init(theta, (), 0, self._device)

    def step(self, i: int) -> Array:
        return self._bound(self._batches[i % len(self._batches)])

    def explain(self) -> Explanation:
        """The plan of the step."""
        return explain(self._compiled, self._bound.state, self._batches[0])

    def first(self) -> tuple[Step, Any, Any]:
        """The eager step, with the next state and batch."""
        return self._eager, self._bound.state, self._batches[0]

    def wait(self, loss: Any) -> None:
        _finish(self._device, loss)

    def value(self, loss: Array) -> float:
        return float(to_numpy(loss))


def _finish(device: Device, result: Any) -> None:
    """Wait for the device, and for asynchronous or lazy results."""
    device.backend.settle(result)
    for x in result if isinstance(result, (list, tuple)) else [result]:  # pyright: ignore[reportUnknownVariableType]
        if hasattr(x, "block_until_ready"):  # pyright: ignore[reportUnknownArgumentType]
            x.block_until_ready()  # pyright: ignore[reportUnknownMemberType]
    device.backend.synchronize(device.handle)
