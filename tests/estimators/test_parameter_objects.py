"""Parameters that are objects: searched by their fields, cloned, and shown on one line."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dlarray
from dlarray.estimators import MLPClassifier, MLPRegressor
from tests.support.estimators import classes

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("without_native"),
]


def test_fields_are_parameters() -> None:
    model = MLPRegressor("huber", solver=dlarray.AdamW(dlarray.CosineDecay(0.01, 200)), normalization="layer_norm")
    deep, flat = model.get_params(), model.get_params(deep=False)
    assert flat.items() <= deep.items()
    assert deep["solver__weight_decay"] == 0.01
    assert deep["solver__learning_rate__steps"] == 200
    assert not any(name.startswith(("loss__", "normalization__")) for name in deep)  # names have no fields
    given = model.solver
    model.set_params(solver__learning_rate__steps=50, solver__beta1=0.8, loss=dlarray.Huber(), loss__delta=2.0)
    assert model.solver == dlarray.AdamW(dlarray.CosineDecay(0.01, 50), beta1=0.8)
    assert model.loss == dlarray.Huber(2.0)
    assert given == dlarray.AdamW(dlarray.CosineDecay(0.01, 200))  # another estimator may have it
    copied = clone(model)
    assert copied.get_params() == model.get_params()
    assert copied.set_params(solver__learning_rate=0.1).solver.learning_rate == 0.1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"solver__learning_rte": 0.1}, "Invalid parameter solver__learning_rte, did you mean 'learning_rate'"),
        ({"loss__delta": 2.0}, "loss is 'squared_error' and has no 'delta': give an object of dlarray"),
        ({"solvr__learning_rate": 0.1}, "Invalid parameter 'solvr'"),
        ({"alpha__beta": 0.1}, "alpha is 0.0001 and has no 'beta'"),
        ({"solver__learning_rate": -1.0}, "learning_rate must be above 0"),
        ({"hidden": 3}, "Invalid parameter 'hidden'"),
    ],
)
def test_fields_that_do_not_exist_are_refused(given: dict[str, object], message: str) -> None:
    model = MLPRegressor(solver=dlarray.Adam())
    with pytest.raises(ValueError, match=message):
        model.set_params(**given)
    assert model.solver == dlarray.Adam()


def test_a_search_varies_fields() -> None:
    x, y = classes(90)
    model = MLPClassifier(6, solver=dlarray.Adam(0.001), random_state=0, max_iter=20)
    grid = {"solver__learning_rate": [1e-9, 0.05], "solver__beta1": [0.8, 0.9]}
    found = GridSearchCV(model, grid, cv=2).fit(x, y)
    assert found.best_params_["solver__learning_rate"] == 0.05
    assert found.best_estimator_.solver == dlarray.Adam(0.05, beta1=found.best_params_["solver__beta1"])
    assert model.solver == dlarray.Adam(0.001)
    pipe = make_pipeline(StandardScaler(), model)
    searched = GridSearchCV(pipe, {"mlpclassifier__solver__learning_rate": [1e-9, 0.05]}, cv=2).fit(x, y)
    assert searched.best_params_ == {"mlpclassifier__solver__learning_rate": 0.05}
    by_hand = clone(model).set_params(solver=dlarray.Adam(0.05)).fit(x, y)
    by_field = clone(model).set_params(solver__learning_rate=0.05).fit(x, y)
    np.testing.assert_array_equal(by_hand.coefs_[0], by_field.coefs_[0])


def test_a_repr_is_one_line_with_what_differs_from_the_defaults() -> None:
    model = MLPClassifier(
        (64, 32),
        ["gelu", dlarray.LeakyReLU(0.1)],
        solver=dlarray.AdamW(dlarray.CosineDecay(0.01, 200)),
        loss=dlarray.CategoricalCrossEntropy(label_smoothing=0.05),
        dropout=(0.1, 0.1),
    )
    assert repr(model) == (
        "MLPClassifier(hidden_layer_sizes=(64, 32), activation=['gelu', LeakyReLU(slope=0.1)], "
        "solver=AdamW(learning_rate=CosineDecay(rate=0.01, steps=200)), "
        "loss=CategoricalCrossEntropy(label_smoothing=0.05), dropout=(0.1, 0.1))"
    )
    assert repr(MLPRegressor(hidden_layer_sizes=(5,))) == "MLPRegressor(hidden_layer_sizes=(5,))"
    assert repr(MLPClassifier()) == "MLPClassifier()"
    assert repr(MLPClassifier(class_weight={0: 1.0, 1: 2.0})) == "MLPClassifier(class_weight={0: 1.0, 1: 2.0})"
    assert repr(MLPClassifier((100,), random_state=np.random.RandomState(0))).startswith("MLPClassifier(random_state=")
    assert "MLPClassifier(hidden_layer_sizes=6)" in repr(make_pipeline(StandardScaler(), MLPClassifier(6)))
    names = {"MLPClassifier": MLPClassifier, **{name: getattr(dlarray, name) for name in dlarray.__all__}}
    assert eval(repr(model), names).get_params() == model.get_params()
    with sklearn.config_context(print_changed_only=False):
        assert "power_t=0.5" in repr(model)


@pytest.mark.parametrize(
    ("name", "field", "example"),
    [
        ("solver", "learning_rate", r"solver=dlarray\.Adam\(\)$"),
        ("solver", "no_field", "solver=…"),
        ("loss", "delta", "loss=…"),
    ],
)
def test_a_field_of_a_name_needs_an_object_of_its_class(name: str, field: str, example: str) -> None:
    with pytest.raises(ValueError, match=f"has no '{field}': give an object of dlarray, such as {example}"):
        MLPRegressor(solver="adam").set_params(**{f"{name}__{field}": 1.0})
