"""Too little memory: one error on every library, with the cause and a remedy; no argument is changed."""

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


# In training


class _Failing:
    """A step that raises at one of its calls, in the middle of its work."""

    def __init__(self, step: Any, at: int, make: Callable[[], Exception]) -> None:
        self.step, self.at, self.make, self.done = step, at, make, 0
        self.held: Any = None

    def __call__(self, state: Any, batch: Any) -> Any:
        self.done += 1
        if self.done == self.at:
            gradient = self.step.gradient(state, batch)[1]
            self.held = None if isinstance(gradient[0], np.ndarray) else weakref.ref(gradient[0])
            self.step.optimizer.step_all(state["theta"], gradient, state["optimizer"])  # the state is invalid now
            raise self.make()
        return self.step(state, batch)


def on(what: str) -> dlarray.Device:
    """The device whose library raises this error; for CuPy's messages it is NumPy's."""
    name, _ = ERRORS[what]
    pytest.importorskip(LIBRARY.get(name, name))
    device = dlarray.resolve({"numpy": "cpu", "cupy": "cpu"}.get(name, name))
    if name != "cupy":
        return device

    class Words(type(device.backend)):
        def is_out_of_memory(self, error: BaseException) -> bool:
            return backends.get("cupy").is_out_of_memory(error)

    return replace(device, backend=Words())


@pytest.mark.slow
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
    assert error.why.rstrip(".") in words
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
        assert failing[0].held() is None  # the error exists, and does not keep the arrays of the step


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


def test_other_errors_pass_as_they_are() -> None:
    class Own(RuntimeError): ...

    def fails(step: Any) -> Any:
        return _Failing(step, 2, Own)

    with pytest.raises(Own):
        dlarray.fit(MODEL, X, Y, compile=fails, device="cpu", progress=False)
