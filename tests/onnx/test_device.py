"""Training with device="onnx": a step is one graph, and gives the losses of the eager step on NumPy."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray import datasets
from dlarray.core.registry import LIBRARY, classes, origin
from dlarray.core.trees import copy_tree, leaves
from dlarray.optimizers import Optimizer
from dlarray.training.step import Step

pytest.importorskip("onnx", reason="needs dlarray[onnx]")
pytest.importorskip("onnxruntime", reason="needs dlarray[onnx]")

LOSS = dlarray.SparseCategoricalCrossEntropy()
RATES = {"rprop": 1e-4, "rmsprop": 1e-3}
"""Small enough that a batch's noise is not amplified until rounding errors decide."""
OPTIMIZERS = {
    name: kind(RATES[name]) if name in RATES else kind()
    for name, kind in classes(Optimizer).items()
    if origin(kind) == LIBRARY and name not in {"clipped", "bfloat16_state"}
} | {
    "clipped by the norm": dlarray.Clipped(dlarray.AdamW(0.01, weight_decay=0.1), dlarray.clip_by_global_norm, 0.1),
    "clipped by value": dlarray.Clipped(dlarray.Momentum(0.1), dlarray.clip_by_value, 0.01),
    "scheduled": dlarray.Nesterov(dlarray.OneCycle(0.1, 100), weight_decay=1e-3),
}
MODELS = {
    "dropout": dlarray.mlp(64, 16, 10, dropout=0.3),
    "batch norm": dlarray.MLP(64, [dlarray.Dense(16), dlarray.BatchNorm(), "relu", dlarray.Dense(10)]),
    "layer norm": dlarray.MLP(64, [dlarray.LayerNorm(), dlarray.Dense(16), "gelu", dlarray.Dense(10)]),
    "rms norm": dlarray.MLP(64, [dlarray.Dense(16), dlarray.RMSNorm(), "prelu", dlarray.Dense(10)]),
    "residual": dlarray.MLP(64, [dlarray.Dense(8), dlarray.Residual([dlarray.Dense(8), "silu"]), dlarray.Dense(10)]),
}
DATA = datasets.digits()
ROUNDING = {"float64": 1e-14, "float32": 5e-7}
"""Of a loss, or of 1 if that is larger."""


def losses(device: str, model: dlarray.MLP, optimizer: Optimizer, dtype: str, steps: int = 100) -> np.ndarray:
    """The losses of steps on batches of 32 and 29 examples: compiled on "onnx", eager elsewhere."""
    step, target = Step(model, LOSS, optimizer), dlarray.resolve(device)
    state = step.init(model.init(0, target, dtype), model.init_buffers(target, dtype), 0, target)
    bound = target.backend.compile(step).bind(state) if device == "onnx" else None
    x, t = target.asarray(DATA.x_train, dtype), target.asarray(DATA.y_train, "int32")
    found: list[Any] = []
    for i in range(steps):
        at = 32 * (i % 40)
        batch = x[at : at + 32 - 3 * (i % 2)], t[at : at + 32 - 3 * (i % 2)], None
        if bound is None:
            state, loss = step(state, batch)
            found.append(loss)
        else:
            found.append(bound(batch))
    return np.asarray([float(loss) for loss in found])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_has_the_losses_of_numpy(name, dtype):
    model = dlarray.mlp(64, 12, 10)
    actual, expected = (losses(device, model, OPTIMIZERS[name], dtype) for device in ("onnx", "cpu"))
    assert np.max(np.abs(actual - expected) / np.maximum(np.abs(expected), 1)) <= ROUNDING[dtype]
    assert expected[-1] != expected[0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", MODELS)
def test_layers_have_the_losses_of_numpy(name, dtype):
    actual, expected = (losses(device, MODELS[name], dlarray.Momentum(0.01), dtype) for device in ("onnx", "cpu"))
    assert np.max(np.abs(actual - expected) / np.maximum(np.abs(expected), 1)) <= ROUNDING[dtype]


def test_the_digits_have_the_accuracy_of_the_demo():
    """The settings of ``dlarray train digits``."""
    results = {
        device: dlarray.fit(
            dlarray.mlp(64, 256, 10),
            DATA.x_train,
            DATA.y_train,
            epochs=30,
            validation=(DATA.x_test, DATA.y_test),
            device=device,
            progress=False,
        )
        for device in ("onnx", "cpu")
    }
    accuracies = [trained.evaluate(DATA.x_test, DATA.y_test)["accuracy"] for trained in results.values()]
    assert accuracies[0] == accuracies[1]
    assert round(accuracies[0], 4) == 0.9861
    assert results["onnx"].device.name == "onnx:cpu"


@pytest.fixture
def small():
    """A step on the device onnx with its state and two batches."""
    onnx = dlarray.resolve("onnx")
    step = Step(dlarray.mlp(3, 4, 2), LOSS, dlarray.AdamW(0.1, weight_decay=0.1))
    state = step.init(step.model.init(0, onnx), (), 0, onnx)
    x = onnx.asarray(np.random.default_rng(0).normal(size=(7, 3)), "float32")
    t = onnx.asarray([0, 1, 1, 0, 1, 0, 0], "int32")
    return step, state, [(x, t, None), (x[:4], t[:4], None)]


def test_a_bound_step_and_a_call_agree(small):
    step, state, batches = small
    compiled = dlarray.resolve("onnx").backend.compile(step)
    bound = compiled.bind(copy_tree(state))
    for batch in batches * 2:
        state, loss = compiled(state, batch)
        assert float(bound(batch)) == float(loss)
    assert len(compiled.programs) == 1  # for both sizes
    for mine, other in zip(leaves(bound.state), leaves(state), strict=True):
        np.testing.assert_array_equal(dlarray.to_numpy(mine), dlarray.to_numpy(other))


def test_a_state_can_be_assigned_between_steps(small):
    step, state, batches = small
    backend = dlarray.resolve("onnx").backend
    bound, other = (backend.compile(step).bind(copy_tree(state)) for _ in range(2))
    first = [float(bound(batches[i % 2])) for i in range(3)]
    bound.state = copy_tree(state)  # the same arrays again
    assert [float(bound(batches[i % 2])) for i in range(3)] == first
    other(batches[0])
    other.state = other.state | {"theta": copy_tree(state["theta"])}  # as a callback replaces an entry
    assert float(other(batches[0])) == first[0]
    with_scale = {"scale": dlarray.asarray(np.float32(0.5), "onnx")}
    other.state = state | {"optimizer": tuple(entry | with_scale for entry in state["optimizer"])}  # another structure
    assert float(other(batches[0])) == first[0]
    assert float(other(batches[0])) != first[1]


def test_the_state_is_not_copied_between_steps(small):
    step, state, batches = small
    bound = dlarray.resolve("onnx").backend.compile(step).bind(state)
    memory = []
    for _ in range(4):
        bound(batches[0])
        memory.append(dlarray.to_numpy(bound.state["theta"][0]).ctypes.data)
    assert memory[0] == memory[2] != memory[1] == memory[3]
    assert bound.release() == sum(2 * dlarray.to_numpy(x).nbytes for x in leaves(state))


def test_predictions_are_compiled(monkeypatch, tmp_path):
    monkeypatch.setattr("dlarray.training.predictor.EAGER_CALLS", 1)
    model = dlarray.mlp(64, 8, 10, dropout=0.5)
    trained = dlarray.fit(model, DATA.x_train, DATA.y_train, epochs=1, device="onnx", progress=False)
    x = dlarray.asarray(DATA.x_test, "onnx", "float32")
    trained.save(tmp_path / "model")
    host = dlarray.load(tmp_path / "model", "cpu")
    for part in (x, x[:5]):
        y = trained.predict(part)
        assert dlarray.device_of(y).name == "onnx:cpu"
        np.testing.assert_allclose(dlarray.to_numpy(y), host.predict(dlarray.to_numpy(part)), rtol=2e-6)
        np.testing.assert_array_equal(trained.predict_labels(part), host.predict_labels(dlarray.to_numpy(part)))


def test_a_diagnosis_is_that_of_numpy():
    texts = []
    for device in ("onnx", "cpu"):
        model = dlarray.mlp(64, 8, 10, dropout=0.2)
        trained = dlarray.fit(
            model, DATA.x_train, DATA.y_train, epochs=1, device=device, dtype="float64", progress=False
        )
        texts.append(str(dlarray.diagnose(trained, DATA.x_train[:100], DATA.y_train[:100])))
    assert texts[0] == texts[1]


def test_weights_of_examples_metrics_and_callbacks_work():
    weight = np.linspace(0.5, 2, len(DATA.y_train))
    histories = [
        dlarray.fit(
            dlarray.mlp(64, 8, 10),
            DATA.x_train,
            DATA.y_train,
            weight=weight,
            epochs=4,
            metrics=["accuracy", "top_k_accuracy"],
            callbacks=["early_stopping", dlarray.ReduceLROnPlateau(patience=1, min_delta=10.0)],
            validation=0.2,
            batch_size=100,
            device=device,
            dtype="float64",
            progress=False,
        ).history
        for device in ("onnx", "cpu")
    ]
    np.testing.assert_allclose(histories[0].steps, histories[1].steps, rtol=1e-13)
    assert histories[0].epochs[-1].keys() == histories[1].epochs[-1].keys()


def test_a_step_that_a_graph_cannot_hold_says_so(small):
    step, _, batches = small
    onnx = dlarray.resolve("onnx")
    packed = Step(step.model, LOSS, dlarray.BFloat16State(dlarray.Adam()))
    state = packed.init(step.model.init(0, onnx), (), 0, onnx)
    with pytest.raises(NotImplementedError, match="bits of a float"):
        onnx.backend.compile(packed)(state, batches[0])
    with pytest.raises(ValueError, match="dlarray.onnx.export_training writes it"):
        dlarray.explain(step, state, batches[0])


@pytest.mark.parametrize(("given", "threads"), [("1", 1), ("2,4", 2), ("", 0), (None, 0), ("all", 0)])
def test_threads_are_those_of_openmp(given, threads, monkeypatch, small):
    import onnxruntime

    asked = []

    class Options(onnxruntime.SessionOptions):
        def __setattr__(self, name, value):
            asked.append((name, value))
            super().__setattr__(name, value)

    monkeypatch.setattr(onnxruntime, "SessionOptions", Options)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    step, state, batches = small
    dlarray.resolve("onnx").backend.compile(step)(state, batches[0])
    assert ("intra_op_num_threads", threads) in asked


def test_a_missing_library_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr("dlarray.device.search._working", {})
    with pytest.raises(dlarray.DeviceError, match=r'pip install "dlarray\[onnx\]"'):
        dlarray.resolve("onnx")
