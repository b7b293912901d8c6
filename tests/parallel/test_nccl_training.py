"""Training on ranks that each have a GPU: the losses and the parameters of one rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray import BatchNorm, Dense, Dropout, ReLU, Tanh
from dlarray.core.ranks import RankError
from tests import cuda_on_cpu as emulator
from tests.support.gpu_ranks import on_gpus

ROWS = 41
X = np.random.default_rng(1).normal(size=(ROWS, 5))
T = np.abs(X[:, :3]).argmax(1)
WEIGHT = np.random.default_rng(2).uniform(0.2, 2, ROWS)

PLAIN: dict[str, Any] = {"epochs": 2, "batch_size": 12, "seed": 3, "dtype": "float64", "progress": False}
MODELS: dict[str, Callable[[], dlarray.MLP]] = {
    "plain": lambda: dlarray.MLP(5, [Dense(7), Tanh(), Dense(3)]),
    "normalized": lambda: dlarray.MLP(5, [Dense(8), BatchNorm(), ReLU(), Dropout(0.3), Dense(3)]),
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "adam": ("plain", {"optimizer": "adam"}),
    "BatchNorm and Dropout": ("normalized", {"optimizer": "momentum"}),
    "weights and clipping": ("plain", {"weight": WEIGHT, "clip_norm": 0.05, "class_weight": {0: 1, 1: 2, 2: 0.5}}),
    "validation and metrics": ("plain", {"validation": 0.3, "metrics": ["accuracy"]}),
    "parts of a batch": ("plain", {"accumulate": 2}),
    "shards": ("plain", {"optimizer": "adam", "shard": True, "clip_norm": 0.05}),
    "data on the host": ("plain", {"data": "host"}),
}


def train(case: str, device: str, parallel: Any = None) -> tuple[list[dict[str, float]], np.ndarray]:
    """The history of losses and metrics, and θ."""
    kind, options = CASES[case]
    chosen = PLAIN | options
    if parallel is None:
        chosen.pop("shard", None)
    trained = dlarray.fit(MODELS[kind](), X, T, device=device, parallel=parallel, **chosen)
    theta = np.concatenate([dlarray.to_numpy(v).reshape(-1) for v in trained.theta])
    return trained.history.epochs, theta


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("case", CASES)
def test_ranks_train_as_one(cupy: Any, case: str, size: int) -> None:
    history, theta = train(case, "cuda")
    for found, parameters in on_gpus(size, lambda ranks: train(case, f"cuda:{ranks.rank}", ranks)):
        assert len(found) == len(history)
        for row, expected in zip(found, history, strict=True):
            assert row.keys() == expected.keys()
            np.testing.assert_allclose(list(row.values()), list(expected.values()), rtol=1e-12)
        np.testing.assert_allclose(parameters, theta, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("order", ["late", "main", 1])
def test_in_other_orders_of_work(cupy: Any, order: str | int) -> None:
    history, theta = train("BatchNorm and Dropout", "cuda")
    with emulator.order(order):
        (found, parameters), _ = on_gpus(2, lambda r: train("BatchNorm and Dropout", f"cuda:{r.rank}", r))
    np.testing.assert_allclose(found[-1]["loss"], history[-1]["loss"], rtol=1e-12)
    np.testing.assert_allclose(parameters, theta, rtol=1e-9, atol=1e-12)


def test_a_step_waits_for_nothing(cupy: Any) -> None:
    def counted(steps: int) -> dict[str, int]:
        options: dict[str, Any] = PLAIN | {"epochs": 1, "max_steps": steps}
        before = emulator.counts()
        on_gpus(2, lambda r: dlarray.fit(MODELS["normalized"](), X, T, device=f"cuda:{r.rank}", parallel=r, **options))
        return {name: emulator.counts()[name] - before[name] for name in ("waits", "copies_to_host")}

    counted(1)  # some things are read once in a process
    assert counted(1) == counted(3)


def test_an_error_on_one_rank_ends_all(cupy: Any) -> None:
    class Fails(dlarray.Callback):
        def on_step(self, run: Any) -> None:
            if run.steps == 3:
                raise ValueError("on purpose")

    def run(ranks: Any) -> None:
        called = [Fails()] if ranks.rank == 1 else []
        dlarray.fit(MODELS["plain"](), X, T, device=f"cuda:{ranks.rank}", parallel=ranks, callbacks=called, **PLAIN)

    first, second = on_gpus(2, run, errors=True)
    assert isinstance(first, RankError)
    assert "rank 1 of 2 failed: ValueError: on purpose" in str(first)
    assert isinstance(second, ValueError)


def test_compiled_steps_are_refused(cupy: Any) -> None:
    def run(ranks: Any) -> None:
        dlarray.fit(MODELS["plain"](), X, T, device=f"cuda:{ranks.rank}", parallel=ranks, compile=True, **PLAIN)

    for error in on_gpus(2, run, errors=True):
        assert isinstance(error, ValueError)
        assert "compiles no steps with sums over ranks" in str(error)
