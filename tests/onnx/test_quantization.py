"""Quantised ONNX files: smaller, with the same inputs and outputs, and with the accuracy that they keep."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray import datasets, onnx
from tests.support.onnx import inputs, metadata, run, untrained

for library in ("onnx", "onnxruntime", "sklearn"):
    pytest.importorskip(library)

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("without_native"),
]


def test_the_digits_keep_their_accuracy_in_a_third_of_the_bytes(tmp_path: Path, caplog: Any) -> None:
    data = datasets.digits()
    trained = dl.fit(dl.mlp(64, 64, 10), data.x_train, data.y_train, epochs=8, progress=False, device="cpu")
    path = tmp_path / "m.onnx"
    found = onnx.quantize(trained, path, data.x_train, test=(data.x_test, data.y_test))
    assert (found.metric, found.path, found.bytes) == ("accuracy", str(path), path.stat().st_size)
    assert found.agreement > 0.98
    assert found.model_score == pytest.approx(trained.evaluate(data.x_test, data.y_test)["accuracy"])
    assert found.score is not None
    assert found.score > found.model_score - 0.02
    got = run(path, {"X": data.x_test.astype("float32")})
    assert found.score == np.mean(got["label"] == data.y_test)
    assert got["probabilities"].shape == (len(data.x_test), 10)
    assert found.bytes < 0.5 * found.float_bytes
    assert metadata(path)["quantization"] == "int8"
    assert "agrees with the model on the rows of calibration: 9" in str(found)
    assert "accuracy on the test rows" in str(found)
    assert not caplog.records
    assert logging.getLogger().level == logging.WARNING


def test_regressors_text_labels_and_several_labels(tmp_path: Path) -> None:
    from dlarray.estimators import MLPClassifier, MLPRegressor

    x = np.random.default_rng(0).normal(size=(200, 4))
    words = np.array(["no", "yes"])[(x[:, 0] > 0).astype(int)]
    settings: dict[str, Any] = {"hidden_layer_sizes": 16, "max_iter": 20, "random_state": 0, "tol": 1.0}
    settings["n_iter_no_change"] = 100
    model = MLPClassifier(**settings).fit(x, words)
    several = MLPClassifier(**settings).fit(x, np.stack([x[:, 0] > 0, x[:, 1] > 0], axis=1).astype(int))
    numbers = MLPRegressor(**settings).fit(x, x[:, 0])
    found = onnx.quantize(model, tmp_path / "m.onnx", x, test=(x, words))
    assert found.model_score == pytest.approx(model.score(x, words))
    assert found.score is not None
    assert found.score > 0.9 * (found.model_score or 1)
    assert onnx.quantize(several, tmp_path / "m.onnx", x).agreement > 0.85
    found = onnx.quantize(numbers, tmp_path / "m.onnx", x, test=(x, x[:, 0]))
    assert found.metric == "r2"
    assert found.model_score == pytest.approx(numbers.score(x, x[:, 0]))
    assert found.agreement > 0.99
    assert "R² 0.99" in str(found) or "R² 1.0" in str(found)


def test_a_model_of_a_table_is_calibrated_and_measured_on_tables(tmp_path: Path) -> None:
    pl = pytest.importorskip("polars")
    from dlarray import tables

    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"a": rng.normal(size=240), "c": [("red", "green", "blue")[i % 3] for i in range(240)]})
    score = frame["a"] + (frame["c"] == "red").cast(pl.Float64)
    for target in (pl.Series(["high" if s > 0 else "low" for s in score]), score):
        table = frame.with_columns(target.alias("y"))
        model = tables.train(table, "y", hidden=[16], epochs=10, seeds=1, device="cpu")
        found = onnx.quantize(model, tmp_path / "m.onnx", frame, test=table)
        assert found.agreement > 0.9
        assert found.model_score == pytest.approx(model.evaluate(table)[found.metric])
        got = run(tmp_path / "m.onnx", onnx.table_inputs(model, frame))
        assert set(got) == ({"label", "probabilities"} if found.metric == "accuracy" else {"variable"})


def test_what_cannot_be_quantised(tmp_path: Path) -> None:
    trained = untrained(dl.MLP(2, ["relu"]), dl.MeanSquaredError())
    with pytest.raises(onnx.ExportError, match="no product with weights, so there is nothing to quantise"):
        onnx.quantize(trained, tmp_path / "m.onnx", inputs(2))
    trained = untrained(dl.mlp(2, 3), dl.SparseCategoricalCrossEntropy())
    with pytest.raises(ValueError, match=r"test must be \(x, y\)"):
        onnx.quantize(trained, tmp_path / "m.onnx", inputs(2), test=inputs(2, 3))
    with pytest.raises(ValueError, match="test has 5 examples and 1 target"):
        onnx.quantize(trained, tmp_path / "m.onnx", inputs(2), test=(inputs(2), [1]))
    assert not list(tmp_path.iterdir())
