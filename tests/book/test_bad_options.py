"""Training refuses bad options and bad weights to begin with, and names the remedy."""

from __future__ import annotations

import numpy as np
import pytest

import dlarray as dl
from tests.support.bad_input import LABELS, MODEL, Case, X, check_refusal, fit

OPTIONS: dict[str, Case] = {
    "a model that is none": (lambda: fit(model=[dl.Dense(3)]), TypeError, "model must be an MLP, such as .*, got list"),
    "arguments in the wrong order": (lambda: dl.fit(X, LABELS, MODEL), TypeError, "model must be an MLP.*got ndarray"),
    "an unknown keyword": (lambda: fit(learning_rate=0.1), TypeError, "no argument 'learning_rate': .*optimizer="),
    "an unknown loss": (lambda: fit(loss="hubre"), ValueError, "unknown loss 'hubre', did you mean 'huber'.*known are"),
    "an unknown optimizer": (
        lambda: fit(optimizer="adamm"),
        ValueError,
        "unknown optimizer 'adamm', did you mean 'adam'",
    ),
    "an unknown metric": (
        lambda: fit(metrics=["acuracy"]),
        ValueError,
        "unknown metric 'acuracy', did you mean 'accuracy'",
    ),
    "a metric that is no list": (
        lambda: fit(metrics="accuracy"),
        TypeError,
        "metrics must be a list.*between brackets",
    ),
    "two metrics of one name": (
        lambda: fit(metrics=[lambda y, p: y[0], lambda y, p: y[1]]),
        ValueError,
        "two metrics have the name '<lambda>'",
    ),
    "a metric that is a number": (lambda: fit(metrics=[5]), TypeError, "a name or a function.*got 5"),
    "a loss that is a class": (lambda: fit(loss=dl.Huber), TypeError, "loss must be a name or an instance, got <class"),
    "a loss without reduction": (
        lambda: fit(loss=dl.SparseCategoricalCrossEntropy(reduction="none")),
        ValueError,
        "reduction must be 'mean' or 'sum', got 'none'",
    ),
    "an unknown dtype": (lambda: fit(dtype="flaot32"), ValueError, "unknown dtype 'flaot32', did you mean 'float32'"),
    "half precision": (lambda: fit(dtype="float16"), ValueError, "choose from float32, float64"),
    "whole numbers for weights": (lambda: fit(dtype="int32"), ValueError, "choose from float32, float64"),
    "no epochs": (lambda: fit(epochs=0), ValueError, "epochs must be at least 1, got 0"),
    "half an epoch": (lambda: fit(epochs=0.5), TypeError, r"epochs must be a whole number, got 0\.5"),
    "batch size 0": (lambda: fit(batch_size=0), ValueError, "batch_size must be at least 1, got 0"),
    "batch size -1": (lambda: fit(batch_size=-1), ValueError, "batch_size must be at least 1, got -1"),
    "batch size 2.5": (lambda: fit(batch_size=2.5), TypeError, r"batch_size must be a whole number, got 2\.5"),
    "batch size True": (lambda: fit(batch_size=True), TypeError, "batch_size must be a whole number, got True"),
    "accumulate 0": (lambda: fit(accumulate=0), ValueError, "accumulate must be at least 1, got 0"),
    "a negative seed": (lambda: fit(seed=-1), ValueError, r"seed must lie in \[0, 2\*\*63\), got -1"),
    "a seed of 2**64": (
        lambda: fit(seed=2**64),
        ValueError,
        r"seed must lie in \[0, 2\*\*63\), got 18446744073709551616",
    ),
    "a float for a seed": (lambda: fit(seed=1.0), TypeError, r"seed must be a whole number, got 1\.0"),
    "a bool for a seed": (lambda: fit(seed=True), TypeError, "seed must be a whole number, got True"),
    "a seed that nothing draws from": (
        lambda: fit(seed=-1, theta=MODEL.init(), shuffle=False, batch_size=None),
        ValueError,
        "seed must lie in",
    ),
    "validation of 0": (
        lambda: fit(validation=0),
        ValueError,
        "leaves no examples in one of the two parts of 8 examples",
    ),
    "validation of 1": (lambda: fit(validation=1.0), ValueError, r"validation must lie in \[0, 1\), got 1\.0"),
    "validation of too little": (
        lambda: fit(validation=0.01),
        ValueError,
        r"fraction of 0\.01 leaves no examples in one",
    ),
    "validation a list": (
        lambda: fit(validation=[X, LABELS]),
        TypeError,
        r"a fraction or examples \(x, y\), got a list",
    ),
    "validation of three": (lambda: fit(validation=(X, LABELS, X)), TypeError, r"examples \(x, y\), got 3 items"),
    "validation that does not fit": (
        lambda: fit(validation=(X[:, :2], LABELS)),
        ValueError,
        "takes 4 inputs, got x with 2",
    ),
    # Where to begin
    "theta a list": (lambda: fit(theta=list(MODEL.init())), TypeError, "theta must be a tuple of vectors.*got list"),
    "theta an array": (lambda: fit(theta=MODEL.init()[0]), TypeError, "theta must be a tuple of vectors.*got ndarray"),
    "theta of lists": (
        lambda: fit(theta=([0.0] * 256,)),
        TypeError,
        "theta must be a tuple of vectors.*got a list in it",
    ),
    "theta of another model": (
        lambda: fit(theta=dl.mlp(4, 99, 3).init()),
        ValueError,
        r"theta must hold vectors of lengths \[256\], got shapes \[\(\d+,\)\]",
    ),
    "theta with nan": (lambda: fit(theta=(MODEL.init()[0] * np.nan,)), ValueError, "theta must be finite"),
}


@pytest.mark.parametrize("what", OPTIONS)
def test_training_refuses(what: str) -> None:
    check_refusal(OPTIONS[what])
