"""What ``memory_estimate`` says of a step's memory is what the step takes: counted, and measured by tracemalloc."""

from __future__ import annotations

import gc
import re
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.core.array import array_namespace
from dlarray.core.trees import leaves
from dlarray.device import backend as backends
from dlarray.explanation import explain
from dlarray.optimizers import BFloat16State, Optimizer
from dlarray.planner.run import eager_check
from dlarray.training import MemoryEstimate, memory_estimate

CPU = dlarray.Device("cpu", backends.get("numpy"), "cpu")
MODELS = {
    "dense": dlarray.mlp(64, 256, 256, 10),
    "gelu and dropout": dlarray.mlp(64, 128, 10, activation="gelu", dropout=0.1),
    "batch norm in a residual": dlarray.MLP(
        48,
        [
            dlarray.Dense(96),
            dlarray.BatchNorm(),
            "swish",
            dlarray.Residual([dlarray.Dense(96), "tanh"]),
            dlarray.Dense(5),
        ],
    ),
    "one array": dlarray.MLP(2, [dlarray.Embedding(8, 8)]),
    "no array": dlarray.MLP(3, ["tanh"]),
}
OPTIMIZERS = {
    "gradient descent": dlarray.GradientDescent(),
    "adam": dlarray.Adam(),
    "adamax": dlarray.Adamax(),
    "decay, which has a mask": dlarray.AdamW(weight_decay=0.1),
    "clipped": dlarray.Clipped(dlarray.Adam(), dlarray.clip_by_global_norm, 1.0),
    "16 bits": BFloat16State(dlarray.Adam()),
}


def plain(device: dlarray.Device) -> dlarray.Device:
    """The device as one whose library runs every operation as it is called."""

    class Eager(type(device.backend)):
        compiles = False

    return replace(device, backend=Eager())


def inputs(model: dlarray.MLP, n: int) -> np.ndarray:
    if model.layers[0].integers:
        return np.zeros((n, model.inputs), np.int32)
    return np.random.default_rng(1).normal(size=(n, model.inputs)).astype(np.float32)


def first(model: dlarray.MLP, n: int, **options: Any) -> Any:
    r = np.random.default_rng(0)
    x, y = inputs(model, n), r.normal(size=(n, model.outputs)).astype(np.float32)
    return dlarray.first_step(model, x, y, batch_size=n, device="cpu", **options)


def nbytes(tree: Any) -> int:
    return sum(x.nbytes for x in leaves(tree) if x is not None)


def peak(act: Callable[[], Any]) -> int:
    """The most bytes that are there at once while this is done, those of before left out."""
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    act()
    return tracemalloc.get_traced_memory()[1] - before


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Memory is counted as it is reserved, so an array that is freed without being touched must not be made."""
    monkeypatch.setattr(eager_check, "_keep_freed_memory", lambda: None)
    tracemalloc.start()
    yield
    tracemalloc.stop()


# What is counted


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_arrays_have_the_bytes_that_are_said(model: dlarray.MLP, optimizer: Optimizer) -> None:
    _, state, batch = first(model, 32, optimizer=optimizer)
    found = memory_estimate(model, CPU, batch_size=32, optimizer=optimizer)
    assert found.theta == nbytes(state["theta"]) + nbytes(state["buffers"])
    assert found.gradient == nbytes(state["theta"])
    assert found.optimizer == nbytes(state["optimizer"])
    assert found.batch == nbytes(batch)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("loss", ["mean_squared_error", "sparse_categorical_cross_entropy"])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_step_that_is_counted_is_the_step_that_is_explained(model: dlarray.MLP, loss: str, accumulate: int) -> None:
    x = inputs(model, 32)
    y = np.zeros(32, np.int32) if loss.startswith("sparse") else np.zeros((32, model.outputs), np.float32)
    plan = explain(*dlarray.first_step(model, x, y, loss=loss, accumulate=accumulate, device="cpu")).description
    found = memory_estimate(model, CPU, batch_size=32, optimizer="adam", loss=loss, accumulate=accumulate)
    assert found.planned
    assert found.gradient + found.step == plan.buffer_bytes
    unplanned = memory_estimate(model, plain(CPU), batch_size=32, optimizer="adam", loss=loss, accumulate=accumulate)
    assert not unplanned.planned
    assert unplanned.gradient + unplanned.step == plan.eager_bytes


@pytest.mark.parametrize(
    ("act", "most"),
    [
        (lambda x, xp: (x + 1) * 2, 2 * 800),  # a sum of 100 numbers, and twice that beside it
        (lambda x, xp: [y := x + 1, z := y * 2, y + z], 3 * 800),
        (lambda x, xp: x[:, :50] + 1, 400),  # a view takes nothing
        (lambda x, xp: xp.sum(x * x) + 1, 800 + 8),
        (lambda x, xp: x @ xp.reshape(x, (100, 1)) @ xp.zeros((1, 10)), 8 + 80 + 80),
    ],
)
def test_what_a_plain_step_takes_at_once(act: Callable[[Any, Any], Any], most: int) -> None:
    def step(state: Any, batch: Any) -> Any:
        act(batch, array_namespace(batch))
        return state, batch

    assert explain(step, (), np.zeros((1, 100))).description.eager_bytes == most


# What is measured


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("model", list(MODELS.values())[:3], ids=list(MODELS)[:3])
def test_a_plain_step_takes_what_is_said(model: dlarray.MLP, optimizer: Optimizer) -> None:
    """To within an eighth: NumPy now and then writes over an operand that nobody holds, or needs an array itself."""
    n = 1024
    step, state, batch = first(model, n, optimizer=optimizer)
    found = memory_estimate(model, plain(CPU), batch_size=n, optimizer=optimizer)
    said = found.gradient + found.step
    taken = peak(lambda: step(state, batch))
    assert 0.875 * taken <= said <= 1.2 * taken


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llvmlite") is None, reason="NumPy's own kernels keep blocks of their own, some MB")
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("accumulate", "n"), [(1, 4096), (4, 4096), (1, 512)])
def test_training_by_a_plan_takes_what_is_said(accumulate: int, n: int) -> None:
    """All that ``fit`` holds besides the examples, at any time after the first epoch: to within 3 % and 300 kB."""
    model = dlarray.mlp(128, 512, 512, 10)
    x, y = np.ones((2 * n, 128), np.float32), np.zeros((2 * n, 10), np.float32)

    class Watch(dlarray.Callback):
        highest = 0

        def on_epoch(self, run: Any) -> None:
            if run.epoch > 1:
                Watch.highest = tracemalloc.get_traced_memory()[1] - before
            gc.collect()
            tracemalloc.reset_peak()

    options: dict[str, Any] = {"batch_size": n, "metrics": [], "accumulate": accumulate, "progress": False}
    dlarray.fit(model, x, y, epochs=1, device="cpu", **options)  # loads what is to be loaded
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    dlarray.fit(model, x, y, epochs=3, device="cpu", callbacks=[Watch()], **options)
    found = memory_estimate(model, CPU, batch_size=n, accumulate=accumulate)
    assert found.total <= Watch.highest <= 1.03 * found.total + 300_000


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llvmlite") is None, reason="NumPy's own kernels keep blocks of their own, some MB")
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("model", list(MODELS.values())[:3], ids=list(MODELS)[:3])
def test_the_first_step_of_a_plan_takes_no_more_than_is_said(model: dlarray.MLP) -> None:
    n = 1024
    CPU.backend.compile(first(model, n)[0])(*first(model, n)[1:])
    step, state, batch = first(model, n)
    found = memory_estimate(model, CPU, batch_size=n)
    given = nbytes(state) + nbytes(batch)
    assert given + peak(lambda: CPU.backend.compile(step)(state, batch)) <= found.total + found.first_step_check


def test_xla_takes_no_more_than_is_said() -> None:
    jax = pytest.importorskip("jax")
    for model in MODELS.values():
        x, y = inputs(model, 512), np.zeros((512, model.outputs), np.float32)
        step, state, batch = dlarray.first_step(model, x, y, batch_size=512, device="jax")
        compiled = jax.jit(step, donate_argnums=0).lower(state, batch).compile()
        found = memory_estimate(model, dlarray.resolve("jax"), batch_size=512)
        assert not found.planned
        assert 0 < compiled.memory_analysis().temp_size_in_bytes <= found.gradient + found.step + 4096


@pytest.mark.parametrize("device", ["cpu", "torch", "jax", "strict"])
def test_counting_takes_no_memory(device: str, request: pytest.FixtureRequest) -> None:
    pytest.importorskip({"cpu": "numpy", "strict": "array_api_strict"}.get(device, device))
    target = dlarray.resolve(device)
    huge = dlarray.mlp(10**5, 10**6, 10)
    memory_estimate(dlarray.mlp(2, 3, 1), target, batch_size=4)  # loads what is to be loaded
    request.getfixturevalue("traced")
    found: list[MemoryEstimate] = []
    assert peak(lambda: found.append(memory_estimate(huge, target, batch_size=2**20))) < 2**20
    assert found[0].theta > 4 * 10**11
    assert not found[0].fits
    assert "It does not fit: a smaller batch_size" in str(found[0])


# What is shown


def test_the_rows_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlarray.backend.host_memory", lambda: (3_000_000, 8_000_000_000))
    options: dict[str, Any] = {"batch_size": 64, "optimizer": "momentum", "loss": "mae", "dtype": "float64"}
    text = str(memory_estimate(dlarray.mlp(64, 256, 10), "cpu", **options))
    units = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
    rows = dict(re.findall(r"^(.+?)  +([\d.e+]+ \w+)$", text, re.M))
    sizes = {name: float(n.split()[0]) * units[n.split()[1]] for name, n in rows.items()}
    *parts, total, _, free = sizes.values()
    assert list(sizes)[len(parts)] == "together"
    assert total == pytest.approx(sum(parts), rel=1e-3)
    assert list(sizes)[-1] == "free on cpu, of 8 GB"
    assert free == 3e6
    assert "of its plan" in text
    assert "It does not fit" in text  # the first step takes more than 3 MB
    monkeypatch.setattr("dlarray.backend.host_memory", lambda: None)
    assert "free" not in str(memory_estimate(dlarray.mlp(64, 256, 10), "cpu"))


def test_a_step_that_cannot_be_traced_has_a_guess() -> None:
    class Looks(dlarray.Activation):
        abstract = True

        def forward(self, z: Any) -> Any:
            return (z if float(z[0, 0]) > 0 else 2 * z), None

        def backward(self, saved: Any, dz: Any) -> Any:
            return dz

    model = dlarray.MLP(4, [dlarray.Dense(100), Looks(), dlarray.Dense(2)])
    found = memory_estimate(model, CPU, batch_size=1000)
    assert not found.planned
    assert found.step == found.gradient + 2 * 1000 * (100 + 100 + 2) * 4


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"accumulate": 0}, ValueError, "accumulate must be at least 1"),
        ({"optimizer": "adm"}, ValueError, "did you mean 'adam'"),
        ({"loss": "mean_squared"}, ValueError, "unknown loss 'mean_squared'"),
        ({"dtype": "float16"}, ValueError, "unknown dtype 'float16'"),
        ({"device": "tourch"}, dlarray.DeviceError, "did you mean 'torch'"),
    ],
)
def test_what_fit_refuses_the_estimate_refuses(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        memory_estimate(dlarray.mlp(4, 3), **({"device": "cpu"} | options))
