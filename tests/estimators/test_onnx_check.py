"""Estimators and skl2onnx: the same predictions, or an error that says what it does not convert."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dlarray
from dlarray.estimators import MLPClassifier, MLPRegressor
from tests.support.estimators import SMALL, classes, numbers

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("without_native"),
]

X, Y = classes()
SEVERAL = np.stack([Y == 0, Y != 1], axis=1).astype(int)
NUMBERS = numbers()[1][:, 0]

CONVERTED: list[tuple[Any, Any]] = [
    (MLPClassifier(**SMALL), Y),
    (MLPClassifier(**SMALL, dropout=0.2), Y > 0),
    (MLPClassifier(**SMALL), np.hstack([SEVERAL, SEVERAL[:, :1]])),
    (MLPClassifier(**SMALL, loss="focal", activation="tanh"), Y),
    (MLPClassifier(**SMALL, loss="sparse_cross_entropy", activation="logistic"), np.array(["a", "b", "c"])[Y]),
    (MLPRegressor(**SMALL, activation="identity"), NUMBERS),
    (MLPRegressor("huber", **SMALL, output_activation="sigmoid"), NUMBERS),
    (MLPRegressor(**{**SMALL, "hidden_layer_sizes": ()}), NUMBERS),
]

REFUSED: list[tuple[Any, Any, str]] = [
    (MLPClassifier(**SMALL, normalization="batch_norm"), Y, "it leaves BatchNorm.* out"),
    (MLPClassifier(**SMALL, activation="gelu"), Y, "activations identity, logistic, relu, tanh by name.*'gelu'"),
    (MLPClassifier(**SMALL, activation=[dlarray.ReLU()]), Y, "by name, and this is .ReLU"),
    (MLPClassifier(**SMALL, loss="hinge"), Y, "expects probabilities, and loss='hinge' trains scores"),
    (MLPClassifier(**SMALL, loss="cross_entropy"), Y > 0, "one output for two classes.*use 'log_loss'"),
    (MLPClassifier(**SMALL), SEVERAL, "it takes two labels for two classes"),
    (MLPRegressor("poisson", **SMALL), np.abs(NUMBERS), "identity, logistic, softmax, and this is 'exp'"),
    (MLPRegressor(**SMALL, output_activation="softplus"), NUMBERS, "and this is 'softplus'"),
    (MLPRegressor(**SMALL), numbers()[1], "it expects one output, and this has 2"),
]


@pytest.mark.parametrize(("model", "y"), CONVERTED)
def test_what_a_converter_reads_is_left_to_it(model: Any, y: Any) -> None:
    assert model.fit(X, y).onnx_parser() is None


@pytest.mark.parametrize(("model", "y", "message"), REFUSED)
def test_what_a_converter_would_leave_out_is_an_error(model: Any, y: Any, message: str) -> None:
    with pytest.raises(NotImplementedError, match=f"scikit-learn's MLP.* would give other predictions: .*{message}"):
        model.fit(X, y).onnx_parser()


def test_weights_on_another_device_and_no_weights() -> None:
    pytest.importorskip("array_api_strict")
    with pytest.raises(NotImplementedError, match=r"the weights are on strict:cpu; call to_device\('cpu'\) before"):
        MLPClassifier(**SMALL, device="strict").fit(X, Y).onnx_parser()
    with pytest.raises(NotFittedError):
        MLPClassifier().onnx_parser()


@pytest.fixture
def skl2onnx() -> Any:
    """skl2onnx with its converters for scikit-learn's estimators registered for ours, as its users do."""
    module = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    from skl2onnx.operator_converters import multilayer_perceptron as converters
    from skl2onnx.shape_calculators import linear_classifier, linear_regressor

    for estimator in (MLPClassifier, MLPRegressor):  # what dlarray.onnx.register_converters has left in this process
        module._parse.sklearn_parsers_map.pop(estimator, None)
    shapes = linear_classifier.calculate_linear_classifier_output_shapes
    options = {"zipmap": [True, False], "output_class_labels": [False, True], "nocl": [True, False]}
    module.update_registered_converter(
        MLPClassifier, "DlarrayMLPClassifier", shapes, converters.convert_sklearn_mlp_classifier, options=options
    )
    shapes = linear_regressor.calculate_linear_regressor_output_shapes
    module.update_registered_converter(
        MLPRegressor, "DlarrayMLPRegressor", shapes, converters.convert_sklearn_mlp_regressor
    )
    return module


@pytest.mark.parametrize("piped", [False, True])
def test_skl2onnx_converts_what_it_knows(skl2onnx: Any, piped: bool) -> None:
    reference = pytest.importorskip("onnx.reference")
    x = X.astype("float32")
    for model, y in CONVERTED:
        fitted = (make_pipeline(StandardScaler(), model) if piped else model).fit(x, y)
        options = {} if isinstance(model, MLPRegressor) else {"zipmap": False}
        graph = skl2onnx.to_onnx(fitted, x[:1], options={id(model): options} if options else None)
        found = reference.ReferenceEvaluator(graph).run(None, {graph.graph.input[0].name: x})
        expected = fitted.predict_proba(x) if options else fitted.predict(x).reshape(-1, 1)
        np.testing.assert_allclose(found[-1], expected, rtol=1e-4, atol=1e-5)


def test_skl2onnx_refuses_what_it_does_not_know(skl2onnx: Any) -> None:
    x = X.astype("float32")
    for model, y, _ in REFUSED:
        with pytest.raises(NotImplementedError, match="would give other predictions"):
            skl2onnx.to_onnx(model.fit(x, y), x[:1])
        with pytest.raises(NotImplementedError, match="would give other predictions"):
            skl2onnx.to_onnx(make_pipeline(StandardScaler(), model).fit(x, y), x[:1])
