"""After the block of a device nothing stays on the device when the results are deleted."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.optimizers import BFloat16State

N, WIDTH = 512, 96
LARGE = 16_384
"""Bytes. The smallest array that counts is the gradient of the 64 × 96 weights, in 16 bits 12 kB times two."""

MODEL = dlarray.MLP(
    64,
    [
        dlarray.Dense(WIDTH),
        dlarray.BatchNorm(),
        "gelu",
        dlarray.Dropout(0.1),
        dlarray.Dense(WIDTH),
        "relu",
        dlarray.Dense(2),
    ],
)


def tensors() -> list[Any]:
    import torch

    return [x for x in gc.get_objects() if issubclass(type(x), torch.Tensor)]  # asking an object may wake it


def jax_arrays() -> list[Any]:
    import jax

    return jax.live_arrays()


def strict_arrays() -> list[Any]:
    import array_api_strict

    kind = type(array_api_strict.zeros(1))
    return [x._array for x in gc.get_objects() if issubclass(type(x), kind)]


ALIVE: dict[str, Callable[[], list[Any]]] = {"torch": tensors, "jax": jax_arrays, "strict": strict_arrays}


def large(device: str) -> set[int]:
    """The ids of the large arrays of a library that exist."""
    gc.collect()
    return {id(x) for x in ALIVE[device]() if x.nbytes >= LARGE}


def examples() -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(0)
    return r.normal(size=(N, 64)).astype(np.float32), r.integers(0, 2, N).astype(np.int32)


def train(**options: Any) -> None:
    x, y = examples()
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 256, "progress": False, "validation": 0.25} | options
    trained = dlarray.fit(MODEL, x, y, **settings)
    there = dlarray.asarray(x)
    for _ in range(20):  # often enough for the answer to be compiled
        trained.predict(there)
    trained.classify(x)
    trained.evaluate(x, y)
    dlarray.diagnose(trained, x, y)


def fail(**options: Any) -> None:
    class Stop(dlarray.Callback):
        def on_epoch(self, run: Any) -> None:
            raise MemoryError("there is none")

    with pytest.raises(MemoryError):
        train(callbacks=[Stop()], **options)


def interrupt(**options: Any) -> None:
    class Stop(dlarray.Callback):
        def on_step(self, run: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(callbacks=[Stop()], **options)


def estimate(**options: Any) -> None:
    pytest.importorskip("sklearn")
    from dlarray.estimators import MLPClassifier
    from dlarray.estimators.step_pool import pool

    x, y = examples()
    classifier = MLPClassifier((WIDTH,), max_iter=3, tol=1e9, n_iter_no_change=1, random_state=0).fit(x, y)
    classifier.predict(x)
    pool.clear()  # it keeps some MB for the next fit on purpose


WAYS: dict[str, tuple[Callable[..., None], dict[str, Any]]] = {
    "training": (train, {}),
    "training on the host's data": (train, {"data": "host"}),
    "training uncompiled": (train, {"compile": False}),
    "training in 16 bits": (train, {"optimizer": BFloat16State(dlarray.Adam())}),
    "training with callbacks": (train, {"callbacks": ["ema", "early_stopping", "stop_on_non_finite"]}),
    "out of memory": (fail, {}),
    "interrupted": (interrupt, {}),
    "an estimator": (estimate, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("device", ALIVE)
def test_no_array_of_the_library_s_stays(device: str, way: str) -> None:
    pytest.importorskip("array_api_strict" if device == "strict" else device)
    act, options = WAYS[way]
    if device == "jax" and options:
        pytest.skip("the same lines; compiling takes its time")
    before = large(device)
    with dlarray.use_device(device):
        held = dlarray.asarray(examples()[0])
        assert len(large(device) - before) == 1  # an existing array is found
        del held
        act(**options)
    assert not large(device) - before


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_no_memory_of_numpy_s_stays(way: str) -> None:
    """NumPy has no list of its arrays, so the memory is measured."""
    act, options = WAYS[way]
    with dlarray.use_device("cpu"):
        act(**options)  # loads modules
        gc.collect()
        tracemalloc.start()
        try:
            act(**options)
            gc.collect()
            kept = tracemalloc.take_snapshot().filter_traces(
                [tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)]
            )
        finally:
            tracemalloc.stop()
    assert not [trace for trace in kept.traces if trace.size >= LARGE]
