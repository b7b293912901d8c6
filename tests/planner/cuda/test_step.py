"""Steps on a GPU give the eager steps' numbers: everything in the library, and a network at every stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.training.first_step import first_step
from tests.support import families
from tests.support.gpu import WatchedGpu
from tests.support.gpu_steps import STAGES, check, program

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 7))
LABELS = RNG.integers(0, 3, 24)
WEIGHT = RNG.uniform(0.5, 2, 24)


STEPS = {
    name: step
    for name, step in families.steps().items()  # what a loss can be configured to is tried kernel by kernel
    if not name.startswith(("loss", "schedule")) or (step.loss == type(step.loss)() and "loss" in name)
}


@pytest.mark.parametrize("name", STEPS)
def test_every_step(name: str, gpu: WatchedGpu):
    step, device = STEPS[name], dl.device.resolve("cpu")
    state, batches = families.start(step, device, "float64"), families.batches(step, device, "float64", 3)
    assert program(check(step, state, batches, gpu)).recorded


def network(**options: Any) -> tuple[Any, Any, list[Any]]:
    options = {"batch_size": 8, "dtype": "float64", **options}
    x, y = options.pop("x", X), options.pop("y", LABELS)
    model = options.pop("model", None) or dl.mlp(7, 16, 12, 3)
    made = [first_step(model, np.roll(x, i, 0), np.roll(y, i, 0), **options) for i in range(4)]
    return made[0][0], made[0][1], [batch for _, _, batch in made]


CASES: dict[str, Callable[[], Any]] = {
    "labels": network,
    "float32": lambda: network(dtype="float32", optimizer=dl.Momentum(0.1)),
    "weights": lambda: network(weight=WEIGHT),
    "regression": lambda: network(model=dl.mlp(7, 16, 1), y=X[:, :1] ** 2, loss="mse"),
    "one target": lambda: network(model=dl.mlp(7, 16, 1), y=X[:, 0] ** 2, loss="huber"),
    "two classes": lambda: network(model=dl.mlp(7, 16, 1), y=LABELS > 0, loss="binary_cross_entropy"),
    "a batch of one": lambda: network(batch_size=1),
    "all at once": lambda: network(batch_size=None),
    "accumulated": lambda: network(accumulate=3),
    "accumulated, with weights": lambda: network(accumulate=3, weight=WEIGHT),
    "dropout": lambda: network(model=dl.mlp(7, 16, 12, 3, dropout=0.4)),
    "widths of one": lambda: network(model=dl.mlp(7, 1, 5, 3)),
    "no hidden layer": lambda: network(model=dl.mlp(7, 3)),
    "one input": lambda: network(x=X[:, :1], model=dl.mlp(1, 6, 3)),
    "clipped": lambda: network(optimizer=dl.Clipped(dl.AdamW(), dl.clip_by_global_norm, 0.1)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_network_at_every_stage(name: str, gpu: WatchedGpu):
    for settings in STAGES.values():
        step, state, batches = CASES[name]()
        planned = check(step, state, batches, gpu, settings)
        assert program(planned).recorded == settings.graph
