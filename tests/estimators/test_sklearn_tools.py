"""The estimators with scikit-learn's tools: pipelines, searches, clones and files."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dlarray
import dlarray.device as dd
from dlarray.estimators import MLPClassifier
from tests.support.estimators import SMALL, classes
from tests.support.process import python

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("without_native"),
]


@pytest.mark.slow
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
