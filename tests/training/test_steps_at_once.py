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
    strict = dl.device.resolve("strict")
    assert strict.backend.repeat(lambda state, batch: (state, 0.0), 4) is None
    assert strict.backend.steps_per_execution(strict.handle) == 1


class Repeats:
    """A stand-in for ``Backend.repeat``: eager steps, at most ``done[i]`` of them in call i, none after that."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, done: list[int], at_once: int = 5) -> None:
        self.done = iter(done)
        self.counts: list[int] = []
        self.given: list[Any] = []
        kind = type(dl.device.resolve("cpu").backend)
        monkeypatch.setattr(kind, "steps_per_execution", lambda backend, handle: at_once)
        monkeypatch.setattr(kind, "repeat", lambda backend, step, steps: self.of(step))

    def of(self, step: Any) -> Any:
        self.given.append(step)

        def repeat(state: Any, data: Any, order: Any, first: int, size: int, count: int) -> Any:
            losses: list[float] = []
            self.counts.append(count)
            for i in range(min(count, next(self.done, 0))):
                rows = slice(first + i * size, first + (i + 1) * size)
                index = np.arange(len(X))[rows] if order is None else order[rows]
                state, loss = step(state, tuple(None if a is None else a[index] for a in data))
                losses.append(float(loss))
            return state, np.asarray(losses, np.float32)

        return repeat


@pytest.mark.parametrize("done", [[], [5], [1, 2, 5, 3], [2, 0, 5, 1], [5] * 9])
def test_any_number_of_steps_in_a_call_is_the_same_run(monkeypatch: pytest.MonkeyPatch, done: list[int]):
    on = On("cpu", "cpu", "float32")
    options: dict[str, Any] = {"weight": WEIGHT, "compile": True}
    expected = trained(on, steps_per_execution=1, **options)
    repeats = Repeats(monkeypatch, done)
    found = trained(on, **options)
    np.testing.assert_allclose(found.history.steps, expected.history.steps, rtol=1e-5)
    np.testing.assert_allclose(found.history["loss"], expected.history["loss"], rtol=1e-5)
    assert all(count <= 5 for count in repeats.counts)
    assert all(np.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(found.theta, expected.theta, strict=True))


def test_by_default_compiled_steps_alone_are_done_together(monkeypatch: pytest.MonkeyPatch):
    repeats, on = Repeats(monkeypatch, [9] * 99), On("cpu", "cpu", "float32")
    for options in ({"compile": False}, {"compile": lambda step: step}, {"steps_per_execution": 1}):
        trained(on, **options)
    assert not repeats.given
    trained(on, compile=lambda step: step, steps_per_execution=2)
    assert isinstance(repeats.given[0], dl.training.Step)
    trained(on, epochs=1)
    assert not isinstance(repeats.given[1], dl.training.Step)


def test_an_interrupt_between_two_calls_ends_the_run_with_the_last_good_model(monkeypatch: pytest.MonkeyPatch):
    on, repeats = On("cpu", "cpu", "float32"), Repeats(monkeypatch, [8])

    def interrupted() -> Any:
        yield from [8, 8, 3]
        raise KeyboardInterrupt

    repeats.done = interrupted()
    seen: list[int] = []

    class Epochs(dl.Callback):
        def on_epoch(self, run: Any) -> None:
            seen.append(run.steps)

    with pytest.raises(dl.Interrupted) as raised:
        trained(on, callbacks=[Epochs()])
    assert seen == [9]
    expected = trained(on, epochs=1, steps_per_execution=1).theta
    assert all(
        np.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(raised.value.trained.theta, expected, strict=True)
    )


@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
@pytest.mark.parametrize("name", OPTIONS)
def test_native_steps_that_are_done_together_by_default_have_the_bits_of_single_ones(name: str, device: str):
    pytest.importorskip("llvmlite")
    if device != "cpu":
        pytest.importorskip("torch")
    on = On(device, device, "float32")
    options = OPTIONS[name] | {"epochs": 25}
    together, apart = trained(on, **options), trained(on, steps_per_execution=1, **options)
    assert together.history.steps == apart.history.steps
    assert all(np.array_equal(on.numpy(a), on.numpy(b)) for a, b in zip(together.theta, apart.theta, strict=True))


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
