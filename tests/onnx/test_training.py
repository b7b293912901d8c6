"""A training exported as graphs: the losses of fit in plain onnxruntime, and the trained weights back in dlarray."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray import datasets, onnx
from dlarray.core.registry import LIBRARY, classes, origin
from dlarray.losses import Loss
from tests.support.process import ROOT

for library in ("onnx", "onnxruntime"):
    pytest.importorskip(library)

DATA = datasets.digits()
LOSS = dlarray.SparseCategoricalCrossEntropy()
LOSSES = {name: kind for name, kind in classes(Loss).items() if origin(kind) == LIBRARY}


class Training:
    """The three graphs in onnxruntime."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        names = ("initial", "step", "predict")
        self.sessions = {
            name: onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
            for name in names
        }
        self.state = self.run("initial", {})

    def run(self, name: str, feeds: dict[str, Any]) -> dict[str, Any]:
        session = self.sessions[name]
        wanted = {entry.name for entry in session.get_inputs()}
        outputs = [entry.name for entry in session.get_outputs()]
        return dict(zip(outputs, session.run(outputs, {k: v for k, v in feeds.items() if k in wanted}), strict=True))

    def step(self, x: np.ndarray, target: np.ndarray) -> float:
        after = self.run("step", self.state | {"x": x, "target": target})
        self.state = {name: after[f"next.{name}"] for name in self.state}
        return float(after["loss"])


def test_steps_are_those_of_fit_for_batches_of_any_size(tmp_path):
    model, optimizer = dlarray.mlp(64, 12, 10, dropout=0.2), dlarray.AdamW(0.01, weight_decay=0.1)
    x, t = DATA.x_train[:100].astype("float64"), DATA.y_train[:100].astype("int32")
    files = onnx.export_training(model, LOSS, optimizer, tmp_path, seed=3, dtype="float64")
    training = Training(files.folder)
    trained = dlarray.fit(
        model, x, t, loss=LOSS, optimizer=optimizer, epochs=2, batch_size=32, shuffle=False, seed=3, dtype="float64",
        progress=False,
    )  # fmt: skip
    found = [training.step(x[i : i + 32], t[i : i + 32]) for _ in range(2) for i in range(0, 100, 32)]
    np.testing.assert_allclose(found, trained.history.steps, rtol=1e-13)
    back = onnx.trained_from(model, LOSS, training.state, device="cpu")
    assert back.dtype == "float64"
    for name, parameter in trained.parameters.items():
        np.testing.assert_allclose(back.parameters[name], parameter, atol=1e-13)
    predicted = training.run("predict", training.state | {"x": DATA.x_test.astype("float64")})
    np.testing.assert_allclose(predicted["prediction"], trained.predict(DATA.x_test), atol=1e-12)
    np.testing.assert_array_equal(predicted["label"], trained.classify(DATA.x_test))
    assert set(files.state) == {*trained.parameters, "steps", "optimizer.t"} | {
        f"optimizer.{moment}.{name}" for moment in "mv" for name in trained.parameters
    }
    assert files.state["0.W"] == (64, 12)
    assert files.bytes == sum(file.stat().st_size for file in tmp_path.iterdir())


def test_a_trained_model_is_trained_further_and_exported_again(tmp_path):
    model = dlarray.MLP(64, [dlarray.Dense(12), dlarray.BatchNorm(), "relu", dlarray.Dense(10)])
    first = dlarray.fit(model, DATA.x_train, DATA.y_train, epochs=1, dtype="float64", progress=False)
    training = Training(onnx.export_training(first, first.loss, dlarray.Momentum(0.05), tmp_path / "digits").folder)
    for name, parameter in first.parameters.items():
        np.testing.assert_array_equal(training.state[name], parameter)
    np.testing.assert_array_equal(training.state["1.mean"], model.named_buffers(first.buffers)["1.mean"])
    x, t = DATA.x_train[:500].astype("float64"), DATA.y_train[:500].astype("int32")
    losses = [training.step(x, t) for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    further = onnx.trained_from(model, first.loss, training.state)
    predicted = training.run("predict", training.state | {"x": x})
    np.testing.assert_allclose(predicted["prediction"], further.predict(x), rtol=1e-10, atol=1e-12)
    onnx.export(further, tmp_path / "model.onnx")


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_can_be_trained(name, tmp_path):
    """The export compares three steps with the formulas on numbers."""
    loss = LOSSES[name]()
    outputs = 3 if loss.task == "multiclass" else 2
    files = onnx.export_training(dlarray.mlp(4, 5, outputs), loss, dlarray.GradientDescent(0.01), tmp_path)
    step = Training(files.folder).sessions["step"]
    shapes = {entry.name: (entry.type, entry.shape) for entry in step.get_inputs()}
    assert shapes["x"] == ("tensor(float)", ["N", 4])
    columns = [] if loss.targets_are_labels else [loss.target_columns(outputs)]
    assert shapes["target"] == ("tensor(int32)" if loss.targets_are_labels else "tensor(float)", ["N", *columns])


def test_text_as_numbers_of_categories(tmp_path):
    model = dlarray.MLP(2, [dlarray.Embedding(5, 3), "relu", dlarray.Dense(1)])
    training = Training(onnx.export_training(model, "binary_cross_entropy", "adam", tmp_path).folder)
    x, t = np.asarray([[0, 4], [2, 2], [1, 3]], dtype="int32"), np.asarray([[0], [1], [1]], dtype="float32")
    losses = [training.step(x, t) for _ in range(20)]
    assert losses[-1] < losses[0]
    label = training.run("predict", training.state | {"x": x})["label"]
    assert label.shape == (3, 1)
    assert label.dtype == np.int32


def test_the_example_trains_where_dlarray_cannot_be_imported(tmp_path):
    model = dlarray.mlp(64, 32, 10)
    onnx.export_training(model, LOSS, "adam", tmp_path)
    np.save(tmp_path / "x.npy", DATA.x_train.astype("float32"))
    np.save(tmp_path / "target.npy", DATA.y_train.astype("int32"))
    script = ROOT / "examples" / "onnx_training" / "train.py"
    code = (
        "import runpy, sys; sys.modules['dlarray'] = None; "
        f"sys.argv = ['train.py', {str(tmp_path)!r}, '4']; runpy.run_path({str(script)!r})"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = dlarray.fit(model, DATA.x_train, DATA.y_train, epochs=4, shuffle=False, progress=False)
    steps = np.reshape(expected.history.steps, (4, -1))
    printed = [float(line.rpartition(" ")[2]) for line in done.stdout.splitlines()]
    np.testing.assert_allclose(printed[:4], steps.mean(axis=1), rtol=1e-5)
    trained = onnx.trained_from(model, LOSS, np.load(tmp_path / "trained.npz"))
    accuracy = trained.evaluate(DATA.x_train, DATA.y_train)["accuracy"]
    assert printed[4] == pytest.approx(accuracy, abs=5e-5)
    assert accuracy > 0.85


def test_errors(tmp_path, monkeypatch):
    model = dlarray.mlp(4, 3, 2)
    with pytest.raises(NotImplementedError, match="bits of a float"):
        onnx.export_training(model, LOSS, dlarray.BFloat16State(dlarray.Adam()), tmp_path)
    with pytest.raises(ValueError, match="unknown"):
        onnx.export_training(model, "sparse", "adam", tmp_path)
    training = Training(onnx.export_training(model, LOSS, "adam", tmp_path / "files").folder)
    with pytest.raises(ValueError, match="the array '2.b' must have the shape"):
        onnx.trained_from(model, LOSS, training.state | {"2.b": np.zeros(3)})
    with pytest.raises(ValueError, match="the state has no array '2.b'"):
        onnx.trained_from(model, LOSS, {name: x for name, x in training.state.items() if name != "2.b"})
    monkeypatch.setattr(dlarray.onnx.training_graphs, "TOLERANCE", {"float32": -1.0})
    with pytest.raises(onnx.ExportError, match="the loss of step 1 is .* in the graph"):
        onnx.export_training(model, LOSS, "adam", tmp_path / "none")
    assert not (tmp_path / "none").exists()
