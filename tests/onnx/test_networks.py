"""Networks as ONNX files: every activation and layer, outputs by task, and what cannot be exported."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import dlarray as dl
from dlarray import onnx
from dlarray.core.array import Array, array_namespace
from dlarray.core.layer import Activation
from dlarray.core.registry import LIBRARY, classes, origin
from dlarray.losses import Loss
from tests.support.onnx import inputs, metadata, run, untrained

for library in ("onnx", "onnxruntime"):
    pytest.importorskip(library)

OWN = {name: c for name, c in classes(Activation).items() if origin(c) == LIBRARY}
LAYERS: dict[str, dl.MLP] = {
    "dense": dl.MLP(4, [dl.Dense(3), dl.Dropout(0.5), "relu", dl.Dense(2, bias=False)]),
    "batch norm": dl.MLP(4, [dl.BatchNorm(), dl.BatchNorm(scale=False, shift=False)]),
    "layer norm": dl.MLP(4, [dl.LayerNorm(), dl.LayerNorm(scale=False, eps=0.1)]),
    "rms norm": dl.MLP(4, [dl.RMSNorm(), dl.RMSNorm(eps=0.1, shift=True)]),
    "residual": dl.MLP(4, [dl.Residual([dl.BatchNorm(), "swish", dl.Residual(["tanh"])]), dl.Dense(1)]),
    "embedding": dl.MLP(3, [dl.Embedding(5, 2), dl.Dense(2)]),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OWN)
def test_every_activation(name: str, dtype: str, tmp_path: Path) -> None:
    trained = untrained(dl.MLP(6, [OWN[name]()]), dl.MeanSquaredError(), dtype)
    exported = onnx.export(trained, tmp_path / "m.onnx")
    assert exported.deviation < (1e-6 if dtype == "float32" else 1e-14)
    x = 3 * inputs(6, 9, dtype)
    got = run(tmp_path / "m.onnx", {"X": x})["variable"]
    np.testing.assert_allclose(got, trained.predict(x), rtol=2e-6 if dtype == "float32" else 1e-13, atol=1e-7)
    assert got.dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_with_any_number_of_rows(name: str, dtype: str, tmp_path: Path) -> None:
    model = LAYERS[name]
    trained = untrained(model, dl.MeanSquaredError(), dtype)
    trained = trained.at(trained.theta, tuple(x + 0.25 for x in trained.buffers))
    onnx.export(trained, tmp_path / "m.onnx")
    for n in (0, 1, 3):
        x: Any = inputs(model.inputs, n, dtype)
        x = np.abs(np.round(x)).astype("int64") if name == "embedding" else x
        got = run(tmp_path / "m.onnx", {"X": x})["variable"]
        assert got.shape == (n, model.outputs)
        if n:
            np.testing.assert_allclose(got, trained.predict(x), rtol=1e-6, atol=1e-6)


def test_the_outputs_of_each_task(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    path = tmp_path / "m.onnx"
    fit: dict[str, Any] = {"epochs": 2, "batch_size": 20, "progress": False, "device": "cpu"}

    words = np.array(["no", "yes", "über"])[(x[:, 0] > 0).astype(int) + (x[:, 1] > 0)]
    trained = dl.fit(dl.mlp(3, 3), x, words, **fit)
    assert onnx.export(trained, path).outputs == {"label": "text (N,)", "probabilities": "float32 (N, 3)"}
    got = run(path, {"X": x.astype("float32")})
    assert got["label"].tolist() == trained.predict_labels(x).tolist()
    np.testing.assert_allclose(got["probabilities"], trained.predict(x), atol=1e-6)
    assert json.loads(metadata(path)["classes"]) == ["no", "yes", "über"]

    trained = dl.fit(dl.mlp(3, 1), x, x[:, 0] > 0, **fit)
    assert onnx.export(trained, path).outputs == {"label": "int64 (N,)", "probabilities": "float32 (N, 2)"}
    got = run(path, {"X": x.astype("float32")})
    assert got["label"].tolist() == trained.predict_labels(x).astype(int).tolist()
    np.testing.assert_allclose(got["probabilities"][:, 1:], trained.predict(x), atol=1e-6)
    np.testing.assert_allclose(got["probabilities"].sum(axis=1), 1, atol=1e-6)

    several = np.stack([x[:, 0] > 0, x[:, 1] > 0], axis=1).astype("float32")
    trained = dl.fit(dl.mlp(3, 2), x, several, loss="binary_cross_entropy", **fit)
    assert onnx.export(trained, path).outputs == {"label": "int64 (N, 2)", "probabilities": "float32 (N, 2)"}
    np.testing.assert_array_equal(run(path, {"X": x.astype("float32")})["label"], trained.classify(x))

    trained = dl.fit(dl.mlp(3, 1), x, np.sign(x[:, :1]), loss="hinge", **fit)
    assert onnx.export(trained, path).outputs == {"label": "int64 (N,)", "scores": "float32 (N, 1)"}

    frame = pytest.importorskip("polars").DataFrame(dict(zip("abc", x.T, strict=True)))
    trained = dl.fit(dl.mlp(3, 1), frame, x[:, 0], dtype="float64", **fit)
    exported = onnx.export(trained, path, dtype="float32")
    assert (exported.inputs, exported.outputs) == ({"X": "float32 (N, 3)"}, {"variable": "float32 (N, 1)"})
    found = metadata(path)
    assert found["task"] == "regression"
    assert found["loss"] == "mean_squared_error"
    assert json.loads(found["features"]) == ["a", "b", "c"]
    assert "checked with onnxruntime" in str(exported)


def test_probabilities_of_the_last_layer_labels_that_are_floats_and_other_devices(tmp_path: Path) -> None:
    path, x = tmp_path / "m.onnx", inputs(3, 30)
    ends = dl.MLP(3, [dl.Dense(1), "sigmoid"])
    trained = untrained(ends, dl.BinaryCrossEntropy(from_logits=False))
    assert onnx.export(trained, path).outputs == {"label": "int64 (N,)", "probabilities": "float32 (N, 2)"}
    np.testing.assert_allclose(run(path, {"X": x})["probabilities"][:, 1:], trained.predict(x), atol=1e-6)
    pd, fit = pytest.importorskip("pandas"), {"epochs": 1, "batch_size": 30, "progress": False}
    half = pd.Series(pd.Categorical(np.arange(30) % 3 + 0.5))
    pytest.importorskip("array_api_strict")
    trained = dl.fit(dl.mlp(3, 3), x, half, device="strict", **fit)
    assert onnx.export(trained, path).outputs["label"] == "float64 (N,)"
    assert run(path, {"X": x})["label"].tolist() == trained.predict_labels(x).tolist()
    with pytest.raises(ValueError, match="zipmap is for labels that are text or integers"):
        onnx.export(trained, path, zipmap=True)


@pytest.mark.parametrize("loss", [c for c in classes(Loss).values() if origin(c) == LIBRARY], ids=lambda c: c.__name__)
def test_every_loss(loss: type[Loss], tmp_path: Path) -> None:
    trained = untrained(dl.MLP(4, [dl.LayerNorm()]), loss())
    exported = onnx.export(trained, tmp_path / "m.onnx")
    x = inputs(4)
    got = run(tmp_path / "m.onnx", {"X": x})
    values = next(name for name in exported.outputs if name != "label")
    np.testing.assert_allclose(got[values], trained.predict(x), rtol=1e-5, atol=1e-6)
    if values != "variable":
        np.testing.assert_array_equal(got["label"], trained.classify(x))


def test_the_file_names_its_producer_its_weights_and_its_opset(tmp_path: Path) -> None:
    onnx.export(untrained(dl.MLP(2, [dl.Dense(3), dl.BatchNorm()]), dl.MeanSquaredError()), tmp_path / "m.onnx")
    library: Any = pytest.importorskip("onnx")
    found = library.load(str(tmp_path / "m.onnx"))
    assert (found.producer_name, found.producer_version) == ("dlarray", version("dlarray"))
    assert [(o.domain, o.version) for o in found.opset_import] == [("", 21)]
    assert {x.name for x in found.graph.initializer} >= {"0.W", "0.b", "1.gamma", "1.beta", "1.mean", "1.variance"}
    assert "If" not in {node.op_type for node in found.graph.node}


def test_onnx_s_own_operators_are_used_for_relu_softmax_and_the_largest_column(tmp_path: Path) -> None:
    library: Any = pytest.importorskip("onnx")
    trained = untrained(dl.mlp(2, 4, 3), dl.SparseCategoricalCrossEntropy())
    onnx.export(trained, tmp_path / "m.onnx")
    found = library.load(str(tmp_path / "m.onnx")).graph
    operators = ["MatMul", "Add", "Relu", "MatMul", "Add", "Softmax", "ArgMax", "Gather"]
    assert [node.op_type for node in found.node] == operators
    assert {x.name for x in found.initializer} == {"0.W", "0.b", "2.W", "2.b", "classes"}
    equal = trained.at(tuple(0 * x for x in trained.theta), ())  # of equal numbers the first is the largest
    onnx.export(equal, tmp_path / "m.onnx")
    assert run(tmp_path / "m.onnx", {"X": inputs(2)})["label"].tolist() == [0] * 5


def test_formulas_that_are_nearly_those_of_operators_stay_formulas(tmp_path: Path) -> None:
    library: Any = pytest.importorskip("onnx")
    onnx.export(untrained(dl.MLP(2, [AboveHalf(), HalfSoftmax()]), dl.MeanSquaredError()), tmp_path / "m.onnx")
    kinds = {node.op_type for node in library.load(str(tmp_path / "m.onnx")).graph.node}
    assert not kinds & {"Relu", "Softmax"}
    assert {"Max", "Exp", "ReduceSum", "Div"} <= kinds


def test_zipmap_gives_mappings_from_labels(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    trained = untrained(dl.mlp(2, 3), dl.SparseCategoricalCrossEntropy(), "float64")
    onnx.export(trained, path, zipmap=True)
    x = inputs(2, dtype="float64")
    got = run(path, {"X": x})
    assert got["output_label"].tolist() == trained.classify(x).tolist()
    for row, p in zip(got["output_probability"], trained.predict(x), strict=True):
        assert list(row) == [0, 1, 2]
        np.testing.assert_allclose(list(row.values()), p, atol=1e-6)
    with pytest.raises(ValueError, match="zipmap is for one label with probabilities"):
        onnx.export(untrained(dl.mlp(2, 3), dl.MeanSquaredError()), path, zipmap=True)


@dataclass(frozen=True)
class WithNumpy(Activation):
    """A formula that leaves the array's library."""

    abstract: ClassVar[bool] = True

    def forward(self, z: Array) -> tuple[Array, Array]:
        return np.tanh(np.asarray(z)), z

    def backward(self, saved: Array, dy: Array) -> Array:
        return dy


@dataclass(frozen=True)
class Branching(WithNumpy):
    """A formula that reads a value."""

    abstract: ClassVar[bool] = True

    def forward(self, z: Array) -> tuple[Array, Array]:
        return (z if float(z[0, 0]) > 0 else -z), z


@dataclass(frozen=True)
class Changing(WithNumpy):
    """A formula that gives other numbers at each call."""

    abstract: ClassVar[bool] = True

    def forward(self, z: Array) -> tuple[Array, Array]:
        return z + float(np.random.default_rng().random()), z


@dataclass(frozen=True)
class AboveHalf(WithNumpy):
    """max(z, 1/2)."""

    abstract: ClassVar[bool] = True

    def forward(self, z: Array) -> tuple[Array, Array]:
        return array_namespace(z).maximum(z, 0.5), z


@dataclass(frozen=True)
class HalfSoftmax(WithNumpy):
    """exp(z - max z) / Σ exp z."""

    abstract: ClassVar[bool] = True

    def forward(self, z: Array) -> tuple[Array, Array]:
        xp = array_namespace(z)
        shifted = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
        return shifted / xp.sum(xp.exp(z), axis=-1, keepdims=True), z


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (WithNumpy(), r"layer 1, WithNumpy\(\), cannot be traced: .*array_namespace\(x\) alone"),
        (Branching(), r"layer 1, Branching\(\), cannot be traced: .*no branch on a value"),
        (Changing(), r"variable of the graph differs from the model's by up to .* is allowed: .* in the model"),
    ],
)
def test_a_formula_that_cannot_be_traced_writes_no_file(layer: Activation, message: str, tmp_path: Path) -> None:
    with pytest.raises(onnx.ExportError, match=message):
        onnx.export(untrained(dl.MLP(2, [dl.Dense(2), layer, "relu"]), dl.MeanSquaredError()), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_what_is_no_trained_model(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"model must be trained: .*, got MLP$"):
        onnx.export(dl.mlp(2, 1), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="float16"):
        onnx.export(untrained(dl.mlp(2, 1), dl.MeanSquaredError()), tmp_path / "m.onnx", dtype="float16")
    with pytest.raises(OSError, match="absent"):
        onnx.export(untrained(dl.MLP(2, ["relu"]), dl.MeanSquaredError()), tmp_path / "absent" / "m.onnx")


def test_the_check_can_use_given_examples(tmp_path: Path) -> None:
    trained = untrained(dl.mlp(2, 1), dl.MeanSquaredError())
    assert onnx.export(trained, tmp_path / "m.onnx", examples=[[1e3, -1e3], [0.0, 1.0]]).deviation < 1e-6
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"a": [1.0, 2.0], "b": [300.0, 400.0]})
    fit: dict[str, Any] = {"epochs": 1, "batch_size": 2, "progress": False, "device": "cpu"}
    trained = dl.fit(dl.mlp(2, 1), frame, np.zeros(2), **fit)
    seen: list[Any] = []
    spied = trained.at(trained.theta, ())
    object.__setattr__(spied, "predict", lambda x: seen.append(x) or trained.predict(x))
    onnx.export(spied, tmp_path / "m.onnx", examples=frame.select("b", "a"))
    assert seen[0].tolist() == [[1, 300], [2, 400]]


def test_a_missing_library_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r'ONNX needs onnxruntime: pip install "dlarray\[onnx\]"'):
        onnx.export(untrained(dl.mlp(2, 1), dl.MeanSquaredError()), tmp_path / "m.onnx")
