"""What the estimators do beyond scikit-learn's, and how they live among its tools."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits, make_circles, make_classification, make_moons, make_regression
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dlarray
import dlarray.device as dd
from dlarray.callbacks import CSVLog, EarlyStopping, ReduceLROnPlateau
from dlarray.estimators import MLPClassifier, MLPRegressor
from tests.support.matrix import On
from tests.support.process import python

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("without_numba"),
]


def classes(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    x, y = make_classification(n, 5, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
    return x, y


def numbers(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    x, y = make_regression(n, 4, n_targets=2, random_state=0)
    return x, y / 100


SMALL: dict[str, Any] = {"hidden_layer_sizes": 6, "random_state": 1, "max_iter": 4, "batch_size": 25}


# Devices and arrays of other libraries


@pytest.fixture
def each(on: On) -> On:
    """A device on its own: read-only inputs and planners are NumPy's, and the estimators find these themselves."""
    if on.executor:
        pytest.skip("the estimators choose the executor themselves")
    return on


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_arrays_of_a_device_are_trained_on_and_answered_there(each: On, solver: str) -> None:
    x, y = classes()
    own = {
        **SMALL,
        "solver": solver,
        "activation": "tanh",
        "early_stopping": solver == "adam" and each.name != "jax-float32",  # it compiles each operation
        "validation_fraction": 0.2,
    }
    there = MLPClassifier(**own).fit(each.array(x), each.array(y))
    here = MLPClassifier(**own).fit(each.host(x), y)
    rtol = 1e-9 if each.dtype == "float64" else 2e-4
    for a, b in zip(there.coefs_ + there.intercepts_, here.coefs_ + here.intercepts_, strict=True):
        assert dd.device_of(a) == each.target
        np.testing.assert_allclose(each.numpy(a), b, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(there.loss_, here.loss_, rtol=rtol)
    answers = there.predict(each.array(x)), there.predict_proba(each.array(x)), there.predict_log_proba(each.array(x))
    assert all(dd.device_of(a) == each.target for a in answers)
    np.testing.assert_array_equal(each.numpy(answers[0]), here.predict(each.host(x)))
    np.testing.assert_allclose(each.numpy(answers[1]), here.predict_proba(each.host(x)), rtol=rtol, atol=rtol)
    assert there.score(each.array(x), each.array(y)) == pytest.approx(here.score(each.host(x), y))


def test_host_arrays_are_trained_on_a_device_and_answered_on_the_host(each: On) -> None:
    x, y = numbers()
    own = {**SMALL, "activation": "tanh"}
    there = MLPRegressor(**own, device=each.device).fit(each.host(x), y)
    here = MLPRegressor(**own).fit(each.host(x), y)
    assert dd.device_of(there.coefs_[0]) == each.target
    rtol = 1e-9 if each.dtype == "float64" else 2e-4
    answer = there.predict(each.host(x))
    assert type(answer) is np.ndarray
    np.testing.assert_allclose(answer, here.predict(each.host(x)), rtol=rtol, atol=rtol)


def test_a_model_moves_in_memory_and_in_a_file(each: On) -> None:
    x, y = classes()
    there = MLPClassifier(**SMALL).fit(each.array(x), each.array(y))
    expected = each.numpy(there.predict(each.array(x)))
    again = pickle.loads(pickle.dumps(there))
    assert dd.device_of(again.coefs_[0]) == each.target
    np.testing.assert_array_equal(each.numpy(again.predict(each.array(x))), expected)
    moved = copy.deepcopy(there).to_device("cpu")
    np.testing.assert_array_equal(moved.predict(each.host(x)), expected)
    again.partial_fit(each.array(x), each.array(y))
    there.partial_fit(each.array(x), each.array(y))
    moved.partial_fit(each.host(x), y)
    for a, b, c in zip(again.coefs_, there.coefs_, moved.coefs_, strict=True):
        np.testing.assert_array_equal(each.numpy(a), each.numpy(b))
        np.testing.assert_allclose(c, each.numpy(b), rtol=1e-4, atol=1e-5)


def test_a_file_from_a_device_that_is_missing_is_read_on_the_cpu_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("array_api_strict")
    x, y = classes()
    model = MLPClassifier(**SMALL, device="strict").fit(x, y)
    data = pickle.dumps(model)

    def missing(name: str) -> Any:
        raise dd.DeviceError(f"{name} is not here")

    monkeypatch.setattr("dlarray.estimators.storage.resolve", missing)
    with pytest.warns(UserWarning, match=r"was fitted on strict:cpu, which cannot be used here.*to_device"):
        again = pickle.loads(data)
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert type(again.coefs_[0]) is np.ndarray


def test_scikit_learn_s_own_mover_moves_it() -> None:
    pytest.importorskip("torch")
    from sklearn.utils._array_api import move_estimator_to

    x, y = classes()
    on = dd.resolve("torch")
    model = MLPClassifier(**SMALL, normalization="layer_norm").fit(on.asarray(x), on.asarray(y))
    with sklearn.config_context(array_api_dispatch=True):
        moved = move_estimator_to(model, np, "cpu")
        answer = moved.predict(x)
    np.testing.assert_array_equal(answer, dd.to_numpy(model.predict(on.asarray(x))))


def test_another_device_than_the_model_s_is_refused() -> None:
    pytest.importorskip("array_api_strict")
    x, y = classes()
    model = MLPClassifier(**SMALL).fit(x, y)
    with pytest.raises(ValueError, match=r"MLPClassifier\.predict\(\) must use the same namespace.*to_device"):
        model.predict(dd.asarray(x, "strict"))
    with pytest.raises(dd.DeviceError, match="unknown device"):
        MLPClassifier(**SMALL, device="cudda").fit(x, y)
    with pytest.raises(NotFittedError):
        MLPClassifier().to_device("cpu")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros(3), "2D array"),
        (np.zeros((0, 3)), "0 sample"),
        (np.full((3, 3), np.nan), "NaN"),
        (np.zeros((3, 4)), "is expecting 5 features"),
    ],
)
def test_foreign_arrays_are_checked(bad: np.ndarray, message: str) -> None:
    pytest.importorskip("array_api_strict")
    x, y = classes()
    model = MLPClassifier(**SMALL).fit(dd.asarray(x, "strict"), y)
    with pytest.raises(ValueError, match=message):
        model.predict(dd.asarray(bad, "strict"))


# Sparse inputs


def test_sparse_inputs_stay_sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    """A matrix that would fill the memory many times over, if anything made it dense."""
    rng = np.random.default_rng(0)
    x = sparse.random_array((300, 200_000), density=1e-4, format="csr", rng=rng)
    y = (x[:, :100_000].sum(axis=1) > x[:, 100_000:].sum(axis=1)).astype(int)
    plain = sparse.csr_array.toarray

    def small(matrix: Any, *args: Any, **options: Any) -> np.ndarray:
        assert matrix.shape[1] < 10, f"a matrix of shape {matrix.shape} was made dense"
        return plain(matrix, *args, **options)

    for kind in (sparse.csr_array, sparse.csr_matrix, sparse.csc_array):
        monkeypatch.setattr(kind, "toarray", small)
    with pytest.raises(AssertionError, match="made dense"):
        x.toarray()
    model = MLPClassifier(4, max_iter=3, batch_size=100, early_stopping=True, random_state=0).fit(x, y)
    assert model.predict_proba(x).shape == (300, 2)
    model.set_params(early_stopping=False).partial_fit(x, y)


@pytest.mark.parametrize("normalization", [None, "batch_norm", "layer_norm"])
@pytest.mark.parametrize("hidden", [(), (6,), (6, 5)])
def test_sparse_and_dense_inputs_give_the_same(hidden: tuple[int, ...], normalization: str | None) -> None:
    x, y = classes()
    x = np.where(np.abs(x) > 0.8, x, 0.0)
    own = {**SMALL, "hidden_layer_sizes": hidden, "normalization": normalization, "dropout": 0.3, "activation": "tanh"}
    dense, thin = MLPClassifier(**own).fit(x, y), MLPClassifier(**own).fit(sparse.csr_array(x), y)
    for a, b in zip(dense.coefs_ + dense.intercepts_, thin.coefs_ + thin.intercepts_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(dense.predict_proba(x), thin.predict_proba(sparse.csc_matrix(x)), rtol=1e-10)


def test_a_device_without_sparse_matrices_says_so() -> None:
    pytest.importorskip("array_api_strict")
    x, y = classes()
    with pytest.raises(TypeError, match=r"strict has no sparse matrices here: use the device cpu or cuda"):
        MLPClassifier(**SMALL, device="strict").fit(sparse.csr_array(x), y)


# More of everything


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
        ("callbacks", [3], "callbacks must be functions"),
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


# Callbacks


def test_functions_are_called_after_each_epoch_and_may_stop() -> None:
    seen: list[tuple[int, float]] = []

    def watch(model: MLPClassifier) -> bool:
        seen.append((model.n_iter_, model.score(*classes())))
        return len(seen) == 3

    model = MLPClassifier(6, random_state=0, max_iter=50, callbacks=watch).fit(*classes())
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert model.n_iter_ == 3
    assert seen[-1][1] == model.score(*classes())


class Patience:
    """A callback with hooks: it stops, and gives the best weights back."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_start(self, run: Any) -> None:
        run.memory(self)["best"] = np.inf
        self.seen.append((run.names, run.epochs, run.steps))

    def on_step(self, run: Any) -> None:
        self.seen.append(run.steps)

    def on_epoch(self, run: Any) -> None:
        mine, value = run.memory(self), run.metrics["validation_loss"]
        if value < mine["best"]:
            mine |= {"best": value, "theta": run.trained.theta, "epoch": run.epoch}
        if run.epoch == 8:
            run.stop("eight are enough")

    def on_end(self, run: Any) -> None:
        run.set_result(run.memory(self)["theta"])
        self.seen.append((run.stopped, run.memory(self)["epoch"], run.rate))


def test_callbacks_with_the_hooks_of_fit() -> None:
    x, y = classes(120)
    callback = Patience()
    own = {**SMALL, "max_iter": 30, "batch_size": 40, "learning_rate_init": 0.3, "callbacks": [callback]}
    model = MLPClassifier(**own).fit(x[:80], y[:80], X_val=x[80:], y_val=y[80:])
    assert callback.seen[0] == (("loss", "validation_loss", "validation_score"), 30, 0)
    assert callback.seen[1:-1] == list(range(1, 17))
    stopped, best, rate = callback.seen[-1]
    assert (stopped, rate, model.n_iter_) == ("eight are enough", 0.3, 8)
    assert best < 8
    assert model.score(x[80:], y[80:]) == model.validation_scores_[best - 1]
    with pytest.raises(ValueError, match="lbfgs calls no callbacks with hooks"):
        MLPClassifier(**{**own, "solver": "lbfgs"}).fit(x, y)


def test_callbacks_of_dlarray(tmp_path: Path) -> None:
    x, y = classes(120)
    own = {**SMALL, "max_iter": 60, "learning_rate_init": 0.2}
    seen = {"X_val": x[80:], "y_val": y[80:]}
    stop, log = EarlyStopping(patience=3), CSVLog(tmp_path / "log.csv")
    model = MLPClassifier(**own, callbacks=[stop, log]).fit(x[:80], y[:80], **seen)
    losses = model.validation_loss_curve_
    assert model.n_iter_ == int(np.argmin(losses)) + 4 < 60
    p = model.predict_proba(x[80:])[np.arange(40), y[80:]]
    assert min(losses) == pytest.approx(-np.log(p).mean())  # the best weights are back
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == "epoch,step,seconds,rate,loss,validation_loss,validation_score"
    assert len(lines) == model.n_iter_ + 1
    with pytest.raises(TypeError, match="learning_rate='adaptive' or a schedule"):
        MLPClassifier(**own, callbacks=ReduceLROnPlateau()).fit(x, y)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_of_scikit_learn(solver: str) -> None:
    from sklearn.callback import ScoringMonitor

    x, y = classes()
    monitor = ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(**{**SMALL, "solver": solver}, learning_rate_init=0.05).set_callbacks(monitor).fit(x, y)
    log = monitor.get_logs()
    rows = [row for row in log.data if row["task_name"] == "epoch"]
    assert len(rows) == model.n_iter_ == 4
    assert rows[-1]["accuracy"] == model.score(x, y)
    assert len({row["accuracy"] for row in rows}) > 1

    class Count:
        begun = ended = 0

        def setup(self, estimator: Any, context: Any) -> None: ...
        def teardown(self, estimator: Any, context: Any) -> None: ...
        def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
            self.begun += 1

        def on_fit_task_end(self, estimator: Any, context: Any) -> None:
            self.ended += 1

    early = {"tol": 0.9, "n_iter_no_change": 1, "max_iter": 50}
    model = MLPClassifier(**{**SMALL, "solver": solver, **early}).set_callbacks(count := Count()).fit(x, y)
    assert model.n_iter_ < 50
    assert count.begun == count.ended >= model.n_iter_ + 1

    class Stop:
        def setup(self, estimator: Any, context: Any) -> None: ...
        def teardown(self, estimator: Any, context: Any) -> None: ...
        def on_fit_task_begin(self, estimator: Any, context: Any) -> None: ...
        def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any = None) -> bool:
            return context.task_name == "epoch" and context.task_id == 1

    model = MLPClassifier(**{**SMALL, "solver": solver}).set_callbacks(Stop()).fit(x, y)
    assert model.n_iter_ == 2


# Among scikit-learn's tools


def test_pipelines_searches_and_clones() -> None:
    x, y = classes(90)
    pipe = make_pipeline(StandardScaler(), MLPClassifier(random_state=0, max_iter=15))
    grid = {"mlpclassifier__hidden_layer_sizes": [(4,), (8, 4)], "mlpclassifier__solver": ["adam", "lbfgs"]}
    found = GridSearchCV(pipe, grid, cv=2, n_jobs=2).fit(x, y)
    here = GridSearchCV(pipe, grid, cv=2).fit(x, y)
    np.testing.assert_array_equal(found.cv_results_["mean_test_score"], here.cv_results_["mean_test_score"])
    assert cross_val_score(found.best_estimator_, x, y, cv=2).shape == (2,)
    model = MLPClassifier(activation=dlarray.Tanh(), solver=dlarray.Adam(0.01))
    assert repr(clone(model)) == repr(model)
    assert clone(model).get_params()["solver"] == dlarray.Adam(0.01)


def test_threads_train_side_by_side() -> None:
    from joblib import parallel_config

    x, y = classes(90)
    grid = {"random_state": [0, 1, 2, 3]}
    with parallel_config(backend="threading"):
        found = GridSearchCV(MLPClassifier(6, max_iter=10), grid, cv=2, n_jobs=2).fit(x, y)
    here = GridSearchCV(MLPClassifier(6, max_iter=10), grid, cv=2).fit(x, y)
    np.testing.assert_array_equal(found.cv_results_["mean_test_score"], here.cv_results_["mean_test_score"])


def test_weights_that_a_user_puts_in_are_used_and_trained_on() -> None:
    x, y = classes()
    model = MLPClassifier(**SMALL).fit(x, y)
    other = MLPClassifier(**{**SMALL, "random_state": 9}).fit(x, y)
    model.coefs_ = [w.copy() for w in other.coefs_]
    model.intercepts_ = [b.copy() for b in other.intercepts_]
    np.testing.assert_array_equal(model.predict_proba(x), other.predict_proba(x))
    model.coefs_[0][:] = 0
    assert np.ptp(model.predict_proba(x), axis=0).max() < 1e-12
    before = model.coefs_[1].copy()
    model.partial_fit(x, y)
    assert 0 < np.abs(model.coefs_[1] - before).max() < 0.05


def test_going_on_after_a_file_is_going_on() -> None:
    x, y = classes()
    straight = MLPClassifier(**SMALL, solver="sgd", learning_rate="invscaling")
    halved = clone(straight)
    for _ in range(3):
        straight.partial_fit(x, y, classes=[0, 1, 2])
        halved = pickle.loads(pickle.dumps(halved.partial_fit(x, y, classes=[0, 1, 2])))
    np.testing.assert_array_equal(straight.coefs_[0], halved.coefs_[0])
    np.testing.assert_allclose(straight.loss_curve_, halved.loss_curve_, rtol=1e-14)


def test_a_warm_start_of_another_network_is_refused() -> None:
    x, y = classes()
    model = MLPClassifier(**SMALL, warm_start=True).fit(x, y)
    with pytest.raises(ValueError, match="the network cannot change between two trainings"):
        model.set_params(hidden_layer_sizes=7).fit(x, y)
    with pytest.raises(ValueError, match="same classes as in the previous call"):
        MLPClassifier(**SMALL, warm_start=True).fit(x, y).fit(x[y > 0], y[y > 0])


def test_labels_of_words_and_foreign_inputs() -> None:
    pytest.importorskip("array_api_strict")
    x, y = classes()
    words = np.array(["red", "green", "blue"])[y]
    model = MLPClassifier(**SMALL).fit(dd.asarray(x, "strict"), words)
    assert set(model.predict(dd.asarray(x, "strict"))) <= {"red", "green", "blue"}


def test_without_scikit_learn_there_is_a_hint() -> None:
    code = """
import sys
sys.modules["sklearn"] = None
try:
    import dlarray.estimators
except ImportError as error:
    print(error)
"""
    assert python(code) == 'the estimators need scikit-learn 1.9 or newer: pip install "dlarray[sklearn]"'


# scikit-learn's own examples, with the import line changed


def test_training_curves_of_the_gallery() -> None:
    """After plot_mlp_training_curves: solvers and schedules on toy sets, their curves and scores."""
    settings = [
        {"solver": "sgd", "learning_rate": "constant", "momentum": 0, "learning_rate_init": 0.2},
        {"solver": "sgd", "learning_rate": "constant", "momentum": 0.9, "nesterovs_momentum": False},
        {"solver": "sgd", "learning_rate": "invscaling", "momentum": 0.9, "nesterovs_momentum": True},
        {"solver": "adam", "learning_rate_init": 0.01},
    ]
    x, y = load_digits(return_X_y=True)
    sets = [
        (x[:300] / 16, y[:300]),
        make_circles(noise=0.2, factor=0.5, random_state=1),
        make_moons(noise=0.3, random_state=0),
    ]
    for x, y in sets:
        fitted = [MLPClassifier(random_state=0, max_iter=20, **own).fit(x, y) for own in settings]
        for model in fitted:
            assert model.loss_ == model.loss_curve_[-1]
            assert 0 <= model.score(x, y) <= 1
        assert min(model.loss_ for model in fitted) < 0.8


def test_varying_regularization_of_the_gallery() -> None:
    """After plot_mlp_alpha: the larger alpha, the smoother the border."""
    x, y = make_moons(noise=0.3, random_state=0)
    sizes = []
    for alpha in np.logspace(-1, 1, 3):
        model = make_pipeline(
            StandardScaler(),
            MLPClassifier(solver="lbfgs", alpha=alpha, random_state=1, max_iter=300, early_stopping=True,
                          hidden_layer_sizes=[10, 10]),
        ).fit(x, y)  # fmt: skip
        xx, yy = np.meshgrid(np.arange(-2, 2, 0.4), np.arange(-2, 2, 0.4))
        z = model.predict_proba(np.column_stack([xx.ravel(), yy.ravel()]))[:, 1].reshape(xx.shape)
        assert z.shape == xx.shape
        sizes.append(np.abs(np.diff(z, axis=1)).max())
    assert sizes[0] > sizes[1] > sizes[2]


def test_first_layer_weights_of_the_gallery(capsys: pytest.CaptureFixture[str]) -> None:
    """After plot_mnist_filters, on the digits: the first layer's weights as pictures."""
    x, y = load_digits(return_X_y=True)
    mlp = MLPClassifier(hidden_layer_sizes=(40,), max_iter=8, alpha=1e-4, solver="sgd", verbose=10, random_state=1,
                        learning_rate_init=0.2)  # fmt: skip
    mlp.fit(x[:1200] / 16, y[:1200])
    assert capsys.readouterr().out.startswith("Iteration 1, loss = ")
    assert mlp.score(x[1200:] / 16, y[1200:]) > 0.85
    vmin, vmax = mlp.coefs_[0].min(), mlp.coefs_[0].max()
    for coef in mlp.coefs_[0].T[:16]:
        picture = coef.ravel().reshape(8, 8)
        assert vmin <= picture.min() <= picture.max() <= vmax
    assert accuracy_score(y[:9], mlp.predict(x[:9] / 16)) > 0.5
