"""Inference: functions of (θ, buffers) and inputs, compiled for shapes that occur often."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from dlarray.core.array import Array, array_namespace, largest_column
from dlarray.core.layout import Theta
from dlarray.device.backend import Backend
from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.training.binding import settling

__all__ = ["Accelerated", "Inference", "Point", "Predictor", "flat"]

Point = tuple[Theta, Theta]
"""θ and buffers."""

Inference = Callable[[Any, Array], Array]
"""``function(fixed, x) -> y``; ``fixed`` is a tree of arrays, such as a point."""

EAGER_CALLS = 16
"""The eager calls for each shape before it is compiled, unless another number is given."""
MAX_SHAPES = 64
"""The number of shapes that are compiled; others run eagerly."""


class Predictor:
    """The outputs, predictions and classes of a model. It holds no θ: models that differ only in θ can share it."""

    def __init__(self, model: MLP, loss: Loss, backend: Backend) -> None:
        self._model = model
        self._loss = loss
        self.outputs = Accelerated(self._outputs, backend)
        self.predict = Accelerated(self._predict, backend)
        self.classify = Accelerated(self._classify, backend)

    def _outputs(self, point: Point, x: Array) -> Array:
        return self._model.predict(point[0], x, point[1])

    def _predict(self, point: Point, x: Array) -> Array:
        return self._loss.output_activation.predict(self._outputs(point, x))

    def _classify(self, point: Point, x: Array) -> Array:
        z = self._outputs(point, x)
        if self._loss.task == "multiclass":
            return largest_column(z)
        xp = array_namespace(z)
        return flat(xp.astype(self._loss.output_activation.predict(z) > self._loss.threshold, xp.int32))


class Accelerated:
    """A function that runs eagerly at first; for shapes that occur often the backend's compiled version is used.

    The two agree to rounding. Several threads can call it.
    """

    def __init__(self, function: Inference, backend: Backend, eager_calls: int | None = None) -> None:
        self._function = function = settling(function, backend)
        self._backend = backend
        self._eager_calls = EAGER_CALLS if eager_calls is None else eager_calls
        self.fast: Inference = function
        self._ready: set[tuple[int, ...]] = set()
        self._calls: dict[tuple[int, ...], int] = {}
        self._lock = Lock()

    def __call__(self, point: Point, x: Array) -> Array:
        shape = tuple(x.shape)
        if shape in self._ready:
            return self.fast(point, x)
        if len(self._ready) < MAX_SHAPES:
            self._count(shape)
        return self._function(point, x)

    def _count(self, shape: tuple[int, ...]) -> None:
        with self._lock:
            calls = self._calls.pop(shape, 0) + 1
            if calls < self._eager_calls:
                self._calls[shape] = calls  # moved to the end
                if len(self._calls) > 16 * MAX_SHAPES:
                    del self._calls[next(iter(self._calls))]  # the least recently used one
                return
            if self.fast is self._function:
                self.fast = settling(self._backend.accelerate(self._function), self._backend)
            self._ready.add(shape)


def flat(x: Array) -> Array:
    """A column as a vector; any other array unchanged."""
    return array_namespace(x).reshape(x, (-1,)) if x.ndim == 2 and x.shape[1] == 1 else x
