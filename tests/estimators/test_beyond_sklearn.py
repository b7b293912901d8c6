"""What the estimators take beyond scikit-learn's: activations, losses, optimizers, dropout, weights of classes."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification

import dlarray
from dlarray.estimators import MLPClassifier, MLPRegressor
from tests.support.estimators import SMALL, classes, numbers

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("without_native"),
]


def test_every_activation_of_dlarray_by_name_object_and_list() -> None:
    x, y = classes()
    fitted = MLPClassifier((6, 5), ["gelu", dlarray.LeakyReLU(0.2)], random_state=0, max_iter=3).fit(x, y)
    assert [f"{f}" for f in fitted._model.layers[1::2]] == [f"{dlarray.GELU()}", f"{dlarray.LeakyReLU(0.2)}"]
    prelu = MLPClassifier(6, "prelu", random_state=0, max_iter=3).fit(x, y)
    assert prelu.predict(x).shape == (60,)
    with pytest.raises(ValueError, match="did you mean 'relu'"):
        MLPClassifier(6, "rellu").fit(x, y)
    with pytest.raises(ValueError, match="one for each of 2, got 1"):
        MLPClassifier((6, 5), ["relu"]).fit(x, y)


LOSSES = ["log_loss", "hinge", "squared_hinge", "focal", "cross_entropy", "sparse_cross_entropy", "kl_divergence"]


@pytest.mark.parametrize("loss", [*LOSSES, dlarray.BinaryCrossEntropy(0.1)])
@pytest.mark.parametrize("task", ["two", "three", "labels"])
def test_losses_of_classes(loss: Any, task: str) -> None:
    x, y = classes(120)
    if task == "two":
        y = np.where(y == 1, "yes", "no")
    if task == "labels":
        y = np.stack([y == 0, y != 1], axis=1).astype(int)
        if loss in ("cross_entropy", "sparse_cross_entropy", "kl_divergence"):
            with pytest.raises(ValueError, match="y has several labels"):
                MLPClassifier(loss=loss).fit(x, y)
            return
    model = MLPClassifier(20, loss=loss, random_state=0, max_iter=60, learning_rate_init=0.02).fit(x, y)
    assert model.score(x, y) > 0.8
    assert hasattr(model, "predict_proba") == (loss not in ("hinge", "squared_hinge"))
    assert hasattr(model, "decision_function") != hasattr(model, "predict_proba")
    if hasattr(model, "decision_function"):
        scores = model.decision_function(x)
        assert scores.shape == ((120,) if task == "two" else (120, len(model.classes_)))
    else:
        p = model.predict_proba(x)
        assert p.shape == (120, {"two": 2, "three": 3, "labels": 2}[task])
        np.testing.assert_allclose(np.exp(model.predict_log_proba(x)), p, rtol=1e-12)


@pytest.mark.parametrize("loss", ["huber", "absolute_error", "log_cosh", dlarray.Huber(delta=0.5)])
def test_losses_of_numbers(loss: Any) -> None:
    x, y = numbers(100)
    y[::10] += 50  # outliers
    robust = MLPRegressor(loss, 20, random_state=0, max_iter=150, learning_rate_init=0.02).fit(x, y)
    plain = MLPRegressor("squared_error", 20, random_state=0, max_iter=150, learning_rate_init=0.02).fit(x, y)
    kept = np.arange(100) % 10 != 0
    away = [np.abs(m.predict(x[kept]) - y[kept]).mean() for m in (robust, plain)]
    assert away[0] < away[1]


def test_a_loss_of_the_other_kind_is_refused() -> None:
    x, y = classes()
    with pytest.raises(ValueError, match="loss for numbers, not for classes"):
        MLPClassifier(loss="huber").fit(x, y)
    with pytest.raises(ValueError, match="loss for classes, not for numbers"):
        MLPRegressor("focal").fit(x, y)
    with pytest.raises(ValueError, match="did you mean 'huber'.*squared_error"):
        MLPRegressor("hubber").fit(x, y)


OPTIMIZERS = [
    "adamw",
    "rmsprop",
    dlarray.Lion(0.003),
    dlarray.Momentum(dlarray.CosineDecay(0.1, 50)),
    dlarray.Clipped(dlarray.Adam(0.02), dlarray.clip_by_global_norm, 1.0),
]


@pytest.mark.parametrize("solver", OPTIMIZERS)
def test_optimizers_of_dlarray(solver: Any) -> None:
    x, y = classes(150)
    model = MLPClassifier(20, solver=solver, learning_rate_init=0.01, random_state=0, max_iter=60).fit(x, y)
    assert model.score(x, y) > 0.65
    assert model.loss_curve_[-1] < 0.8 * model.loss_curve_[0]


def test_an_optimizer_is_what_fit_would_do_with_it() -> None:
    """The same training by dlarray.fit: batch descent from the same weights, without a penalty."""
    x, y = classes()
    model = MLPClassifier(6, "tanh", solver=dlarray.NAdam(0.01), alpha=0, random_state=0, max_iter=1, batch_size=60)
    start = clone(model).set_params(solver=dlarray.GradientDescent(1e-300)).fit(x, y)
    network = dlarray.mlp(5, 6, 3, activation="tanh")
    theta = network.layout.join({"0.W": start.coefs_[0], "0.b": start.intercepts_[0], "2.W": start.coefs_[1],
                                 "2.b": start.intercepts_[1]})  # fmt: skip
    trained = dlarray.fit(network, x, y, theta=theta, optimizer=dlarray.NAdam(0.01), epochs=7, batch_size=None,
                          dtype="float64", progress=False)  # fmt: skip
    model.set_params(max_iter=7).fit(x, y)
    np.testing.assert_allclose(model.coefs_[0], trained.parameters["0.W"], rtol=1e-10)
    np.testing.assert_allclose(model.loss_curve_, trained.history["loss"], rtol=1e-12)
    np.testing.assert_allclose(model.predict_proba(x), trained.predict(x), rtol=1e-10)


def test_a_schedule_as_learning_rate() -> None:
    x, y = classes()
    own = {**SMALL, "activation": "tanh"}
    for solver in ("adam", "sgd"):
        plain = MLPClassifier(**own, solver=solver, learning_rate_init=0.02).fit(x, y)
        same = MLPClassifier(**own, solver=solver, learning_rate=dlarray.ConstantRate(0.02)).fit(x, y)
        np.testing.assert_allclose(plain.coefs_[0], same.coefs_[0], rtol=1e-12)
        falling = MLPClassifier(**own, solver=solver, learning_rate=dlarray.StepDecay(0.02, 3)).fit(x, y)
        assert np.abs(falling.coefs_[0] - plain.coefs_[0]).max() > 1e-4


def test_the_rate_lies_inside_the_velocity_under_a_schedule_too() -> None:
    from dlarray.estimators.descent import RateInVelocity

    schedule = dlarray.StepDecay(0.5, 1, 0.5)
    optimizer = RateInVelocity(dlarray.Nesterov(1.0, 0.9), schedule)
    theta, velocity, expected = np.ones(3), np.zeros(3), np.ones(3)
    state = optimizer.init(theta)
    for t in range(5):
        theta, state = optimizer.step(theta, 2 * theta, state)
        velocity = 0.9 * velocity - 0.5**t * 0.5 * 2 * expected
        expected = expected + 0.9 * velocity - 0.5**t * 0.5 * 2 * expected
    np.testing.assert_allclose(theta, expected, rtol=1e-12)


def test_class_weight() -> None:
    x, y = make_classification(300, 4, weights=[0.9], random_state=0, class_sep=0.4)
    own = {"hidden_layer_sizes": 8, "random_state": 0, "max_iter": 40, "learning_rate_init": 0.01}
    plain = MLPClassifier(**own).fit(x, y)
    balanced = MLPClassifier(**own, class_weight="balanced").fit(x, y)
    rare = y == 1
    assert balanced.score(x[rare], y[rare]) > plain.score(x[rare], y[rare]) + 0.2
    by_hand = MLPClassifier(**own).fit(x, y, np.where(rare, 3.0, 1.0))
    by_label = MLPClassifier(**own, class_weight={0: 1, 1: 3}).fit(x, y)
    np.testing.assert_array_equal(by_label.coefs_[0], by_hand.coefs_[0])
    with pytest.raises(ValueError, match="give a dictionary"):
        balanced.partial_fit(x, y)


def test_dropout_and_norms() -> None:
    x, y = classes(200)
    for norm in ("batch_norm", "layer_norm", "rms_norm", dlarray.BatchNorm(momentum=0.3)):
        own = {"hidden_layer_sizes": (20, 10), "normalization": norm, "dropout": (0.1, 0.2), "learning_rate_init": 0.01}
        model = MLPClassifier(**own, random_state=0, max_iter=40).fit(x, y)
        assert model.score(x, y) > 0.8
        np.testing.assert_array_equal(model.predict(x), pickle.loads(pickle.dumps(model)).predict(x))
        again = MLPClassifier(**own, random_state=0, max_iter=40).fit(x, y)
        np.testing.assert_array_equal(model.coefs_[0], again.coefs_[0])
    with pytest.raises(ValueError, match="no dropout, no batch_norm"):
        MLPClassifier(6, solver="lbfgs", dropout=0.1).fit(x, y)
    with pytest.raises(ValueError, match="did you mean 'batch_norm'"):
        MLPClassifier(6, normalization="batchnorms").fit(x, y)
    with pytest.raises(ValueError, match="normalization must be"):
        MLPClassifier(6, normalization="relu").fit(x, y)
    x, y = classes(41)  # a last batch of one example, of which there are no statistics, joins the one before
    MLPClassifier(6, normalization="batch_norm", batch_size=20, max_iter=2).fit(x, y)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("hidden_layer_sizes", (5, 0), "hidden_layer_sizes must be at least 1"),
        ("alpha", -1, "alpha must be at least 0"),
        ("batch_size", "all", "batch_size must be a whole number or 'auto'"),
        ("learning_rate", "inverse_scaling", "did you mean 'invscaling'"),
        ("learning_rate_init", 0, "learning_rate_init must be above 0"),
        ("max_iter", 0, "max_iter must be at least 1"),
        ("momentum", 1.5, "momentum must lie in"),
        ("solver", "adamm", "did you mean 'adam'"),
        ("beta_2", 1, "beta_2 must lie in"),
        ("shuffle", "yes", "shuffle must be True or False"),
        ("callbacks", [3], "callbacks must be names"),
        ("dropout", 1.0, "rate must lie in"),
    ],
)
def test_bad_parameters_are_refused_with_a_remedy(name: str, value: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        MLPClassifier(**{"max_iter": 2, name: value}).fit(*classes())


def test_examples_that_the_user_has_set_apart() -> None:
    x, y = classes(120)
    own = {**SMALL, "max_iter": 30, "learning_rate_init": 0.02}
    seen = {"X_val": x[80:], "y_val": y[80:]}
    plain = MLPClassifier(**own).fit(x[:80], y[:80])
    watched = MLPClassifier(**own).fit(x[:80], y[:80], **seen)
    np.testing.assert_array_equal(plain.coefs_[0], watched.coefs_[0])
    assert len(watched.validation_scores_) == len(watched.validation_loss_curve_) == watched.n_iter_
    assert watched.validation_scores_[-1] == watched.score(x[80:], y[80:])
    p = watched.predict_proba(x[80:])[np.arange(40), y[80:]]
    assert watched.validation_loss_curve_[-1] == pytest.approx(-np.log(p).mean())
    stopped = MLPClassifier(**own, early_stopping=True, n_iter_no_change=2).fit(x[:80], y[:80], **seen)
    assert stopped.best_validation_score_ == stopped.score(x[80:], y[80:])
    weighed = MLPRegressor(**own).fit(
        *numbers(), X_val=numbers()[0], y_val=numbers()[1], sample_weight_val=np.arange(60)
    )
    assert weighed.validation_scores_[-1] == pytest.approx(weighed.score(*numbers(), np.arange(60)))
    with pytest.raises(ValueError, match="classes not in"):
        MLPClassifier(**own).fit(x[:80], y[:80] % 2, **seen)


@pytest.mark.parametrize("loss", ["gaussian_nll", dlarray.GaussianNLL()])
def test_a_loss_that_needs_two_outputs_for_a_target_is_refused(loss: Any) -> None:
    x = np.zeros((20, 3))
    with pytest.raises(ValueError, match=r"an estimator has one: train with dlarray\.fit"):
        MLPRegressor(loss).fit(x, x[:, 0])


def test_a_later_fit_keeps_the_weights_of_the_best_score() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(120, 6))
    y = (x[:, 0] + draw.normal(size=120) > 0).astype(int)
    model = MLPClassifier(
        (8,), early_stopping=True, warm_start=True, max_iter=30, n_iter_no_change=30, learning_rate_init=0.05,
        random_state=0,
    )  # fmt: skip
    first = model.fit(x, y).coefs_[0].copy()
    best = model.best_validation_score_
    model.fit(x, y)
    assert model.best_validation_score_ == best
    np.testing.assert_array_equal(model.coefs_[0], first)
