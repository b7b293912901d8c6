"""Estimators as ONNX files: the outputs of predict and predict_proba, under skl2onnx's names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

for library in ("onnx", "onnxruntime", "sklearn"):
    pytest.importorskip(library)

from dlarray import onnx  # noqa: E402
from dlarray.estimators import MLPClassifier, MLPRegressor  # noqa: E402
from tests.support.estimators import SMALL, classes, numbers  # noqa: E402
from tests.support.onnx import metadata, run  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:y could represent a regression problem"),
    pytest.mark.usefixtures("without_native"),
]

X, Y = classes()
SEVERAL = np.stack([Y == 0, Y != 1], axis=1).astype(int)
NUMBERS = numbers()[1][:, 0]
CASES: dict[str, tuple[Any, Any, str, str]] = {
    "binary": (MLPClassifier(**SMALL), (Y > 0).astype(int), "int64 (N,)", "(N, 2)"),
    "booleans": (MLPClassifier(**SMALL), Y > 0, "int64 (N,)", "(N, 2)"),
    "multiclass": (MLPClassifier(**SMALL), 5 * Y - 3, "int64 (N,)", "(N, 3)"),
    "floats": (MLPClassifier(**SMALL), 2.0 * Y, "int64 (N,)", "(N, 3)"),
    "text": (MLPClassifier(**SMALL), np.array(["a", "b", "ü"])[Y], "text (N,)", "(N, 3)"),
    "objects": (MLPClassifier(**SMALL), np.array(["no", "yes"], dtype=object)[(Y > 0) * 1], "text (N,)", "(N, 2)"),
    "several labels": (MLPClassifier(**SMALL), SEVERAL, "int64 (N, 2)", "(N, 2)"),
    "one class": (MLPClassifier(**SMALL), 0 * Y, "int64 (N,)", "(N, 2)"),
    "one-vs-rest": (MLPClassifier(**SMALL, loss="binary_cross_entropy"), Y, "int64 (N,)", "(N, 3)"),
    "two outputs": (MLPClassifier(**SMALL, loss="cross_entropy"), Y > 0, "int64 (N,)", "(N, 2)"),
    "all layers": (
        MLPClassifier(**SMALL, normalization="batch_norm", dropout=0.2, activation="gelu"),
        Y,
        "int64 (N,)",
        "(N, 3)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_classifier_gives_its_labels_and_probabilities(case: str, tmp_path: Path) -> None:
    model, y, label, shape = CASES[case]
    model.fit(X, y)
    for dtype in ("float32", "float64"):
        exported = onnx.export(model, tmp_path / "m.onnx", dtype=dtype)
        assert exported.inputs == {"X": f"{dtype} (N, 5)"}
        assert exported.outputs == {"label": label, "probabilities": f"{dtype} {shape}"}
        x = X.astype(dtype)
        got = run(tmp_path / "m.onnx", {"X": x})
        np.testing.assert_array_equal(got["label"], model.predict(x))
        np.testing.assert_allclose(got["probabilities"], model.predict_proba(x), rtol=1e-5, atol=1e-6)
    assert json.loads(metadata(tmp_path / "m.onnx")["classes"]) == np.asarray(model.classes_).tolist()


def test_a_loss_without_probabilities_gives_scores(tmp_path: Path) -> None:
    for y in (Y, Y > 0):
        model = MLPClassifier(**SMALL, loss="hinge").fit(X, y)
        onnx.export(model, tmp_path / "m.onnx")
        got = run(tmp_path / "m.onnx", {"X": X})
        np.testing.assert_array_equal(got["label"], model.predict(X))
        np.testing.assert_allclose(got["scores"], model.decision_function(X).reshape(len(X), -1), atol=1e-12)


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (MLPRegressor(**SMALL), NUMBERS),
        (MLPRegressor(**SMALL), numbers()[1]),
        (MLPRegressor("poisson", **SMALL), np.abs(NUMBERS)),
        (MLPRegressor(**SMALL, output_activation="softplus"), np.abs(NUMBERS)),
    ],
)
def test_a_regressor_gives_columns_of_numbers(model: Any, y: Any, tmp_path: Path) -> None:
    exported = onnx.export(model.fit(X, y), tmp_path / "m.onnx")
    columns = 1 if y.ndim == 1 else 2
    assert exported.outputs == {"variable": f"float64 (N, {columns})"}
    got = run(tmp_path / "m.onnx", {"X": X})["variable"]
    np.testing.assert_allclose(got, model.predict(X).reshape(len(X), -1), rtol=1e-12)


def test_float32_sparse_labels_and_names_of_features(tmp_path: Path) -> None:
    sparse, pl = pytest.importorskip("scipy.sparse"), pytest.importorskip("polars")
    x = X.astype("float32")
    model = MLPClassifier(**SMALL).fit(x, sparse.csr_matrix(SEVERAL))
    assert onnx.export(model, tmp_path / "m.onnx").inputs == {"X": "float32 (N, 5)"}
    np.testing.assert_array_equal(run(tmp_path / "m.onnx", {"X": x})["label"], model.predict(x).toarray())
    onnx.export(
        MLPRegressor(**SMALL).fit(pl.DataFrame(dict(zip("abcde", X.T, strict=True))), NUMBERS), tmp_path / "m.onnx"
    )
    assert json.loads(metadata(tmp_path / "m.onnx")["features"]) == list("abcde")


def test_an_estimator_that_is_not_fitted(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="got MLPClassifier that is not fitted"):
        onnx.export(MLPClassifier(), tmp_path / "m.onnx")


def test_names_types_and_shapes_are_those_of_skl2onnx(tmp_path: Path) -> None:
    skl2onnx: Any = pytest.importorskip("skl2onnx")
    library: Any = pytest.importorskip("onnx")
    from sklearn.neural_network import MLPClassifier as Classifier
    from sklearn.neural_network import MLPRegressor as Regressor

    x = X.astype("float32")
    for y in (Y, Y > 0, np.array(["a", "b", "c"])[Y]):
        theirs = Classifier(6, max_iter=2, random_state=0).fit(x, y)
        model = MLPClassifier(**SMALL).fit(x, y)
        for zipmap in (False, True):
            wanted = skl2onnx.to_onnx(theirs, x[:1], options={id(theirs): {"zipmap": zipmap}})
            onnx.export(model, tmp_path / "m.onnx", zipmap=zipmap)
            assert _values(library.load(str(tmp_path / "m.onnx"))) == _values(wanted)
    several = np.hstack([SEVERAL, SEVERAL[:, :1]])
    theirs = Classifier(6, max_iter=2, random_state=0).fit(x, several)
    wanted = skl2onnx.to_onnx(theirs, x[:1], options={id(theirs): {"zipmap": False}})
    (tmp_path / "theirs.onnx").write_bytes(wanted.SerializeToString())
    onnx.export(MLPClassifier(**SMALL).fit(x, several), tmp_path / "m.onnx")
    ours, found = (run(tmp_path / name, {"X": x}) for name in ("m.onnx", "theirs.onnx"))
    assert {k: (v.shape, v.dtype) for k, v in ours.items()} == {k: (v.shape, v.dtype) for k, v in found.items()}
    wanted = skl2onnx.to_onnx(Regressor(hidden_layer_sizes=6, max_iter=2, random_state=0).fit(x, NUMBERS), x[:1])
    onnx.export(MLPRegressor(**SMALL).fit(x, NUMBERS), tmp_path / "m.onnx")
    assert _values(library.load(str(tmp_path / "m.onnx"))) == _values(wanted)


def _values(proto: Any) -> list[tuple[str, str, list[int]]]:
    """The name, type and known lengths of each input and output."""
    found: list[tuple[str, str, list[int]]] = []
    for value in (*proto.graph.input, *proto.graph.output):
        kind = value.type.WhichOneof("value")
        tensor = value.type.tensor_type
        element = str(tensor.elem_type) if kind == "tensor_type" else str(value.type.sequence_type.elem_type.map_type)
        lengths = [dim.dim_value for dim in tensor.shape.dim][1:]
        found.append((value.name, element, lengths))
    return found
