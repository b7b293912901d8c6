"""Devices that are full: before training begins, in predictions, and in the estimators."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.device.errors import OutOfMemoryError

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
MODEL = dlarray.mlp(4, 8, 2)

HUGE = {"cpu": "numpy", "torch": "torch", "jax": "jax", "strict": "array_api_strict"}


@pytest.mark.parametrize("device", HUGE)
def test_a_real_failure(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch needs petabytes in backward: the network is small, the width of its output is not."""
    pytest.importorskip(HUGE[device])

    class Wide(dlarray.Layer):
        abstract = True

        def forward(self, x: Any) -> Any:
            from dlarray.core.array import array_namespace

            xp = array_namespace(x)
            return x + xp.sum(xp.zeros((x.shape[0], 10**13), dtype=x.dtype)), None

        def backward(self, saved: None, dy: Any) -> Any:
            return dy

    model = dlarray.MLP(4, [dlarray.Dense(2), Wide()])
    theta = model.init(device=device)
    before = [dlarray.to_numpy(v).copy() for v in theta]
    with pytest.raises(
        OutOfMemoryError, match=r"(?i)has not enough memory to train: .*(allocate|allocating|out of memory)"
    ) as caught:
        dlarray.fit(model, X, Y, theta=theta, device=device, compile=device == "jax", progress=False)
    for now, then, good in zip(theta, before, caught.value.trained.theta, strict=True):
        np.testing.assert_array_equal(dlarray.to_numpy(now), then)
        np.testing.assert_array_equal(dlarray.to_numpy(good), then)


@pytest.mark.parametrize("device", HUGE)
def test_weights_that_do_not_fit(device: str) -> None:
    pytest.importorskip(HUGE[device])
    with pytest.raises(OutOfMemoryError, match=r"has not enough memory to train: .*(allocate|memory)"):
        dlarray.fit(dlarray.mlp(4, 10**15, 2), X, Y, device=device, progress=False)


def failing_device(fails_at: int = 1) -> tuple[dlarray.Device, list[int]]:
    """NumPy's device, whose transfers fail from number ``fails_at`` on, and the count of transfers."""
    device, count = dlarray.resolve("cpu"), [0]

    class Full(type(device.backend)):
        compiles = False

        def asarray(self, host: np.ndarray, place: Any) -> Any:
            count[0] += 1
            if count[0] >= fails_at:
                raise MemoryError(f"no room for {host.nbytes} bytes")
            return super().asarray(host, place)

        def memory(self, place: Any) -> tuple[int, int]:
            return 3_000, 8_000_000

    return replace(device, name="full", backend=Full()), count


def test_an_array_that_does_not_fit_says_so() -> None:
    device, _ = failing_device()
    with pytest.raises(OutOfMemoryError) as caught:
        device.asarray([1.0, 2.0])
    words = "full has not enough memory for an array: no room for 16 bytes; 3 kB of 8 MB are free"
    assert str(caught.value) == words
    assert isinstance(caught.value.__cause__, MemoryError)
    with pytest.raises(OutOfMemoryError, match="array"):
        dlarray.asarray(np.broadcast_to(np.float64(0), (10**9, 10**9)))


@pytest.mark.parametrize("at", [1, 2, 3])
def test_training_that_does_not_begin_says_why_once(at: int) -> None:
    device, _ = failing_device(at)
    with pytest.raises(OutOfMemoryError) as caught:
        dlarray.fit(MODEL, X, Y, device=device, progress=False)
    assert str(caught.value).count("not enough memory") == 1
    assert str(caught.value).startswith("full has not enough memory to train: no room for ")
    assert "smaller batch_size" in str(caught.value)
    assert caught.value.trained is None


def test_a_device_that_cannot_report_its_free_memory_still_raises_the_error() -> None:
    device, _ = failing_device()
    device.backend.memory = lambda place: 1 / 0  # type: ignore[method-assign]
    with pytest.raises(OutOfMemoryError, match="no room for 8 bytes$"):
        device.asarray(1.0)


def test_an_answer_that_does_not_fit_says_so() -> None:
    trained = dlarray.fit(MODEL, X, Y, epochs=1, device="cpu", compile=False, progress=False)
    full = replace(trained, device=failing_device()[0])

    def answer(point: Any, x: Any) -> Any:
        raise MemoryError("Unable to allocate 8 EiB")

    vars(full)["_predictor"] = type("Answers", (), {"outputs": answer, "predict": answer, "classify": answer})
    for ask in (full.outputs, full.predict, full.classify):
        with pytest.raises(
            OutOfMemoryError, match="full has not enough memory to predict: Unable .* A smaller batch_size"
        ):
            ask(X)


@pytest.mark.filterwarnings("ignore:.*converge")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_an_estimator_says_it_too(solver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    from dlarray.estimators import MLPClassifier
    from dlarray.estimators.descent import Gradient
    from dlarray.estimators.step_pool import pool

    def fails(self: Any, state: Any, batch: Any) -> Any:
        raise MemoryError("Unable to allocate 8 EiB")

    classifier = MLPClassifier((3,), solver=solver, max_iter=2, tol=1e9, random_state=0)
    classifier.fit(X, Y)
    coefs = [W.copy() for W in classifier.coefs_]
    x, y = X.copy(), Y.copy()
    with monkeypatch.context() as patch:
        patch.setattr(Gradient, "__call__", fails)
        patch.setattr("dlarray.estimators.training.compiler", lambda device: lambda step: step)
        pool.clear()  # of the step that the fit above has compiled
        with pytest.raises(OutOfMemoryError, match="cpu has not enough memory to train: Unable"):
            MLPClassifier((3,), solver=solver, max_iter=2).fit(x, y)
    pool.clear()
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    monkeypatch.setattr("dlarray.estimators.predicting.predictions", lambda *args: fails(None, None, None))
    with pytest.raises(OutOfMemoryError, match="cpu has not enough memory to predict"):
        classifier.predict(X)
    for now, then in zip(classifier.coefs_, coefs, strict=True):
        np.testing.assert_array_equal(now, then)
