"""Estimators on devices: they train and answer there, and move in memory and in files."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.exceptions import NotFittedError

import dlarray.device as dd
from dlarray.estimators import MLPClassifier, MLPRegressor
from tests.support.estimators import SMALL, classes, numbers
from tests.support.matrix import On

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("without_native"),
]


@pytest.fixture
def each(on: On) -> On:
    """A device on its own: read-only inputs and planners are NumPy's, and the estimators find these themselves."""
    if on.executor:
        pytest.skip("the estimators choose the executor themselves")
    return on


@pytest.mark.slow
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
