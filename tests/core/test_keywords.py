"""An argument that does not exist: the error names it and says what to write instead."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.keywords import SYNONYMS
from dlarray.training.keywords import REMEDIES
from tests.support.bad_input import LABELS, MODEL, X, fit

any_dl: Any = dl  # a type checker finds these errors too
CASES: dict[str, tuple[Callable[[], Any], str]] = {
    "lr": (
        lambda: fit(lr=0.1),
        r"fit\(\) has no argument 'lr': the learning rate belongs to the optimizer: optimizer=dl",
    ),
    "learning rate": (lambda: fit(learning_rate=0.1), "belongs to the optimizer"),
    "schedule": (lambda: fit(lr_scheduler=None), r"a schedule is the rate of the optimizer.*CosineDecay"),
    "decay": (lambda: fit(weight_decay=0.1), "weight decay belongs to the optimizer.*AdamW"),
    "epochs": (lambda: fit(n_epochs=3), r"no argument 'n_epochs', it is called epochs$"),
    "criterion": (lambda: fit(criterion="mse"), "it is called loss$"),
    "weights": (lambda: fit(sample_weight=np.ones(8)), "it is called weight$"),
    "verbose": (lambda: fit(verbose=0), "it is called progress$"),
    "split": (lambda: fit(validation_split=0.2), r"give the fraction of the examples as validation=0\.2"),
    "data": (lambda: fit(validation_data=(X, LABELS)), r"give the examples as validation=\(x, y\)"),
    "stopping": (lambda: fit(early_stopping=True), r"it is a callback: callbacks=\[dlarray\.EarlyStopping"),
    "model": (lambda: fit(activation="tanh"), "it belongs to the model"),
    "inputs": (lambda: any_dl.fit(MODEL, X=X, y=LABELS), "no argument 'X', it is called x$"),
    "a slip": (lambda: fit(epoch=3), "no argument 'epoch', did you mean 'epochs'"),
    "nothing near": (lambda: fit(zzzz=3), "no argument 'zzzz'; its arguments are model, x, y, loss"),
    "search": (lambda: any_dl.find_learning_rate(MODEL, X, LABELS, lr=1), "the rates go from lowest to highest"),
    "short form": (
        lambda: any_dl.mlp(4, 2, activations="tanh"),
        r"mlp\(\) has no argument 'activations', it is called activ",
    ),
    "Adam lr": (lambda: any_dl.Adam(lr=0.1), "Adam has no argument 'lr', it is called learning_rate$"),
    "Adam betas": (lambda: any_dl.Adam(betas=(0.9, 0.99)), "it is called beta1 and beta2$"),
    "Adam eps": (lambda: any_dl.AdamW(epsilon=1e-7), "it is called eps$"),
    "Dense": (lambda: any_dl.Dense(out_features=3), "Dense has no argument 'out_features', it is called units$"),
    "Dropout": (lambda: any_dl.Dropout(p=0.1), "it is called rate$"),
    "LeakyReLU": (lambda: any_dl.LeakyReLU(negative_slope=0.1), "it is called slope$"),
    "loss": (lambda: any_dl.Huber(beta=2), "it is called delta$"),
    "peak": (lambda: any_dl.OneCycle(max_lr=0.1, steps=10), "it is called peak$"),
    "steps": (lambda: any_dl.CosineDecay(0.1, T_max=10), "it is called steps$"),
    "none": (lambda: any_dl.Tanh(slope=1), "Tanh has no argument 'slope'; it takes none"),
    "explain a model": (
        lambda: any_dl.explain(MODEL, X, LABELS),
        r"explain takes a step, got MLP: that of a model is dlarray\.explain\(\*dlarray\.first_step\(model, x, y\)\)",
    ),
    "explain a trained model": (
        lambda: any_dl.explain(fit(epochs=1), X, LABELS),
        r"takes a step, got Trained: .*first_step\(trained\.model, x, y\)\)",
    ),
    "explain by name": (
        lambda: any_dl.explain(model=MODEL, x=X, y=LABELS),
        r"no argument 'model': .*first_step\(model, x, y",
    ),
    "fit in another order": (
        lambda: any_dl.fit(X, LABELS, MODEL),
        r"model must be an MLP.*got ndarray: fit\(model, x, y\)",
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_the_remedy_is_named(what: str) -> None:
    act, words = CASES[what]
    with pytest.raises(TypeError, match=words):
        act()


def test_the_signature_stays() -> None:
    assert list(signature(dl.fit).parameters)[:4] == ["model", "x", "y", "loss"]
    assert list(signature(dl.Adam).parameters)[:2] == ["learning_rate", "beta1"]
    assert str(signature(dl.Dropout)) == "(rate: float = 0.5) -> None".replace("float", "'float'")
    assert list(signature(dl.ConstantRate(0.1)).parameters) == ["t"]
    assert dl.fit.__doc__ is not None
    assert dl.fit.__name__ == "fit"


def test_no_argument_of_fit_has_a_remedy() -> None:
    known = signature(dl.fit).parameters.keys()
    assert not known & REMEDIES.keys()
    assert not [word for word, names in SYNONYMS.items() if word in names]


def test_a_class_of_yours_explains_its_own_fields() -> None:
    @dataclass(frozen=True)
    class Cubic(dl.Activation):
        slope: float = 1.0

    with pytest.raises(TypeError, match="Cubic has no argument 'negative_slope', it is called slope"):
        Cubic(negative_slope=2)  # pyright: ignore[reportCallIssue]
    assert replace(Cubic(), slope=3.0) == Cubic(3.0)
    assert pickle.loads(pickle.dumps(dl.Adam(0.5))) == dl.Adam(0.5)
