"""Small models and their training, a callback that records its calls, and a metric of given values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.training import Callback, Run
from tests.support.matrix import On

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 6))
LABELS = (X @ rng.normal(size=(6, 3))).argmax(axis=1)
NUMBERS = np.tanh(X @ rng.normal(size=(6, 2)))
MODEL = dl.mlp(6, 8, 3, activation="tanh")
NORMED = dl.MLP(6, [dl.Dense(8), dl.BatchNorm(), "tanh", dl.Dropout(0.1), dl.Dense(3)])
NORMED_ALONE = dl.MLP(6, [dl.Dense(8), dl.BatchNorm(), "tanh", dl.Dense(3)])
FEW = {"numpy-float32", "torch-float32"}
MORE = {"numpy-float64", "strict-2025.12", "jax-float32"}


def fit(model: dl.MLP = MODEL, x: Any = X, y: Any = LABELS, **options: Any) -> dl.Trained:
    return dl.fit(model, x, y, **({"epochs": 3, "batch_size": 16, "device": "cpu", "progress": False} | options))


def few(on: On, also: set[str] = set()) -> dict[str, Any]:  # noqa: B006 - it is read alone
    """Where a fit runs; a few rows are enough for the loop, and one of each library for what computes."""
    if on.name not in FEW | also:
        pytest.skip("a few devices are enough for the loop, which is the same code on all")
    return {"device": on.device, "dtype": on.dtype}


def numbers(trained: dl.Trained) -> list[np.ndarray]:
    return [dl.to_numpy(v).copy() for v in trained.theta + trained.buffers]


def equal(a: Any, b: Any) -> bool:
    return all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))


class Spy(Callback):
    """Writes down what happens, and the model after each epoch."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.models: list[list[np.ndarray]] = []
        self.rates: list[float] = []

    def on_start(self, run: Run) -> None:
        self.calls.append(("start", run.epoch, run.batch_index, run.steps))

    def on_step(self, run: Run) -> None:
        self.calls.append(("step", run.epoch, run.batch_index, run.steps))

    def on_epoch(self, run: Run) -> None:
        self.calls.append(("epoch", run.epoch, run.batch_index, run.steps))
        self.models.append(numbers(run.trained))
        self.rates.append(run.rate)

    def on_end(self, run: Run) -> None:
        self.calls.append(("end", run.epoch, run.batch_index, run.steps))


class Scripted:
    """A metric that returns given values."""

    def __init__(self, values: Sequence[float], name: str = "accuracy") -> None:
        self.values = iter(values)
        self.__name__ = name

    def __call__(self, y: Any, p: Any) -> Any:
        return np.asarray(next(self.values))
