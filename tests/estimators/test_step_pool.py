"""Compiled steps that are kept for the next training: the same numbers as without, and no data kept alive."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import threading
import warnings
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn import neural_network
from sklearn.base import clone

import dlarray
from dlarray.estimators import MLPClassifier, MLPRegressor, step_pool
from dlarray.estimators.descent import Descent
from dlarray.estimators.epoch_loop import EpochLoop
from dlarray.estimators.step_pool import Runner, configuration, pool
from tests.support.threads import at_once

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True, params=["ufuncs", "native"])
def empty_pool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "ufuncs":
        monkeypatch.setattr("dlarray.planner.native.executor.available", lambda: False)
    else:
        pytest.importorskip("llvmlite")
    pool.clear()
    yield
    pool.clear()


def data(n: int = 70, seed: int = 0, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((n, 4)).astype(dtype)
    return x, (x[:, 0] > 0).astype(int) + (x[:, 1] > 0.5)


def classifier(**settings: Any) -> MLPClassifier:
    return MLPClassifier(**{"hidden_layer_sizes": 5, "random_state": 0, "max_iter": 4, "batch_size": 20, **settings})


def numbers(model: Any) -> list[np.ndarray]:
    return [*model.coefs_, *model.intercepts_, np.asarray(model.loss_curve_)]


def same(a: Any, b: Any) -> None:
    for one, other in zip(numbers(a), numbers(b), strict=True):
        np.testing.assert_array_equal(one, other)


SETTINGS: list[dict[str, Any]] = [
    {"alpha": 0.5},
    {"learning_rate_init": 0.02},
    {"beta_1": 0.5},
    {"epsilon": 1e-3},
    {"hidden_layer_sizes": 6},
    {"hidden_layer_sizes": (5, 5)},
    {"activation": "tanh"},
    {"activation": dlarray.LeakyReLU(0.1)},
    {"activation": dlarray.LeakyReLU(0.2)},
    {"loss": "hinge"},
    {"loss": dlarray.CategoricalCrossEntropy(label_smoothing=0.1)},
    {"loss": dlarray.CategoricalCrossEntropy(label_smoothing=0.2)},
    {"dropout": 0.2},
    {"dropout": 0.4},
    {"normalization": "layer_norm"},
    {"normalization": "batch_norm"},
    {"solver": "sgd"},
    {"solver": "sgd", "learning_rate": "invscaling"},
    {"solver": "sgd", "learning_rate": "adaptive", "tol": 1.0, "n_iter_no_change": 1},
    {"solver": "sgd", "momentum": 0.3},
    {"solver": "sgd", "nesterovs_momentum": False},
    {"solver": dlarray.AdamW(dlarray.CosineDecay(0.1, 10))},
    {"batch_size": 7},
    {"shuffle": False},
    {"early_stopping": True},
    {"random_state": 1},
]


def test_each_setting_has_its_own_numbers() -> None:
    x, y = data()
    expected = []
    for settings in SETTINGS:
        pool.clear()
        expected.append(classifier(**settings).fit(x, y))
    pool.clear()
    for _ in range(2):
        for settings, alone in zip(SETTINGS, expected, strict=True):
            same(classifier(**settings).fit(x, y), alone)
            same(classifier(**settings).fit(x, y), alone)
    assert len({model.coefs_[0].tobytes() for model in expected}) == len(SETTINGS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_sizes_and_weights_alternate(dtype: str) -> None:
    kinds = [(70, None), (70, np.linspace(0.5, 2, 70)), (53, None), (25, None)]
    runs = []
    for n, weight in kinds * 2:
        x, y = data(n, dtype=dtype)
        kept = classifier().fit(x, y, weight)
        classifier().fit(*data(n, dtype="float32" if dtype == "float64" else "float64"))
        runs.append((x, y, weight, kept))
    for x, y, weight, kept in runs:
        pool.clear()
        same(classifier().fit(x, y, weight), kept)
        assert kept.coefs_[0].dtype == dtype


def test_a_step_is_planned_once_for_clones_warm_starts_and_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    compile_ = type(dlarray.resolve("cpu").backend).compile
    monkeypatch.setattr(
        type(dlarray.resolve("cpu").backend), "compile", lambda self, step: made.append(step) or compile_(self, step)
    )
    x, y = data()
    model = classifier(warm_start=True, max_iter=1).fit(x, y)
    for other in (model, clone(model), pickle.loads(pickle.dumps(model)), classifier(max_iter=3)):
        other.fit(x, y)
    assert len(made) == 1
    model.set_params(alpha=0.3, learning_rate_init=0.1).fit(x, y)
    classifier(alpha=2.0).fit(x, y)
    assert len(made) == 1  # both numbers are in the state
    model.set_params(alpha=0.0).fit(x, y)
    classifier(beta_1=0.5).fit(x, y)
    assert len(made) == 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])
def test_numbers_in_the_state_have_the_bits_of_constants(
    solver: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = data(dtype=dtype)
    weight = np.linspace(0.5, 2, 70)
    settings = [
        {"alpha": 0.7, "learning_rate_init": 0.037},
        {"alpha": 3.3, "learning_rate_init": 0.011, "l1_ratio": 0.3},
        {"alpha": 0.0, "learning_rate_init": 0.037},
    ]
    shared = [classifier(solver=solver, **each).fit(x, y, weight) for each in settings]
    monkeypatch.setattr(Descent, "shared", lambda self, state: (self, state))
    pool.clear()
    for each, model in zip(settings, shared, strict=True):
        apart = classifier(solver=solver, **each).fit(x, y, weight)
        same(apart, model)
        assert pickle.dumps(apart._training) == pickle.dumps(model._training)


@pytest.mark.parametrize("learning_rate", ["constant", "adaptive", "invscaling", "plateau"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_training_that_was_interrupted_goes_on_with_its_own_rate(
    solver: str, learning_rate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = data()
    settings = {"solver": solver, "learning_rate": learning_rate, "learning_rate_init": 0.01, "tol": 0.1}
    whole = classifier(**settings, max_iter=2, n_iter_no_change=1).fit(x, y)
    original, calls = EpochLoop._epoch, []

    def interrupted(self: Any, state: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self, state)

    monkeypatch.setattr(EpochLoop, "_epoch", interrupted)
    with pytest.warns(UserWarning, match="interrupted"):
        model = classifier(**settings, max_iter=9, n_iter_no_change=1).fit(x, y)
    monkeypatch.undo()
    same(model, whole)
    same(model.set_params(shuffle=False).partial_fit(x, y), whole.set_params(shuffle=False).partial_fit(x, y))


def test_warm_starts_and_partial_fits_take_new_parameters() -> None:
    x, y = data()
    ours, theirs = (kind(**classifier_settings()) for kind in (MLPClassifier, neural_network.MLPClassifier))
    for alpha in (0.0, 2.0, 0.1):
        for model in (ours, theirs):
            model.set_params(alpha=alpha).fit(x, y)
            for part in (slice(0, 30), slice(30, 50)):
                model.partial_fit(x[part], y[part])
        for one, other in zip(numbers(ours), numbers(theirs), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def classifier_settings() -> dict[str, Any]:
    return {"hidden_layer_sizes": 5, "random_state": 0, "max_iter": 3, "batch_size": 20, "warm_start": True}


def test_a_model_keeps_its_numbers_when_others_train() -> None:
    x, y = data()
    model = classifier().fit(x, y)
    before = [array.copy() for array in numbers(model)]
    state = pickle.dumps(model._training)
    for seed in (1, 2):
        classifier(random_state=seed).fit(*data(seed=seed))
    for now, then in zip(numbers(model), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert pickle.dumps(model._training) == state
    same(model.partial_fit(x, y), classifier().fit(x, y).partial_fit(x, y))


def test_partial_fits_of_several_models_alternate() -> None:
    x, y = data()
    together = [classifier(random_state=seed) for seed in range(3)]
    for _ in range(3):
        for model in together:
            model.partial_fit(x, y, classes=[0, 1, 2])
    for seed, model in enumerate(together):
        alone = classifier(random_state=seed)
        for _ in range(3):
            alone.partial_fit(x, y, classes=[0, 1, 2])
        same(model, alone)


def test_threads_train_at_once() -> None:
    sets = [data(seed=seed) for seed in range(4)]
    alone = [classifier(random_state=seed).fit(*sets[seed]) for seed in range(4)]
    pool.clear()
    found: dict[int, Any] = {}

    def work(seed: int) -> None:
        for _ in range(3):
            found[seed] = classifier(random_state=seed).fit(*sets[seed])

    at_once(work, 4)
    for seed, model in found.items():
        same(model, alone[seed])


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize(
    "settings",
    [{}, {"shuffle": False, "batch_size": 70}, {"early_stopping": True}, {"solver": "lbfgs"}],
    ids=str,
)
def test_no_data_stay_alive(settings: dict[str, Any], form: Any) -> None:
    x, y = data()
    x, weight = form(x), np.ones(70)
    model = classifier(**settings).fit(x, y, weight)
    classifier(**settings).fit(x, y, weight)
    own = x.data if sparse.issparse(x) else x
    seen = [weakref.ref(own), weakref.ref(weight), weakref.ref(model), *map(weakref.ref, model.coefs_)]
    del x, own, weight, model
    gc.collect()
    assert [ref() is None for ref in seen] == [True] * len(seen)


def test_lbfgs_is_planned_once() -> None:
    x, y = data()
    first = classifier(solver="lbfgs").fit(x, y)
    (step,) = pool._steps.values()
    for alpha in (1.0, first.alpha):
        again = classifier(solver="lbfgs", alpha=alpha).fit(x, y)
    assert [*pool._steps.values()] == [step]
    for one, other in zip([*first.coefs_, *first.intercepts_], [*again.coefs_, *again.intercepts_], strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_pool_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_pool, "MOST_STEPS", 3)
    monkeypatch.setattr(step_pool, "MOST_RUNNERS", 2)
    x, y = data()
    for units in range(2, 8):
        classifier(hidden_layer_sizes=units).fit(x, y)
    assert len(pool._steps) == 3
    assert len(pool._idle) == 2
    monkeypatch.setattr(step_pool, "MOST_BYTES", 100)
    classifier(hidden_layer_sizes=9).fit(x, y)
    assert len(pool._idle) == 2  # the new one is too large


def test_many_kinds_of_batches_do_not_use_up_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_pool, "MOST_PROGRAMS", 3)
    for n in range(21, 31):
        x, y = data(n)
        same(classifier().fit(x, y), classifier().fit(x, y))
    assert max(len(step.programs) for step in pool._steps.values()) <= 4  # pyright: ignore[reportFunctionMemberAccess]


def test_a_failed_training_leaves_no_runner() -> None:
    x, y = data()
    with pytest.raises(ValueError, match="non-finite"):
        MLPRegressor(solver="sgd", learning_rate_init=1e300, random_state=0).fit(x, y)
    assert pool._idle == []
    classifier().fit(x, y)
    assert len(pool._idle) == 1


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("call", [2, 11])
def test_an_interrupted_step_is_never_used_again(form: Any, call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data()
    alone, own = classifier().fit(form(x), y), classifier().fit(form(x), y).partial_fit(form(x), y)
    pool.clear()
    single, several, calls = Runner.__call__, Runner.several, []

    def count() -> None:
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt

    def interrupted(self: Runner, batch: Any) -> Any:
        count()
        return single(self, batch)

    def interrupted_several(self: Runner, *args: Any) -> Any:
        count()
        return several(self, *args)

    monkeypatch.setattr(Runner, "__call__", interrupted)
    monkeypatch.setattr(Runner, "several", interrupted_several)
    with suppress(KeyboardInterrupt), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier(max_iter=100).fit(form(x), y)
    monkeypatch.undo()
    assert pool._idle == []
    same(classifier().fit(form(x), y), alone)
    same(classifier().fit(form(x), y).partial_fit(form(x), y), own)


def test_ctrl_c_at_any_place_leaves_the_pool_usable() -> None:
    x, y = data()
    alone = classifier().fit(x, y)
    forever: dict[str, Any] = {"max_iter": 10**6, "tol": 0, "n_iter_no_change": 10**9}
    for i in range(4):
        timer = threading.Timer(0.05 + 0.0037 * i, os.kill, (os.getpid(), signal.SIGINT))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            timer.start()
            with suppress(KeyboardInterrupt):
                classifier(**forever).fit(x, y)
        timer.join()
        same(classifier().fit(x, y), alone)


class Scaled(dlarray.MeanSquaredError):
    """A loss with an attribute that is no field."""

    def __init__(self, factor: Any) -> None:
        super().__init__()
        object.__setattr__(self, "factor", factor)


def test_what_can_change_is_not_kept() -> None:
    loss = dlarray.MeanSquaredError()
    assert configuration((loss, dlarray.Adam(0.1))) == configuration((replace(loss), dlarray.Adam(0.1)))
    assert configuration((1, 0.0)) != configuration((1.0, 0.0))
    assert configuration(0.0) != configuration(-0.0)
    for value in ([1], {"a": 1}, np.zeros(2), lambda: 0, object(), Scaled(1.0), Scaled([1.0])):
        with pytest.raises(TypeError, match="can change"):
            configuration((loss, value))
    x, y = data()
    MLPRegressor(loss=Scaled([1.0]), max_iter=2, random_state=0).fit(x, y)
    assert not pool._steps


FREQUENCY = {0: 1.0}


@dataclass(frozen=True)
class Wave(dlarray.Activation):
    """sin(k z) with a k that the program changes."""

    def forward(self, z: Any) -> Any:
        return np.sin(FREQUENCY[0] * z), z

    def backward(self, saved: Any, da: Any) -> Any:
        return FREQUENCY[0] * np.cos(FREQUENCY[0] * saved) * da


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_class_of_the_program_is_compiled_for_each_training(solver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data()
    model = classifier(activation=Wave(), solver=solver)
    model.fit(x, y)
    monkeypatch.setitem(FREQUENCY, 0, 3.0)
    found = clone(model).fit(x, y)
    again = model.fit(x, y)
    pool.clear()
    alone = classifier(activation=Wave(), solver=solver).fit(x, y)
    for fitted in (found, again):
        for one, other in zip(fitted.coefs_, alone.coefs_, strict=True):
            np.testing.assert_array_equal(one, other)
