"""``fit(steps_per_execution=…)``: several steps in one call are the same steps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from tests.support.matrix import On

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 5))
T = RNG.integers(0, 3, 70)
WEIGHT = RNG.uniform(0.5, 2.0, 70)


def trained(on: On, **options: Any) -> dl.Trained:
    model = dl.mlp(5, 16, 3, dropout=options.pop("dropout", 0.0))
    given = {"epochs": 3, "batch_size": 8, "progress": False, "device": on.device, "dtype": on.dtype, **options}
    return dl.fit(model, X, T, **given)


OPTIONS: dict[str, dict[str, Any]] = {
    "a smaller last batch": {},
    "as they lie": {"shuffle": False},
    "weights": {"weight": WEIGHT},
    "dropout": {"dropout": 0.3},
    "stopped within an epoch": {"max_steps": 13},
    "whole batches alone": {"batch_size": 7},
    "one batch": {"batch_size": None},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_the_run_is_the_same(on: On, name: str):
    if on.executor or on.read_only:
        pytest.skip("fit chooses its executor itself")
    apart, together = (trained(on, steps_per_execution=n, **OPTIONS[name]) for n in (1, 4))
    assert len(together.history.steps) == len(apart.history.steps)
    np.testing.assert_allclose(together.history.steps, apart.history.steps, rtol=1e3 * on.rtol)
    for a, b in zip(apart.theta, together.theta, strict=True):
        on.close(b, on.numpy(a), 1e3)


def test_what_has_nothing_to_gain_takes_them_one_by_one():
    backend = dl.device.resolve("cpu").backend
    assert backend.repeat(lambda state, batch: (state, 0.0), 4) is None


def test_a_run_goes_on_where_it_was(tmp_path: Any):
    pytest.importorskip("jax")
    on = On("jax", "jax", "float32")
    file = tmp_path / "run.safetensors"
    saved = trained(on, max_steps=11, callbacks=[dl.callbacks.Checkpoint(file, steps=11)])
    assert len(saved.history.steps) == 11
    whole, resumed = (trained(on, steps_per_execution=4, **more) for more in ({}, {"resume": file}))
    np.testing.assert_allclose(resumed.history.steps, whole.history.steps, rtol=1e-5)


def test_callbacks_see_each_step():
    pytest.importorskip("jax")

    class Counts(dl.training.callback.Callback):
        seen = 0

        def on_step(self, run: Any) -> None:
            self.seen += 1

    counts = Counts()
    trained(On("jax", "jax", "float32"), steps_per_execution=4, callbacks=[counts])
    assert counts.seen == 27


@pytest.mark.parametrize(("value", "kind"), [(0, ValueError), (1.5, TypeError)])
def test_bad_input(value: Any, kind: type[Exception]):
    with pytest.raises(kind, match="steps_per_execution"):
        trained(On("cpu", "cpu"), steps_per_execution=value)


def test_the_benchmark_of_it_has_its_form(tmp_path: Any):
    script = Path(__file__).parent.parent.parent / "benchmarks" / "at_once.py"
    few = ["--case", "5-4-3x6", "--batches", "3", "--epochs", "1", "--rounds", "2", "--threads", "1"]
    command = [sys.executable, str(script), "--device", "cpu", "--at-once", "1,2", *few, "--json", str(tmp_path / "f")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "f").read_text(encoding="utf-8"))
    assert list(found["microseconds"]) == ["1", "2"]
    assert all(of["least"] <= of["median"] <= of["most"] for of in found["microseconds"].values())
    assert found["machine"]["cpu"]
    assert done.stdout.startswith("5-4-3, batch 6, fit on cpu")
