"""A diagnosis as text, as a table and as data, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

import dlarray as dl
from dlarray.diagnostics import LayerStatistics
from tests.support.diagnoses import DENSE, LABELS, X
from tests.support.matrix import On


def test_a_diagnosis_is_a_table_with_the_verdict_in_words() -> None:
    model = dl.MLP(3, [DENSE(4, bias=dl.Constant(-100.0)), "relu", DENSE(2)])
    text = str(dl.diagnose_at(model, model.init(), X, LABELS))
    lines = text.splitlines()
    assert (
        " ".join(lines[0].split())
        == "layer units mean std zeros dead saturated |dL/dy| gain |W| |dL/dW| |ΔW|/|W| verdict"
    )
    assert lines[2].split()[:3] == ["0", "Dense", "4"]
    assert lines[3].split()[-1] == "dying"
    assert lines[3].split()[:7] == ["1", "ReLU", "4", "0", "0", "100%", "100%"]
    assert "verdict: dying" in lines
    assert "leaky or parametrised ReLU" in text
    assert "40 examples" in text
    assert max(map(len, lines)) <= 120


def test_a_diagnosis_is_ready_for_json() -> None:
    model = dl.mlp(3, 4, 2)
    found = dl.diagnose_at(model, model.init(), X, LABELS)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["verdict"] == "healthy"
    assert data["problems"] == []
    assert data["loss"] == found.loss
    assert [layer["kind"] for layer in data["layers"]] == ["Dense", "ReLU", "Dense"]
    W = data["layers"][0]["parameters"]["W"]
    assert W["shape"] == [3, 4]
    assert W["update"] == found["0"].weights.update
    assert data["layers"][0]["parameters"]["b"]["update"] is None
    assert data["layers"][1]["output"]["median"] == found["1"].output.median


def test_a_diagnosis_is_one_line_and_a_table_in_a_notebook() -> None:
    model = dl.MLP(3, [DENSE(4, bias=dl.Constant(-100.0)), "relu", DENSE(2)])
    found = dl.diagnose_at(model, model.init(), X, LABELS)
    assert repr(found) == f"Diagnosis(verdict='dying', layers=3, loss={found.loss:.4g})"
    html = found._repr_html_()
    assert html.count("<tr>") == len(found.layers) + 1
    assert "verdict: dying<br>* dying (layer 1): 100% of the units of layer 1 (ReLU) have derivative 0" in html
    assert ">dying</td></tr>" in html
    assert "eps_mode=&#x27;outside&#x27;" in html  # text is escaped


def test_a_layer_is_found_by_its_name() -> None:
    model = dl.mlp(3, 4, 2)
    found = dl.diagnose_at(model, model.init(), X, LABELS)
    assert isinstance(found["1"], LayerStatistics)
    with pytest.raises(KeyError, match=r"no layer is named '7'; there are 0, 1, 2"):
        found["7"]


@pytest.mark.slow
def test_a_trained_model_is_diagnosed_with_its_loss(on: On) -> None:
    trained = dl.fit(
        dl.mlp(3, 4, 2), on.array(X), on.array(LABELS), epochs=1, dtype=on.dtype, compile=False, progress=False
    )
    found = dl.diagnose(trained, X, LABELS, optimizer="momentum")
    assert found == dl.diagnose_at(trained.model, trained.theta, X, LABELS, loss=trained.loss, optimizer="momentum")
    assert found.optimizer.startswith("Momentum")


def test_weights_of_examples_count() -> None:
    model = dl.mlp(3, 4, 2)
    theta = model.init()
    chosen = (np.arange(40) < 10).astype(float)
    weighted = dl.diagnose_at(model, theta, X, LABELS, weight=chosen)
    assert weighted.loss == pytest.approx(dl.diagnose_at(model, theta, X[:10], LABELS[:10]).loss, rel=1e-6)


def test_bad_input_is_refused_with_the_remedy() -> None:
    pytest.importorskip("array_api_strict")
    model = dl.mlp(3, 4, 2)
    theta = model.init()
    with pytest.raises(TypeError, match="model must be an MLP"):
        dl.diagnose_at(model.chain, theta, X, LABELS)
    with pytest.raises(ValueError, match="takes 3 inputs, got x with 2 features"):
        dl.diagnose_at(model, theta, X[:, :2], LABELS)
    with pytest.raises(ValueError, match="theta must hold vectors of lengths"):
        dl.diagnose_at(dl.mlp(3, 80, 2), theta, X, LABELS)
    with pytest.raises(ValueError, match="unknown optimizer 'adm', did you mean 'adam'"):
        dl.diagnose_at(model, theta, X, LABELS, optimizer="adm")
    with pytest.raises(ValueError, match="unknown loss"):
        dl.diagnose_at(model, theta, X, LABELS, loss="nothing")
    with pytest.raises(TypeError, match="x must be an array"):
        dl.diagnose_at(model, theta, X.tolist(), LABELS)
    with pytest.raises(TypeError, match="the model is on cpu, got x on strict:cpu"):
        dl.diagnose_at(model, theta, dl.asarray(X, "strict"), dl.asarray(LABELS, "strict"))
    normed = dl.MLP(3, [DENSE(4), dl.BatchNorm(), DENSE(2)])
    with pytest.raises(ValueError, match="trains on 2 examples or more at once, got 1"):
        dl.diagnose_at(normed, normed.init(), X[:1], LABELS[:1])


def test_a_model_without_parameters_is_diagnosed_too() -> None:
    model = dl.MLP(3, ["tanh"])
    found = dl.diagnose_at(model, model.init(), X.astype(np.float32), X)
    assert [f.kind for f in found.layers] == ["Tanh"]
    assert found.verdict == "healthy"
