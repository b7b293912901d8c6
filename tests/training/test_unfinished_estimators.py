"""Estimators whose training ends early by an error or an interrupt keep the last whole epoch."""

from __future__ import annotations

import copy
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.trees import map_arrays
from dlarray.estimators import MLPClassifier, MLPRegressor
from tests.support.matrix import On
from tests.training.test_unfinished import X, Y

pytestmark = pytest.mark.usefixtures("without_native")


LABELS = (X[:, 0] > 0).astype(int)
SMALL: dict[str, Any] = {"hidden_layer_sizes": 5, "batch_size": 4, "random_state": 0, "max_iter": 6, "tol": 0}


def estimator(on: On, **options: Any) -> Any:
    return MLPClassifier(**(SMALL | {"device": on.device, "normalization": "batch_norm"} | options))


def says(model: Any) -> Any:
    """All that a fitted estimator is and says of itself, the state of its optimizer included."""
    fitted = {
        name: value for name, value in vars(model).items() if name.endswith("_") or name in ("_others", "_buffers")
    }
    if "_training" in vars(model):
        fitted |= {"state": model._training.state, "rate": model._training.rate.value}
    plain = {
        name: map_arrays(value, lambda x: dl.to_numpy(x).tolist())
        for name, value in fitted.items()
        if not name.startswith("_label")
    }
    return plain | {"answers": model.predict_proba(X).tolist()}


def stops(error: Any, calls: int) -> Callable[[Any], None]:
    """A callback that raises when it is called for the so manieth time."""
    left = iter(range(calls - 1))

    def act(model: Any) -> None:
        if next(left, None) is None:
            if error is signal.SIGINT:
                signal.raise_signal(error)
            raise error

    return act


class StepsOnly:
    """A callback with hooks that raises at a step, which on JAX has consumed the state before it."""

    def __init__(self, error: Any, step: int) -> None:
        self.error, self.step, self.seen_error = error, step, ""

    def on_epoch(self, run: Any) -> None:
        pass

    def on_step(self, run: Any) -> None:
        if run.steps == self.step:
            if self.error is signal.SIGINT:
                signal.raise_signal(self.error)
            raise self.error

    def on_end(self, run: Any) -> None:
        self.seen_error = type(run.error).__name__


ENDS: dict[str, Any] = {"error": OSError("full"), "memory": MemoryError("no room"), "system exit": SystemExit(2)}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("end", ENDS)
def test_a_fit_that_breaks_off_leaves_the_last_whole_epoch(each: On, end: str) -> None:
    at_epoch = estimator(each, callbacks=stops(ENDS[end], 3))
    at_step = estimator(each, callbacks=[spy := StepsOnly(ENDS[end], 11)])
    for model in (at_epoch, at_step):
        with pytest.raises((type(ENDS[end]), MemoryError)):
            model.fit(X, LABELS)
        whole = estimator(each, max_iter=3).fit(X, LABELS)
        assert says(model) == says(whole)
        assert model.n_iter_ == len(model.loss_curve_) == 3
        assert model.t_ == 36
        model.set_params(callbacks=None)
        assert says(model.partial_fit(X, LABELS)) == says(whole.partial_fit(X, LABELS))
    assert spy.seen_error in (type(ENDS[end]).__name__, "OutOfMemoryError")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_interrupted_fit_is_a_warning_after_a_whole_epoch(each: On) -> None:
    model = estimator(each, callbacks=[StepsOnly(signal.SIGINT, 8)])
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        assert model.fit(X, LABELS) is model
    assert says(model) == says(estimator(each, max_iter=2).fit(X, LABELS))
    new = estimator(each, callbacks=[StepsOnly(signal.SIGINT, 2)])
    with pytest.raises(KeyboardInterrupt):
        new.fit(X, LABELS)
    assert not [name for name in vars(new) if name.endswith("_")]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("how", ["cold", "warm", "partial"])
def test_the_earlier_model_is_there_where_no_epoch_was_whole(each: On, how: str) -> None:
    model = estimator(each, warm_start=how == "warm").fit(X, LABELS)
    before = says(model)
    for error in (OSError("full"), signal.SIGINT):
        model.set_params(callbacks=[StepsOnly(error, 2)])
        train = model.partial_fit if how == "partial" else model.fit
        if error is signal.SIGINT and how != "cold":
            with pytest.warns(UserWarning, match="interrupted by user"):
                assert train(X, LABELS) is model
        else:
            with pytest.raises(KeyboardInterrupt if error is signal.SIGINT else OSError):
                train(X, LABELS)
        assert says(model) == before
    model.set_params(callbacks=None)
    never = estimator(each, warm_start=how == "warm").fit(X, LABELS)
    assert says(model.partial_fit(X, LABELS)) == says(never.partial_fit(X, LABELS))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_other_solvers_break_off_alike(solver: str) -> None:
    own = {"solver": solver, "normalization": None, "device": None, "learning_rate": "invscaling"}
    for error in (OSError("full"), signal.SIGINT):
        model = MLPClassifier(**(SMALL | own | {"callbacks": stops(error, 3)}))
        if error is signal.SIGINT:
            with pytest.warns(UserWarning, match="interrupted by user"):
                model.fit(X, LABELS)
        else:
            with pytest.raises(OSError, match="full"):
                model.fit(X, LABELS)
        whole = MLPClassifier(**(SMALL | own | {"max_iter": 3})).fit(X, LABELS)
        assert model.n_iter_ == whole.n_iter_ == 3
        assert model.loss_ == whole.loss_
        assert says(model)["answers"] == says(whole)["answers"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_with_early_stopping_the_best_weights_so_far_are_kept() -> None:
    own: dict[str, Any] = {"early_stopping": True, "validation_fraction": 0.3, "learning_rate_init": 0.05}
    on = On("here", "cpu")
    model = estimator(on, **own, callbacks=stops(OSError("full"), 4))
    with pytest.raises(OSError, match="full"):
        model.fit(X, LABELS)
    assert says(model) == says(estimator(on, **own, max_iter=4).fit(X, LABELS))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_is_refused_leaves_a_fitted_model_as_it_was() -> None:
    numbers = np.random.RandomState(5)
    model = MLPRegressor(hidden_layer_sizes=3, max_iter=2, tol=1e9, random_state=numbers).fit(X, Y[:, 0])
    before, state = model.predict(X).tolist(), numbers.get_state()[1].tolist()
    names = vars(model).keys()
    for x, y in ((X[:, :2], np.full(12, np.nan)), (X[:, :2], Y[:5, 0])):
        with pytest.raises(ValueError, match=r"NaN|inconsistent"):
            model.fit(x, y)
    model.set_params(normalization="batch_norm")
    with pytest.raises(ValueError, match="at least 2 examples"):
        model.fit(X[:1, :2], Y[:1, 0])
    assert model.predict(X).tolist() == before
    assert numbers.get_state()[1].tolist() == state
    assert vars(model).keys() == names


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid", "ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_training_that_diverges_leaves_the_last_finite_weights() -> None:
    on = On("here", "cpu")
    model = estimator(on, normalization=None).fit(X, LABELS)
    before = says(model)
    model.set_params(solver="sgd", learning_rate_init=1e200, activation="identity", hidden_layer_sizes=(5, 5, 5))
    with pytest.raises(ValueError, match="non-finite"):  # in the first epoch
        model.fit(X * 1e200, LABELS)
    assert says(model) == before
    model.set_params(learning_rate_init=1e30, hidden_layer_sizes=5, max_iter=9)
    with pytest.raises(ValueError, match="non-finite"):
        model.fit(X * 1e9, LABELS)
    assert all(np.isfinite(a).all() for a in model.coefs_ + model.intercepts_)
    assert 1 <= model.n_iter_ == len(model.loss_curve_) == model.t_ / 12 < 9


def test_a_callback_s_true_of_numpy_ends_training_too() -> None:
    assert estimator(On("here", "cpu"), callbacks=lambda model: model.loss_ < 1e9).fit(X, LABELS).n_iter_ == 1
    with pytest.warns(match="Maximum iterations"):
        assert estimator(On("here", "cpu"), callbacks=lambda model: 1).fit(X, LABELS).n_iter_ == 6


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_shallow_copy_is_trained_apart(each: On) -> None:
    model = estimator(each).fit(X, LABELS)
    before, other = says(model), copy.copy(model)
    assert says(other) == before
    deep = copy.deepcopy(model)
    assert says(other.partial_fit(X, LABELS)) == says(deep.partial_fit(X, LABELS))
    assert says(model) == before
