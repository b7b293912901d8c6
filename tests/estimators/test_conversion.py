"""Estimators as trained models of dlarray and back, and the activations of hidden layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import dlarray
import dlarray.device as dd
from dlarray.estimators import MLPClassifier, MLPRegressor
from tests.support.estimators import SMALL, classes, numbers
from tests.support.matrix import On

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("without_native"),
]

X, Y = classes()
SEVERAL = np.stack([Y == 0, Y != 1], axis=1).astype(int)
WORDS = np.array(["blue", "green", "red"])[Y]

CLASSIFIERS: list[tuple[dict[str, Any], Any, Any]] = [
    ({}, Y, None),
    ({}, WORDS, ["blue", "green", "red"]),
    ({}, Y > 0, [False, True]),
    ({}, SEVERAL, None),
    ({"hidden_layer_sizes": (6, 5), "activation": ["gelu", "tanh"], "normalization": "batch_norm"}, Y, None),
    ({"normalization": "layer_norm", "dropout": 0.2}, Y, None),
    ({"hidden_layer_sizes": (), "solver": "lbfgs"}, Y, None),
    ({"loss": "hinge"}, Y, [0, 1, 2]),  # one-vs-rest: with classes these are not several labels
    ({"loss": "focal"}, SEVERAL, None),
    ({"loss": dlarray.SparseCategoricalCrossEntropy(0.1)}, Y, None),
    ({"loss": dlarray.BinaryCrossEntropy(pos_weight=2.0)}, Y > 0, [False, True]),
]


@pytest.mark.parametrize(("options", "y", "labels"), CLASSIFIERS)
def test_a_classifier_becomes_a_trained_model_and_comes_back(options: dict[str, Any], y: Any, labels: Any) -> None:
    model = MLPClassifier(**{**SMALL, **options}).fit(X, y)
    trained = model.to_trained()
    outputs = trained.predict(X)
    again = MLPClassifier.from_trained(trained, labels)
    if hasattr(model, "predict_proba"):
        assert hasattr(again, "predict_proba")
        np.testing.assert_allclose(outputs, model.predict_proba(X)[:, -outputs.shape[1] :], rtol=1e-12)
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    else:
        np.testing.assert_array_equal(again.decision_function(X), model.decision_function(X))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.classes_, model.classes_)
    assert again.score(X, y) == model.score(X, y)
    assert again.n_layers_ == model.n_layers_
    assert again.out_activation_ == model.out_activation_
    assert again.loss_curve_ == getattr(model, "loss_curve_", [])
    again.set_params(random_state=0).partial_fit(X, y)
    assert np.abs(again.coefs_[0] - model.coefs_[0]).max() > 0
    np.testing.assert_array_equal(trained.predict(X), outputs)  # of weights of its own


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "poisson"},
        {"loss": "poisson", "output_activation": "softplus"},
        {"loss": "huber", "output_activation": "sigmoid"},
        {"loss": dlarray.Tweedie(1.2)},
        {"normalization": "batch_norm", "dropout": (0.1, 0.2), "hidden_layer_sizes": (6, 5)},
    ],
)
@pytest.mark.parametrize("columns", [1, 2])
def test_a_regressor_becomes_a_trained_model_and_comes_back(options: dict[str, Any], columns: int) -> None:
    x, y = numbers()
    y = np.abs(y[:, 0] if columns == 1 else y)
    model = MLPRegressor(**{**SMALL, **options}).fit(x, y)
    trained = model.to_trained()
    expected = model.predict(x)
    np.testing.assert_allclose(trained.predict(x).reshape(expected.shape), expected, rtol=1e-12)
    again = MLPRegressor.from_trained(trained, warm_start=True, random_state=0)
    np.testing.assert_array_equal(again.predict(x), expected)
    assert isinstance(again.loss, str) == (not options or "normalization" in options or options["loss"] == "poisson")
    before = again.coefs_[0].copy()
    again.set_params(max_iter=1, learning_rate_init=1e-9).fit(x, y)  # goes on from these weights
    assert 0 < np.abs(again.coefs_[0] - before).max() < 1e-6
    assert clone(again).get_params().keys() == again.get_params().keys()


def test_a_model_that_fit_has_trained_is_an_estimator(tmp_path: Path) -> None:
    network = dlarray.MLP(5, [dlarray.Dense(8), "relu", dlarray.Dense(4), dlarray.Dense(3)])
    trained = dlarray.fit(network, X, Y, epochs=3, progress=False)
    model = MLPClassifier.from_trained(trained, random_state=0)
    np.testing.assert_array_equal(model.predict(X), trained.classify(X))
    np.testing.assert_allclose(model.predict_proba(X), trained.predict(X.astype("float32")), rtol=1e-5)
    assert [type(f).__name__ for f in model.activation] == ["ReLU", "Identity"]
    assert model.hidden_layer_sizes == (8, 4)
    assert model.coefs_[0].dtype == "float32"
    assert model.loss_ == trained.history["loss"][-1]
    path = tmp_path / "model"
    model.to_trained().save(path)
    np.testing.assert_array_equal(MLPClassifier.from_trained(dlarray.load(path)).predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("layers", "loss", "message"),
    [
        (["relu", dlarray.Dense(3)], dlarray.CategoricalCrossEntropy(), "begins with Dense and has biases, got ReLU"),
        ([dlarray.Dense(3), "relu", "tanh", dlarray.Dense(3)], dlarray.CategoricalCrossEntropy(), "at most once"),
        ([dlarray.Dense(4), dlarray.Residual([dlarray.Dense(4)]), dlarray.Dense(3)], dlarray.CategoricalCrossEntropy(),
         "after Dense an estimator has a normalization"),
        ([dlarray.Dense(4), dlarray.LayerNorm(), dlarray.Dense(4), dlarray.Dense(3)], dlarray.CategoricalCrossEntropy(),
         "one normalization for all hidden layers"),
        ([dlarray.Dense(3), "softmax"], dlarray.CategoricalCrossEntropy(from_logits=False), "train with from_logits"),
        ([dlarray.Dense(3)], dlarray.Huber(), "trains numbers, not classes: use an MLPRegressor"),
    ],
)  # fmt: skip
def test_networks_that_no_parameters_give_are_refused(layers: list[Any], loss: Any, message: str) -> None:
    network = dlarray.MLP(5, layers)
    theta = network.init()
    trained = dlarray.Trained(network, theta, network.init_buffers(), loss, dlarray.current_device())
    with pytest.raises(ValueError, match=message):
        MLPClassifier.from_trained(trained)


def test_what_from_trained_refuses_besides() -> None:
    trained = MLPClassifier(**SMALL).fit(X, Y).to_trained()
    with pytest.raises(ValueError, match="3 different labels in ascending order.*got \\['b', 'a', 'c'\\]"):
        MLPClassifier.from_trained(trained, ["b", "a", "c"])
    with pytest.raises(ValueError, match="3 different labels"):
        MLPClassifier.from_trained(trained, [0, 1])
    with pytest.raises(ValueError, match="activation cannot be given"):
        MLPClassifier.from_trained(trained, activation="tanh")
    with pytest.raises(ValueError, match="trains classes, not numbers: use an MLPClassifier"):
        MLPRegressor.from_trained(trained)
    with pytest.raises(NotFittedError):
        MLPClassifier().to_trained()


def test_conversion_on_devices(on: On) -> None:
    if on.executor:
        pytest.skip("the estimators choose the executor themselves")
    x = on.array(X)
    model = MLPClassifier(**SMALL, normalization="batch_norm").fit(x, on.array(Y))
    trained = model.to_trained()
    assert trained.device is on.target
    assert dd.device_of(trained.predict(x)) == on.target
    on.close(trained.predict(x), on.numpy(model.predict_proba(x)).astype("float64"))
    again = MLPClassifier.from_trained(trained)
    on.close(again.predict_proba(x), on.numpy(model.predict_proba(x)).astype("float64"))
    hidden = model.hidden_outputs(x, 0)
    assert dd.device_of(hidden) == on.target
    on.close(hidden, on.numpy(again.hidden_outputs(x)).astype("float64"))


def test_the_activations_of_hidden_layers() -> None:
    model = MLPClassifier((6, 4), "tanh", random_state=0, max_iter=3).fit(X, Y)
    first = np.tanh(X @ model.coefs_[0] + model.intercepts_[0])
    second = np.tanh(first @ model.coefs_[1] + model.intercepts_[1])
    for layer, expected in ((0, first), (-2, first), (1, second), (-1, second)):
        np.testing.assert_allclose(model.hidden_outputs(X, layer), expected, rtol=1e-12)
        np.testing.assert_allclose(model.hidden_outputs(sparse.csr_array(X), layer), expected, rtol=1e-12)
    np.testing.assert_array_equal(model.hidden_outputs(X), model.hidden_outputs(X, -1))
    many = np.tile(X, (100, 1))
    np.testing.assert_allclose(model.hidden_outputs(many), np.tile(second, (100, 1)), rtol=1e-12)
    normal = MLPRegressor(
        hidden_layer_sizes=(6, 4), output_activation="sigmoid", normalization="batch_norm", dropout=0.5, max_iter=3
    )
    a = normal.fit(X, Y / 2).hidden_outputs(X)
    assert a.shape == (60, 4)
    assert a.min() == 0  # after the ReLU, without dropout
    np.testing.assert_allclose(1 / (1 + np.exp(-(a @ normal.coefs_[2] + normal.intercepts_[2])))[:, 0],
                               normal.predict(X), rtol=1e-12)  # fmt: skip


def test_layers_that_do_not_exist_are_refused() -> None:
    model = MLPClassifier((6, 4), random_state=0, max_iter=3).fit(X, Y)
    for layer in (2, -3):
        with pytest.raises(ValueError, match=f"number of a hidden layer, from -2 to 1, got {layer}"):
            model.hidden_outputs(X, layer)
    with pytest.raises(TypeError, match="layer must be a whole number, got 0.5"):
        model.hidden_outputs(X, 0.5)
    with pytest.raises(ValueError, match="the network has no hidden layer"):
        MLPClassifier((), max_iter=3).fit(X, Y).hidden_outputs(X)
    with pytest.raises(ValueError, match="is expecting 5 features"):
        model.hidden_outputs(X[:, :4])
    with pytest.raises(NotFittedError):
        MLPClassifier().hidden_outputs(X)


def test_validation_examples_of_partial_fit() -> None:
    model = MLPClassifier(**SMALL)
    for _ in range(3):
        model.partial_fit(X[:40], Y[:40], classes=[0, 1, 2], X_val=X[40:], y_val=Y[40:])
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == len(model.loss_curve_) == 3
    assert model.validation_scores_[-1] == model.score(X[40:], Y[40:])
    p = model.predict_proba(X[40:])[np.arange(20), Y[40:]]
    assert model.validation_loss_curve_[-1] == pytest.approx(-np.log(p).mean())
    x, y = numbers()
    weight = np.arange(60.0)
    number = MLPRegressor(**SMALL).partial_fit(x, y, X_val=x, y_val=y, sample_weight_val=weight)
    assert number.validation_scores_ == [pytest.approx(number.score(x, y, weight))]
    with pytest.raises(ValueError, match="y_val without X_val"):
        number.partial_fit(x, y, y_val=y)


def test_the_labels_that_fit_was_given_are_the_classes() -> None:
    x = np.random.default_rng(0).normal(size=(30, 3))
    words = np.asarray(["cat", "dog", "owl"])[np.arange(30) % 3]
    trained = dlarray.fit(dlarray.mlp(3, 4, 3), x, words, epochs=1, batch_size=30, progress=False)
    model = MLPClassifier.from_trained(trained)
    assert model.classes_.tolist() == ["cat", "dog", "owl"]
    np.testing.assert_array_equal(model.predict(x), trained.predict_labels(x))


def test_names_of_columns_and_labels_go_both_ways() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcde"))
    other = frame[list("edcba")]
    trained = dlarray.fit(dlarray.mlp(5, 8, 3), frame, WORDS, epochs=1, progress=False)
    model = MLPClassifier.from_trained(trained)
    assert list(model.feature_names_in_) == list("abcde")
    np.testing.assert_array_equal(model.predict(frame), trained.predict_labels(frame))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(other)
    back = MLPClassifier(**SMALL).fit(frame, WORDS)
    trained = back.to_trained()
    assert trained.features == tuple("abcde")
    assert trained.classes == ("blue", "green", "red")
    np.testing.assert_array_equal(trained.predict_labels(other), back.predict(frame))
    assert trained.evaluate(other, WORDS)["accuracy"] == pytest.approx(back.score(frame, WORDS))
    again = MLPClassifier.from_trained(trained)
    np.testing.assert_array_equal(again.predict(frame), back.predict(frame))


@pytest.mark.parametrize(
    ("options", "y", "classes"),
    [
        ({}, Y, None),
        ({}, Y + 1, (1, 2, 3)),
        ({}, Y > 0, (False, True)),
        ({}, SEVERAL, None),
        ({"loss": "hinge"}, WORDS, None),
        ({}, np.full(60, "one"), None),
    ],
)
def test_labels_that_a_trained_model_can_hold(options: dict[str, Any], y: Any, classes: Any) -> None:
    assert MLPClassifier(**{**SMALL, **options}).fit(X, y).to_trained().classes == classes


def test_a_regressor_keeps_the_names_of_columns() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcde"))
    trained = MLPRegressor(**SMALL).fit(frame, X[:, 0]).to_trained()
    assert trained.features == tuple("abcde")
    assert list(MLPRegressor.from_trained(trained).feature_names_in_) == list("abcde")
