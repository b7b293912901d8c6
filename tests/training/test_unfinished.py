"""Training that ends before its time, whatever ends it: what is left is the last good model, and true of it."""

from __future__ import annotations

import copy
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.trees import map_arrays
from dlarray.device.errors import OutOfMemoryError
from dlarray.estimators import MLPClassifier, MLPRegressor
from dlarray.training import Callback, Run
from tests.support.matrix import On

pytestmark = pytest.mark.usefixtures("without_numba")

rng = np.random.default_rng(3)
X, Y = rng.normal(size=(12, 3)), rng.normal(size=(12, 1))
MODEL = dl.MLP(3, [dl.Dense(4), dl.BatchNorm(), "tanh", dl.Dense(1)])


def fit(x: Any = X, y: Any = Y, **options: Any) -> dl.Trained:
    own: dict[str, Any] = {"epochs": 5, "batch_size": 4, "progress": False, "device": "cpu", "metrics": []}
    return dl.fit(MODEL, x, y, **(own | options))


class Mine(BaseException):
    """No Exception, and none of the library's."""


class Slots(Exception):
    __slots__ = ("code",)


class Frozen(Exception):
    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("__"):
            raise AttributeError(f"cannot assign to {name!r}")
        super().__setattr__(name, value)


class ReadOnly(Exception):
    @property
    def trained(self) -> str:
        return "its own"


FULL = OSError(28, "No space left on device")
ERRORS: list[Any] = [FULL, SystemExit(3), Mine(), Slots("full"), Frozen(), ValueError()]


def raising(hook: str, error: Any, epoch: int = 3, step: int = 8) -> Callback:
    """A callback that raises at its hook: in this epoch, at this step, or at once."""

    def act(self: Any, run: Run) -> None:
        if {"on_epoch": run.epoch == epoch, "on_step": run.steps == step}.get(hook, True):
            if error is signal.SIGINT:
                signal.raise_signal(error)
            raise error

    return type("Raises", (Callback,), {"abstract": True, hook: act})()


def is_model_after(trained: dl.Trained, epochs: int, **options: Any) -> None:
    """Bit for bit what a run of so many epochs gives, with the history of these."""
    if epochs:
        whole = fit(epochs=epochs, **options)
        assert trained.history == whole.history
        assert [dl.to_numpy(v).tolist() for v in trained.theta] == [dl.to_numpy(v).tolist() for v in whole.theta]
        assert [dl.to_numpy(v).tolist() for v in trained.buffers] == [dl.to_numpy(v).tolist() for v in whole.buffers]
    else:
        assert trained.history == dl.History()
        start = MODEL.init(0, options.get("device", "cpu"), "float32")
        assert [dl.to_numpy(v).tolist() for v in trained.theta] == [dl.to_numpy(v).tolist() for v in start]


# fit


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("hook", "epochs"), [("on_start", 0), ("on_step", 2), ("on_epoch", 3)])
def test_what_a_callback_raises_brings_the_last_good_model(error: Any, hook: str, epochs: int) -> None:
    error = type(error)(*error.args)
    with pytest.raises(type(error)) as caught:
        fit(callbacks=[raising(hook, error)])
    assert caught.value is error
    is_model_after(error.trained, epochs)


def test_the_model_is_told_of_in_a_note() -> None:
    with pytest.raises(OSError, match="space") as caught:
        fit(callbacks=[raising("on_epoch", OSError(*FULL.args))])
    assert caught.value.__notes__ == [".trained of this error holds the model after 3 complete epochs"]


def test_an_error_that_takes_no_attribute_is_raised_all_the_same() -> None:
    with pytest.raises(ReadOnly) as caught:
        fit(callbacks=[raising("on_epoch", ReadOnly())])
    assert caught.value.trained == "its own"
    assert not hasattr(caught.value, "__notes__")


def batches(error: Any) -> Callable[[], Iterator[Any]]:
    passes: list[int] = []

    def make() -> Iterator[Any]:
        passes.append(1)
        for i in range(0, 12, 4):
            if len(passes) == 4 and i == 8:  # the first pass is a look at the first batch
                if error is signal.SIGINT:
                    signal.raise_signal(error)
                raise error
            yield X[i : i + 4], Y[i : i + 4]

    return make


def test_what_an_iterable_raises_brings_the_last_good_model() -> None:
    with pytest.raises(ConnectionError) as caught:
        fit(batches(ConnectionError("gone")), None)
    is_model_after(caught.value.trained, 2, shuffle=False)  # type: ignore[attr-defined]


@pytest.fixture
def each(on: On) -> On:
    """One device of each library."""
    if on.name not in ("numpy-float32", "strict-device1", "torch-float32", "jax-float32", "cuda-float32"):
        pytest.skip("one device of each library is enough")
    return on


@pytest.mark.parametrize("place", ["iterable", "on_step", "on_epoch"])
def test_an_interrupt_on_every_library(each: On, place: str) -> None:
    """On JAX a step consumes its state."""
    looked: list[Any] = []

    class Looks(Callback):
        def on_end(self, run: Run) -> None:
            looked.append(run.trained)

    epochs = 3 if place == "on_epoch" else 2
    given: Any = (batches(signal.SIGINT), None) if place == "iterable" else (X, Y)
    callbacks = [Looks()] if place == "iterable" else [raising(place, signal.SIGINT), Looks()]
    with pytest.raises(dl.Interrupted, match=f"after {epochs} complete epochs") as caught:
        fit(*given, device=each.device, shuffle=False, callbacks=callbacks)
    trained = caught.value.trained
    is_model_after(trained, epochs, device=each.device, shuffle=False)
    assert looked[0].theta is trained.theta
    assert trained.predict(each.array(X)).shape == (12, 1)


def test_memory_that_ends_brings_the_last_good_model() -> None:
    with pytest.raises(OutOfMemoryError) as caught:
        fit(callbacks=[raising("on_epoch", MemoryError("no room"))])
    is_model_after(caught.value.trained, 3)


def test_history_is_true_of_the_model_where_measuring_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metrics of an epoch are there before its model is, for a moment."""
    copies = Run._model
    count = iter(range(100))

    def fails(self: Run, theta: Any, buffers: Any) -> Any:
        if next(count) == 2:
            raise KeyboardInterrupt
        return copies(self, theta, buffers)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_model", fails)
        with pytest.raises(dl.Interrupted) as caught:
            fit()
    is_model_after(caught.value.trained, 2)


def test_every_on_end_is_called_and_the_first_error_counts() -> None:
    ended: list[Any] = []

    class Ends(Callback):
        def on_end(self, run: Run) -> None:
            ended.append(run.error)

    first, second, third = OSError("the first"), ValueError("the second"), Mine("the third")
    with pytest.raises(OSError, match="the first") as caught:
        fit(
            callbacks=[
                raising("on_end", second), Ends(), raising("on_epoch", first), raising("on_end", third), Ends()
            ]
        )  # fmt: skip
    assert ended == [first, first]
    assert caught.value.__notes__ == [
        ".trained of this error holds the model after 3 complete epochs",
        "then Raises.on_end raised ValueError('the second')",
        "then Raises.on_end raised Mine('the third')",
    ]


def test_a_failing_on_end_leaves_the_result_to_the_error() -> None:
    class HandsBack(Callback):
        def on_end(self, run: Run) -> None:
            assert run.error is None  # training has ended well
            run.set_result(tuple(0 * v for v in run.theta))

    with pytest.raises(OSError, match="full") as caught:
        fit(callbacks=[raising("on_end", OSError("full")), HandsBack()])
    trained: dl.Trained = caught.value.trained  # type: ignore[attr-defined]
    assert len(trained.history.epochs) == 5
    assert not np.any(trained.theta[0])
    with pytest.raises(dl.Interrupted) as interrupted:
        fit(callbacks=[raising("on_end", signal.SIGINT)])
    is_model_after(interrupted.value.trained, 5)


def test_the_outer_fit_s_model_goes_with_what_an_inner_one_raises() -> None:
    class Probes(Callback):
        def on_epoch(self, run: Run) -> None:
            dl.fit(dl.mlp(3, 1), 1e9 * X, Y, batch_size=4, optimizer=dl.GradientDescent(1e30), progress=False)

    with pytest.raises(dl.DivergedError) as caught:
        fit(callbacks=[Probes()])
    is_model_after(caught.value.trained, 1)


def test_the_model_before_the_step_that_made_a_nan_is_kept() -> None:
    start = MODEL.init(0, "cpu", "float32")
    with pytest.raises(dl.NonFiniteError) as caught, np.errstate(all="ignore"):
        fit(callbacks=["stop_on_non_finite"], optimizer=dl.GradientDescent(1e38), epochs=2)
    assert caught.value.step > 1
    assert np.isfinite(caught.value.trained.theta[0]).all()
    assert (caught.value.trained.theta[0] != start[0]).any()
    assert caught.value.trained.history == dl.History()


# The estimators


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
