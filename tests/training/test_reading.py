"""An epoch's losses leave the device at once, however many they are, and are the numbers that they were."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.device import to_numbers
from dlarray.device.backend import Backend
from tests.support.matrix import On

X = np.random.default_rng(0).normal(size=(96, 3)).astype(np.float32)
Y = X[:, :1] * X[:, 1:2]
MODEL = dlarray.mlp(3, 5, 1)
VALUES = [0.1, 1 / 3, math.pi * 1e30, 1e-38, 0.0, -0.0, math.inf, -math.inf, math.nan]


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has every transfer out of a backend noted, one word for each."""

    def on(backend: Backend) -> list[str]:
        calls: list[str] = []

        def noted(name: str) -> None:
            plain = getattr(backend, name)

            def act(x: Any) -> np.ndarray:
                calls.append(name)
                return plain(x)

            monkeypatch.setattr(backend, name, act)

        noted("to_numpy")
        noted("concat_to_numpy")
        return calls

    return on


@pytest.mark.parametrize("count", [1, 2, 9])
def test_numbers_are_what_they_were(on: On, count: int) -> None:
    values = [on.array(value) for value in VALUES[-count:]]
    expected = [float(on.numpy(value)) for value in values]
    found = to_numbers(values)
    assert all(type(x) is float for x in found)
    assert np.asarray(found).tobytes() == np.asarray(expected).tobytes()


def test_numbers_that_have_been_read_stay(on: On) -> None:
    mixed = [0.1, on.array(0.2), 0.3, on.array(0.4)]
    assert to_numbers(mixed) == [0.1, float(on.numpy(mixed[1])), 0.3, float(on.numpy(mixed[3]))]
    assert to_numbers([]) == []
    assert to_numbers([0.5]) == [0.5]


def test_numbers_leave_a_device_together(on: On, spy: Any) -> None:
    if on.target.backend.name == "numpy":
        pytest.skip("nothing leaves the host")
    calls = spy(on.target.backend)
    assert len(to_numbers([on.array(1.0)] * 50)) == 50
    assert calls.count("concat_to_numpy") == 1
    assert calls.count("to_numpy") <= 1


@pytest.mark.parametrize("steps", [2, 12])
@pytest.mark.parametrize("device", ["strict", "torch", "jax"])
def test_an_epoch_is_read_once_however_many_steps_it_has(
    device: str, steps: int, spy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("array_api_strict" if device == "strict" else device)
    calls = spy(dlarray.resolve(device).backend)
    epochs: list[list[str]] = []

    class Count(dlarray.Callback):
        def on_start(self, run: Any) -> None:
            calls.clear()

        def on_epoch(self, run: Any) -> None:
            epochs.append(list(calls))
            calls.clear()

    options: dict[str, Any] = {"batch_size": 96 // steps, "epochs": 3, "metrics": [], "progress": False}
    trained = dlarray.fit(MODEL, X, Y, device=device, callbacks=[Count()], **options)
    assert len(epochs) == 3
    for seen in epochs:
        assert seen.count("concat_to_numpy") == 1
        assert seen.count("to_numpy") <= 1
    monkeypatch.undo()
    one_by_one: list[float] = []

    class Read(dlarray.Callback):
        def on_step(self, run: Any) -> None:
            one_by_one.append(run.latest_loss)

    again = dlarray.fit(MODEL, X, Y, device=device, callbacks=[Read()], **options)
    assert again.history.steps == trained.history.steps == one_by_one


def test_losses_of_several_steps_are_read_together(spy: Any) -> None:
    pytest.importorskip("jax")
    device = dlarray.resolve("jax")
    options: dict[str, Any] = {"batch_size": 8, "epochs": 2, "metrics": [], "progress": False, "device": device}
    expected = dlarray.fit(MODEL, X, Y, **options).history.steps
    calls = spy(device.backend)
    found = dlarray.fit(MODEL, X, Y, steps_per_execution=5, **options).history.steps
    assert found == pytest.approx(expected, rel=1e-5)
    assert calls.count("concat_to_numpy") == 2  # one for each epoch, of two vectors of five losses and one of two
