"""Training and prediction on CuPy give the same numbers in each order in which a GPU may do the work of its streams."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from tests import cuda_on_cpu as emulator

R = np.random.default_rng(0)
X = R.normal(size=(70, 4)).astype("float32")
LABELS = (X[:, 0] + X[:, 1] > 0).astype(int)
MODEL = dl.MLP(4, [dl.Dense(6), dl.BatchNorm(), "gelu", dl.Dropout(0.2), dl.Dense(2)])
RUNS: dict[str, dict[str, Any]] = {
    "eager": {},
    "eager, data on the host": {"data": "host"},
    "eager, on the second GPU": {"data": "host", "device": "cuda:1"},
    "compiled": {"compile": True},
    "compiled, data on the host": {"compile": True, "data": "host", "weight": R.uniform(0.5, 2.0, 70)},
    "several steps in one call": {"compile": True, "steps_per_execution": 2},
    "several steps in one call, data on the host": {"compile": True, "steps_per_execution": 2, "data": "host"},
}


def numbers(device: str = "cuda", **options: Any) -> list[np.ndarray]:
    """What a run gives: θ, the history, predictions; what was freed in between holds NaN."""
    with emulator.poisoned():
        settings = {"optimizer": "momentum", "epochs": 2, "batch_size": 16, "progress": False} | options
        trained = dl.fit(MODEL, X, LABELS, device=device, **settings)
        history = np.array([trained.history[name] for name in trained.history.names])
        predicted = trained.predict(X, batch_size=32)
        return [history, *map(dl.to_numpy, [*trained.theta, *trained.buffers, predicted])]


@pytest.fixture(scope="module")
def expected() -> dict[str, list[np.ndarray]]:
    """The numbers of each run whose work was done as it was queued."""
    return {}


def check(found: list[np.ndarray], at_once: list[np.ndarray]) -> None:
    assert len(found) == len(at_once)
    for x, y in zip(found, at_once, strict=True):
        assert np.all(np.isfinite(y))
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)  # compiled steps choose algorithms by the clock


@pytest.mark.parametrize("run", RUNS)
def test_a_run(run: str, gpu_order: str, expected: dict[str, list[np.ndarray]]) -> None:
    if run not in expected:
        with emulator.order("now"):
            expected[run] = numbers(**RUNS[run])
    check(numbers(**RUNS[run]), expected[run])


def test_a_run_in_a_stream_of_the_user(gpu_order: str, expected: dict[str, list[np.ndarray]]) -> None:
    cupy: Any = import_module("cupy")
    with emulator.order("now"):
        at_once = numbers(data="host")
    with cupy.cuda.Stream(non_blocking=True):
        check(numbers(data="host"), at_once)
