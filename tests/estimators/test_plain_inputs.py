"""Plain arrays, which are checked by fewer lines: they are trained, predicted and refused as all others are."""

from __future__ import annotations

import gc
import pickle
import weakref
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import neural_network
from sklearn.base import clone

from dlarray.estimators import MLPClassifier, MLPRegressor, inference

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("without_native"),
]

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)


def classifier(**settings: Any) -> MLPClassifier:
    return MLPClassifier(**{"hidden_layer_sizes": 5, "random_state": 0, "max_iter": 4, **settings})


LABELS = {
    "integers": Y,
    "small integers": Y.astype(np.int8),
    "unsigned": Y.astype(np.uint16),
    "not from 0": 3 * Y - 7,
    "numbers": Y * 0.5 + 1.0,
    "words": np.array(["b", "abc", "c"])[Y],
    "objects": np.array(["b", "abc", "c"], dtype=object)[Y],
    "two": Y > 0,
    "two words": np.array(["no", "yes"])[(Y > 0).astype(int)],
    "a column": Y.reshape(-1, 1),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.parametrize("name", LABELS)
def test_labels_of_every_kind_are_encoded_as_by_scikit_learn(name: str) -> None:
    y = LABELS[name]
    if name == "numbers":
        with pytest.raises(ValueError, match="Unknown label type"):
            classifier().fit(X, y)
        y = y.astype(int) * 1.0
    model, theirs = (
        kind(hidden_layer_sizes=5, random_state=0, max_iter=4).fit(X, y)
        for kind in (MLPClassifier, neural_network.MLPClassifier)
    )
    rows = model._label_binarizer.transform(np.ravel(y))
    np.testing.assert_array_equal(model._encode(y), rows)
    np.testing.assert_allclose(model.loss_curve_, theirs.loss_curve_, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X), theirs.predict(X))
    assert model.predict(X).dtype == theirs.predict(X).dtype


@pytest.mark.parametrize("wrong", [np.array([0, 1, 5]), np.array(["0", "1", "2"]), np.array([0.0, 1.5, 2.0])], ids=str)
def test_unknown_labels_are_refused(wrong: np.ndarray) -> None:
    model = classifier().partial_fit(X, Y, classes=np.arange(3))
    with pytest.raises(ValueError, match=r"classes not in|Mix of label|Unknown label"):
        model.partial_fit(X[:3], wrong)
    with pytest.raises(ValueError, match="not the same"):
        model.partial_fit(X, Y, classes=np.arange(4))
    model.partial_fit(X, Y, classes=np.arange(3)).partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="same classes"):
        classifier(warm_start=True).fit(X, Y).fit(X[Y < 2], Y[Y < 2])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    bad = X.copy()
    bad[3, 1] = value
    model = classifier().fit(X, Y)
    for call in (lambda: model.predict(bad), lambda: classifier().fit(bad, Y), lambda: model.predict_proba(bad)):
        with pytest.raises(ValueError, match=r"Input X contains"):
            call()
    with pytest.raises(ValueError, match="Input y contains"):
        MLPRegressor().fit(X, bad[:, 1])


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (X[:, :3], "has 3 features"),
        (X[0], "Expected 2D"),
        (X[:0], "0 sample"),
        (X[:, :0], r"0 feature|has 0 features"),
        (X * 1j, "[Cc]omplex"),
        (np.ma.masked_less(X, 0), "masked"),
    ],
)
def test_what_is_not_a_plain_matrix_is_refused(x: Any, match: str) -> None:
    with pytest.raises((ValueError, TypeError), match=match):
        classifier().fit(X, Y).predict(x)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        classifier().fit(X, Y[:-1])


@pytest.mark.parametrize(
    "form", [np.asfortranarray, lambda x: x.astype(">f8"), lambda x: x.tolist(), np.float32, pd.DataFrame]
)
def test_other_forms_of_the_same_numbers(form: Any) -> None:
    x = form(X)
    model, plain = classifier().fit(x, Y), classifier().fit(np.array(X, np.float32 if form is np.float32 else None), Y)
    np.testing.assert_allclose(model.predict_proba(x), plain.predict_proba(np.asarray(X)), rtol=1e-5)


def test_names_of_columns_are_remembered_and_forgotten() -> None:
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = classifier().fit(frame, Y)
    assert list(model.feature_names_in_) == list("abcd")
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)
    model.fit(X, Y)
    assert not hasattr(model, "feature_names_in_")
    assert model.n_features_in_ == 4


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_predictions_that_are_asked_often_are_compiled(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "EAGER_CALLS", 3)
    model = clone(kind(hidden_layer_sizes=5, random_state=0, max_iter=4, warm_start=True))
    for _ in range(2):
        model.fit(X, Y)
        expected = model.predict(X)
        before = pickle.dumps(model)
        for rows in (1, 7, 60):
            for _ in range(6):
                np.testing.assert_allclose(model.predict(X[:rows]), expected[:rows], rtol=1e-12)
        assert pickle.dumps(model) == before
    *_, accelerated = inference._known[model]
    assert len(accelerated._ready) == 3
    model.coefs_ = [np.zeros_like(W) for W in model.coefs_]
    model.intercepts_ = [np.zeros_like(b) for b in model.intercepts_]
    assert len(np.unique(model.predict(X))) == 1
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
