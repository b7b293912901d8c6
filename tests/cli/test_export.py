"""``dlarray export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray import onnx, tables
from tests.support.command_line import CommandLine, plain
from tests.support.onnx import run as run_onnx
from tests.support.onnx import untrained

for library in ("typer", "matplotlib", "sklearn", "polars", "onnx", "onnxruntime"):
    pytest.importorskip(library)


def test_the_model_of_a_table_and_what_is_printed(wine: Any, run: CommandLine) -> None:
    result = run("export", "model.safetensors", "-o", "wine.onnx", "--dtype", "float64")
    assert result.exit_code == 0, result.output
    assert "saved: wine.onnx, " in result.stdout
    assert "input ash: float64 (N, 1)\n" in result.stdout
    assert "output label: text (N,)\noutput probabilities: float64 (N, 3)\n" in result.stdout
    assert "checked with onnxruntime: deviates by" in result.stdout
    model = tables.load("model.safetensors", "cpu")
    got = run_onnx("wine.onnx", onnx.table_inputs(model, wine))
    assert got["label"].tolist() == model.predict(wine)["prediction"].to_list()
    found = json.loads(run("export", "model.safetensors", "--json").stdout)
    assert found["output"] == "model.onnx"
    assert found["outputs"] == {"label": "text (N,)", "probabilities": "float32 (N, 3)"}
    assert found["bytes"] == Path("model.onnx").stat().st_size
    assert run("export", "model.safetensors", "--zipmap").exit_code == 0
    assert set(run_onnx("model.onnx", onnx.table_inputs(model, wine))) == {"output_label", "output_probability"}


def test_a_network_without_a_table(run: CommandLine) -> None:
    trained = untrained(dl.mlp(3, 2), dl.MeanSquaredError())
    trained.save("network.safetensors")
    assert run("export", "network.safetensors").exit_code == 0
    x = np.ones((2, 3), dtype="float32")
    np.testing.assert_allclose(run_onnx("network.onnx", {"X": x})["variable"], trained.predict(x), rtol=1e-6)


def test_a_quantised_model_and_its_accuracy(wine: Any, run: CommandLine) -> None:
    words = ["export", "model.safetensors", "-o", "q.onnx", "--quantize", "wine.csv", "--test", "wine.csv"]
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert "agrees with the model on the rows of calibration: 9" in result.stdout or "100" in result.stdout
    found = json.loads(run(*words, "--json").stdout)
    assert found["metric"] == "accuracy"
    assert found["score"] > 0.9
    assert found["bytes"] == Path("q.onnx").stat().st_size


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("model.safetensors --dtype float16", 2, "unknown --dtype 'float16'"),
        ("model.safetensors -o no/m.onnx", 1, "no such folder: 'no'"),
        ("model.safetensors -o model.safetensors", 2, "is a file that this command reads"),
        ("model.safetensors --test wine.csv", 2, "--test needs --quantize"),
        ("model.safetensors --quantize wine.csv --zipmap", 2, "--quantize takes neither --dtype nor --zipmap"),
        ("network.safetensors --quantize wine.csv", 2, "--quantize needs the model of a table"),
        ("absent.safetensors", 1, "No such file or directory"),
        ("wine.csv", 1, "wine.csv is not a dlarray model"),
    ],
)
def test_a_failed_export_writes_nothing(
    words: str, code: int, message: str, wine: Any, run: CommandLine, tmp_path: Path
) -> None:
    untrained(dl.mlp(3, 2), dl.MeanSquaredError()).save("network.safetensors")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    result = run("export", *words.split())
    assert result.exit_code == code, result.output
    assert message in plain(result.stderr)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
