"""Pipelines with dlarray's estimators in skl2onnx, which takes the library's own graph for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

for library in ("onnx", "onnxruntime", "sklearn", "skl2onnx"):
    pytest.importorskip(library)

import onnxruntime  # noqa: E402
import skl2onnx  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

from dlarray import onnx  # noqa: E402
from dlarray.estimators import MLPClassifier, MLPRegressor  # noqa: E402
from tests.support.estimators import SMALL, classes  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("without_native", "registered"),
]

X, Y = classes()
DEEP: dict[str, Any] = {**SMALL, "activation": "gelu", "normalization": "batch_norm", "dropout": 0.2}


@pytest.fixture
def registered() -> Iterator[None]:
    """The converters, registered for one test."""
    from skl2onnx._parse import sklearn_parsers_map
    from skl2onnx._supported_operators import sklearn_operator_name_map

    onnx.register_converters()
    yield
    for estimator in (MLPClassifier, MLPRegressor):
        del sklearn_parsers_map[estimator], sklearn_operator_name_map[estimator]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("model", "y"),
    [
        (MLPClassifier(**DEEP), np.array(["a", "b", "c"])[Y]),
        (MLPClassifier(**DEEP), Y > 0),
        (MLPRegressor(**DEEP), 1.5 * Y),
    ],
)
def test_a_pipeline_and_an_estimator_alone_give_their_predictions(model: Any, y: Any, dtype: str) -> None:
    x = (7 * X + 3).astype(dtype)
    for fitted in (make_pipeline(StandardScaler(), model).fit(x, y), model.fit(x, y)):
        proto = skl2onnx.to_onnx(fitted, x[:1])
        session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        got = dict(zip([o.name for o in session.get_outputs()], session.run(None, {"X": x}), strict=True))
        tolerance = 1e-5 if dtype == "float32" else 1e-13
        if isinstance(model, MLPRegressor):
            np.testing.assert_allclose(got["variable"][:, 0], fitted.predict(x), rtol=tolerance, atol=tolerance)
            continue
        np.testing.assert_array_equal(got["label"], fitted.predict(x))
        np.testing.assert_allclose(got["probabilities"], fitted.predict_proba(x), rtol=tolerance, atol=tolerance)
        assert got["probabilities"].dtype == dtype


def test_integers_are_cast() -> None:
    x = np.round(5 * X).astype("int64")
    model = MLPClassifier(**SMALL).fit(x, Y)
    proto = skl2onnx.to_onnx(model, x[:1], options={id(model): {"zipmap": False}})
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    label, probabilities = session.run(None, {"X": x})
    np.testing.assert_array_equal(label, model.predict(x))
    np.testing.assert_allclose(probabilities, model.predict_proba(x), rtol=1e-4, atol=1e-5)


def test_skl2onnx_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match="ONNX needs skl2onnx: pip install skl2onnx"):
        onnx.register_converters()
