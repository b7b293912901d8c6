"""A trained model refuses bad input to predict and to evaluate, and stays unchanged."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.bad_input import LABELS, NUMBERS, REGRESSION, Case, X, fit, strict, torch, with_one

TRAINED = fit()

ASKED: dict[str, Case] = {
    "a list": (lambda: TRAINED.predict(X.tolist()), TypeError, "x must be an array, got list"),
    "other features": (
        lambda: TRAINED.predict(X[:, :3]),
        ValueError,
        "the model takes 4 inputs, got x with 3 features",
    ),
    "x 1-D": (lambda: TRAINED.classify(X[0]), ValueError, r"x must have two axes.*\(4,\)"),
    "no rows": (lambda: TRAINED.predict(X[:0]), ValueError, "x has no examples"),
    "nan": (lambda: TRAINED.outputs(with_one(X, np.nan)), ValueError, "must be finite, got nan in row 2, column 1"),
    "too large": (
        lambda: TRAINED.predict(with_one(X, 1e40)),
        ValueError,
        r"must fit into float32, got 1e\+40 in row 2",
    ),
    "objects": (lambda: TRAINED.predict(X.astype(object)), TypeError, "real numbers, got dtype object"),
    "another library": (
        lambda: TRAINED.predict(torch(X)),
        TypeError,
        r"the model is on cpu, got x on torch:cpu: dlarray.to_device\(x, 'cpu'\) moves it",
    ),
    "another library to be measured": (
        lambda: TRAINED.evaluate(torch(X), torch(LABELS)),
        TypeError,
        "got x on torch:cpu",
    ),
    "another device": (
        lambda: fit(device="strict:device1").predict(strict(X, "device2")),
        ValueError,
        "the model is on strict:device1, got x on strict:device2: dlarray.to_device",
    ),
    "batch size 0": (lambda: TRAINED.predict(X, batch_size=0), ValueError, "batch_size must be at least 1, got 0"),
    "batch size 0 to measure": (lambda: TRAINED.evaluate(X, LABELS, batch_size=0), ValueError, "at least 1, got 0"),
    "rows differ": (lambda: TRAINED.evaluate(X, LABELS[:5]), ValueError, "as many rows"),
    "an unknown metric": (
        lambda: TRAINED.evaluate(X, LABELS, ["recal"]),
        ValueError,
        "unknown metric 'recal', did you mean 'recall'",
    ),
    "classes of numbers": (
        lambda: fit(y=NUMBERS, model=REGRESSION).classify(X),
        ValueError,
        "MeanSquaredError trains numbers, not classes: use predict",
    ),
    "an unknown figure": (lambda: TRAINED.history["los"], KeyError, "no metric is named 'los'; there are loss"),
}


@pytest.mark.parametrize("what", ASKED)
def test_a_trained_model_refuses_and_stays_as_it_was(what: str) -> None:
    if "strict" in ASKED[what][2]:
        pytest.importorskip("array_api_strict")
    before = TRAINED.theta[0].tobytes()
    with pytest.raises(ASKED[what][1], match=ASKED[what][2]):
        ASKED[what][0]()
    assert TRAINED.theta[0].tobytes() == before
