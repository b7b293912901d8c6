"""Memory that does not suffice: one error everywhere, with the cause and what would help; nothing given is changed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.device import backend as backends
from dlarray.device.errors import OutOfMemoryError

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
MODEL = dlarray.mlp(4, 8, 2)


def named(name: str, *parents: type[Exception]) -> type[Exception]:
    return type(name, parents, {})


def jax_error() -> Exception:
    import jax

    return jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 4000 bytes.")


def torch_error() -> Exception:
    import torch

    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has …")


ERRORS: dict[str, tuple[str, Callable[[], Exception]]] = {
    "numpy": ("numpy", lambda: np._core._exceptions._ArrayMemoryError((10**9,), np.dtype(np.float32))),
    "cupy's pool": ("cupy", lambda: named("OutOfMemoryError", MemoryError)("Out of memory allocating 4,000 bytes")),
    "cuda's runtime": (
        "cupy",
        lambda: named("CUDARuntimeError", RuntimeError)("cudaErrorMemoryAllocation: out of memory"),
    ),
    "cuda's driver": (
        "cupy",
        lambda: named("CUDADriverError", RuntimeError)("CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
    ),
    "cublas": ("cupy", lambda: named("CUBLASError", RuntimeError)("CUBLAS_STATUS_ALLOC_FAILED")),
    "torch": ("torch", torch_error),
    "torch, its cpu": ("torch", lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you")),
    "torch, 2⁶³ bytes": ("torch", lambda: RuntimeError("Storage size calculation overflowed with sizes=[4611686018]")),
    "torch, cublas": (
        "torch",
        lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    ),
    "jax": ("jax", jax_error),
    "strict": ("strict", MemoryError),
}
OTHERS: dict[str, tuple[str, Callable[[], Exception]]] = {
    "numpy": ("numpy", lambda: ValueError("out of memory")),
    "cupy": ("cupy", lambda: named("CUDARuntimeError", RuntimeError)("cudaErrorIllegalAddress")),
    "torch": ("torch", lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied")),
    "jax": ("jax", lambda: __import__("jax").errors.JaxRuntimeError("INVALID_ARGUMENT: Executable expected parameter")),
}
LIBRARY = {"strict": "array_api_strict", "cupy": "numpy"}


@pytest.mark.parametrize("what", ERRORS)
def test_a_backend_knows_its_library_s_words_for_it(what: str) -> None:
    name, make = ERRORS[what]
    pytest.importorskip(LIBRARY.get(name, name))
    assert backends.get(name).is_out_of_memory(make())
    assert backends.get(name).is_out_of_memory(MemoryError())


@pytest.mark.parametrize("what", OTHERS)
def test_and_takes_no_other_error_for_it(what: str) -> None:
    name, make = OTHERS[what]
    pytest.importorskip(name if name != "cupy" else "numpy")
    assert not backends.get(name).is_out_of_memory(make())


# On the way


class _Failing:
    """A step that raises where its number comes, half of it done."""

    def __init__(self, step: Any, at: int, make: Callable[[], Exception]) -> None:
        self.step, self.at, self.make, self.done = step, at, make, 0
        self.held: Any = None

    def __call__(self, state: Any, batch: Any) -> Any:
        self.done += 1
        if self.done == self.at:
            gradient = self.step.gradient(state, batch)[1]
            self.held = None if isinstance(gradient[0], np.ndarray) else weakref.ref(gradient[0])
            self.step.optimizer.step_all(state["theta"], gradient, state["optimizer"])  # the state is spoilt now
            raise self.make()
        return self.step(state, batch)


def on(what: str) -> dlarray.Device:
    """The device whose library raises this; CuPy's words come out of NumPy's arrays."""
    name, _ = ERRORS[what]
    pytest.importorskip(LIBRARY.get(name, name))
    device = dlarray.resolve({"numpy": "cpu", "cupy": "cpu"}.get(name, name))
    if name != "cupy":
        return device

    class Words(type(device.backend)):
        def is_out_of_memory(self, error: BaseException) -> bool:
            return backends.get("cupy").is_out_of_memory(error)

    return replace(device, backend=Words())


@pytest.mark.parametrize("at", [1, 3, 4, 7])
@pytest.mark.parametrize("what", ERRORS)
def test_training_that_runs_out_of_memory_changes_nothing_and_keeps_the_last_good_weights(what: str, at: int) -> None:
    device, make = on(what), ERRORS[what][1]
    theta = MODEL.init(seed=5, device=device)
    before = [dlarray.to_numpy(v).copy() for v in theta]
    x, y = X.copy(), Y.copy()
    failing: list[_Failing] = []

    def fails(step: Any) -> Any:
        failing.append(_Failing(step, at, make))
        return failing[0]

    ends: list[Any] = []

    class Last(dlarray.Callback):
        def on_end(self, run: Any) -> None:
            ends.append(run.error)

    options: dict[str, Any] = {"theta": theta, "device": device, "batch_size": 32, "progress": False, "shuffle": False}
    with pytest.raises(MemoryError) as caught:
        dlarray.fit(MODEL, x, y, epochs=5, compile=fails, callbacks=[Last()], **options)
    error: Any = caught.value
    assert isinstance(error, OutOfMemoryError)
    assert ends == [error]
    assert type(error.__cause__).__name__ == type(make()).__name__
    words = str(error)
    assert words.startswith(f"{device} has not enough memory to train: ")
    assert error.why == str(make()).partition("\n")[0]
    assert error.why in words
    assert "smaller batch_size, a batch in parts (accumulate=) or batches from an iterable" in words
    for now, then in zip(theta, before, strict=True):
        np.testing.assert_array_equal(dlarray.to_numpy(now), then)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    epochs = (at - 1) // 2
    assert len(error.trained.history.epochs) == epochs
    expected = theta
    if epochs:
        expected = dlarray.fit(MODEL, X, Y, epochs=epochs, compile=False, **options).theta
    for now, then in zip(error.trained.theta, expected, strict=True):
        np.testing.assert_array_equal(dlarray.to_numpy(now), dlarray.to_numpy(then))
    assert error.trained.predict(X[:2]).shape == (2, 2)
    if failing[0].held is not None:
        gc.collect()
        assert failing[0].held() is None  # the error is still there, and does not keep the step's arrays


def test_a_run_that_ran_out_of_memory_can_be_resumed(tmp_path: Any) -> None:
    path = tmp_path / "run.safetensors"
    options: dict[str, Any] = {"epochs": 3, "batch_size": 16, "progress": False, "device": "cpu"}
    with pytest.raises(MemoryError):
        dlarray.fit(
            MODEL,
            X,
            Y,
            compile=lambda step: _Failing(step, 7, MemoryError),
            callbacks=[dlarray.Checkpoint(path)],
            **options,
        )
    resumed = dlarray.fit(MODEL, X, Y, resume=path, compile=False, **options)
    whole = dlarray.fit(MODEL, X, Y, compile=False, **options)
    np.testing.assert_array_equal(resumed.theta[0], whole.theta[0])


# Before it, behind it, and elsewhere


HUGE = {"cpu": "numpy", "torch": "torch", "jax": "jax", "strict": "array_api_strict"}


@pytest.mark.parametrize("device", HUGE)
def test_a_real_failure(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What backward wants of a batch is some petabytes: the network is small, its output's width is not."""
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
    """NumPy, where the transfers from one on fail."""
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


def test_a_device_in_trouble_that_cannot_say_what_is_free_hides_nothing() -> None:
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


def test_other_errors_pass_as_they_are() -> None:
    class Own(RuntimeError): ...

    def fails(step: Any) -> Any:
        return _Failing(step, 2, Own)

    with pytest.raises(Own):
        dlarray.fit(MODEL, X, Y, compile=fails, device="cpu", progress=False)


@pytest.mark.filterwarnings("ignore:.*converge")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_an_estimator_says_it_too(solver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    from dlarray.estimators import MLPClassifier
    from dlarray.estimators.descent import Gradient

    def fails(self: Any, state: Any, batch: Any) -> Any:
        raise MemoryError("Unable to allocate 8 EiB")

    classifier = MLPClassifier((3,), solver=solver, max_iter=2, tol=1e9, random_state=0)
    classifier.fit(X, Y)
    coefs = [W.copy() for W in classifier.coefs_]
    x, y = X.copy(), Y.copy()
    with monkeypatch.context() as patch:
        patch.setattr(Gradient, "__call__", fails)
        patch.setattr("dlarray.estimators.base.compiler", lambda device: lambda step: step)
        patch.setattr("dlarray.estimators.training.compiler", lambda device: lambda step: step)
        with pytest.raises(OutOfMemoryError, match="cpu has not enough memory to train: Unable"):
            MLPClassifier((3,), solver=solver, max_iter=2).fit(x, y)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    monkeypatch.setattr(classifier, "_outputs", lambda *args: fails(None, None, None))
    with pytest.raises(OutOfMemoryError, match="cpu has not enough memory to predict"):
        classifier.predict(X)
    for now, then in zip(classifier.coefs_, coefs, strict=True):
        np.testing.assert_array_equal(now, then)
