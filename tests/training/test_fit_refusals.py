"""What a user gets for bad options of ``fit``: one table, each row one bad thing and the words that help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl

rng = np.random.default_rng(0)
X = rng.normal(size=(8, 4))
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])
MODEL = dl.mlp(4, 5, 3)
NORMED = dl.MLP(4, [dl.Dense(5), dl.BatchNorm(), "relu", dl.Dense(3)])
PAIR = (X, LABELS)


def fit(x: Any = X, y: Any = LABELS, model: Any = MODEL, **options: Any) -> dl.Trained:
    return dl.fit(model, x, y, **({"epochs": 1, "batch_size": 4, "progress": False} | options))


def called(*callbacks: Any, **options: Any) -> Callable[[], Any]:
    return lambda: fit(callbacks=list(callbacks), **options)


def find(**options: Any) -> Any:
    return dl.find_learning_rate(MODEL, X, LABELS, **options)


BATCHES = [PAIR]
Case = tuple[Callable[[], Any], type[Exception], str]
REFUSED: dict[str, Case] = {
    # Callbacks
    "unknown callback": (
        called("early_stoping"),
        ValueError,
        "unknown callback 'early_stoping', did you mean 'early_stopping'",
    ),
    "callbacks a word": (lambda: fit(callbacks="ema"), TypeError, "callbacks must be a list.*got 'ema'.*brackets"),
    "callbacks alone": (lambda: fit(callbacks=dl.EMA()), TypeError, "callbacks must be a list.*brackets"),
    "no callback": (called(3), TypeError, "callback must be a name or an instance, got 3"),
    "patience 0": (lambda: dl.EarlyStopping(patience=0), ValueError, "patience must be at least 1, got 0"),
    "patience negative": (lambda: dl.ReduceLROnPlateau(patience=-1), ValueError, "patience must be at least 1, got -1"),
    "patience half": (lambda: dl.EarlyStopping(patience=1.5), TypeError, r"patience must be a whole number, got 1\.5"),
    "min_delta negative": (lambda: dl.EarlyStopping(min_delta=-1), ValueError, "min_delta must be at least 0, got -1"),
    "mode": (lambda: dl.EarlyStopping(mode="maxx"), ValueError, "unknown mode 'maxx', did you mean 'max'"),
    "monitor": (lambda: dl.EarlyStopping(3), TypeError, "monitor must be the name of a metric.*got 3"),
    "metric unknown": (
        called(dl.EarlyStopping("acuracy")),
        ValueError,
        "EarlyStopping monitors 'acuracy', did you mean 'accuracy'.*measured are loss, accuracy; validation=",
    ),
    "metric without direction": (
        called(dl.ReduceLROnPlateau("own"), metrics=[type("own", (), {"__call__": lambda *_: np.asarray(1.0)})()]),
        ValueError,
        "the name 'own' does not show whether.*mode='min' or 'max'",
    ),
    "factor 1": (lambda: dl.ReduceLROnPlateau(factor=1.0), ValueError, r"factor must lie between 0 and 1, got 1\.0"),
    "cooldown": (lambda: dl.ReduceLROnPlateau(cooldown=-1), ValueError, "cooldown must be at least 0, got -1"),
    "min_lr": (lambda: dl.ReduceLROnPlateau(min_lr=-0.1), ValueError, r"min_lr must be at least 0, got -0\.1"),
    "decay 1": (lambda: dl.EMA(1.0), ValueError, r"decay must lie in \[0, 1\), got 1\.0"),
    "start 1": (lambda: dl.SWA(1.0), ValueError, r"start must lie in \[0, 1\), got 1\.0"),
    "every 0": (lambda: dl.SWA(every=0), ValueError, "every must be at least 1, got 0"),
    "watched every 0": (lambda: dl.StopOnNonFinite(0), ValueError, "every must be at least 1, got 0"),
    "no second pass": (
        called("swa", x=iter(BATCHES), y=None, model=NORMED),
        ValueError,
        "SWA needs one more pass over the batches",
    ),
    "seconds": (lambda: dl.TimeLimit(0), ValueError, "seconds must be above 0, got 0"),
    "epochs 0": (lambda: dl.Checkpoint("p", epochs=0), ValueError, "epochs must be at least 1, got 0"),
    "steps 0": (lambda: dl.Checkpoint("p", steps=0), ValueError, "steps must be at least 1, got 0"),
    "keep without numbers": (
        lambda: dl.Checkpoint("p", keep=2),
        ValueError,
        r"keep=2 needs files of different names: a path with \{epoch\} or \{step\}",
    ),
    "best beside steps": (
        lambda: dl.Checkpoint("p", steps=1, best="loss"),
        ValueError,
        "best is a metric of the epochs",
    ),
    "best unknown": (
        called(dl.Checkpoint("p", best="validation_los"), validation=PAIR),
        ValueError,
        "Checkpoint monitors 'validation_los', did you mean 'validation_loss'",
    ),
    "no folder": (called(dl.Checkpoint("nowhere/p")), FileNotFoundError, "there is no folder 'nowhere'"),
    "no folder for a log": (called(dl.CSVLog("nowhere/p")), FileNotFoundError, "nowhere"),
    "no path": (lambda: dl.CSVLog(3), TypeError, "int"),
    "no folder name": (lambda: dl.TensorBoard(None), TypeError, "NoneType"),
    "no notebook": (called("live_plot"), ValueError, "LivePlot draws in a notebook, but this is not one: give path="),
    "metric of a picture": (
        called(dl.LivePlot(["los"], path="p.png")),
        ValueError,
        "LivePlot draws 'los', did you mean 'loss'",
    ),
    "metrics a word": (lambda: dl.LivePlot("loss"), TypeError, "metrics must be a list of names, got 'loss'"),
    # Limits
    "compile": (lambda: fit(compile="no"), TypeError, "compile must be True, False, None or a function of a step"),
    "needs a path": (called("csv_log"), ValueError, "CSVLog needs arguments: give an object instead of the name"),
    "max_steps": (lambda: fit(max_steps=0), ValueError, "max_steps must be at least 1, got 0"),
    "max_time": (lambda: fit(max_time=-1), ValueError, "max_time must be above 0, got -1"),
    "steps of arrays": (lambda: fit(steps_per_epoch=2), ValueError, "steps_per_epoch is for batches from an iterable"),
    # Clipping
    "clip_norm": (lambda: fit(clip_norm=0), ValueError, "clip_norm must be above 0, got 0"),
    "clip_value": (lambda: fit(clip_value=-1.0), ValueError, r"clip_value must be above 0, got -1\.0"),
    "both": (lambda: fit(clip_norm=1, clip_value=1), ValueError, "give clip_norm or clip_value, not both"),
    # Weights of classes
    "a word": (lambda: fit(class_weight="balancd"), ValueError, "class_weight must be 'balanced'.*got 'balancd'"),
    "too few": (lambda: fit(class_weight=[1, 2]), ValueError, "class_weight has 2 weights for 3 classes"),
    "negative": (lambda: fit(class_weight=[1, -2, 1]), ValueError, "class_weight must be at least 0, got -2"),
    "no such class": (lambda: fit(class_weight={3: 1.0}), ValueError, "has the class 3, and the classes are 0 to 2"),
    "all 0": (lambda: fit(class_weight=[0, 0, 0]), ValueError, "class_weight must have a weight above 0"),
    "a number": (lambda: fit(class_weight=2.0), TypeError, r"class_weight must be 'balanced'.*got 2\.0"),
    "of numbers": (
        lambda: fit(y=X[:, :3], class_weight=[1, 1, 1]),
        ValueError,
        "class_weight needs classes, and MeanSquaredError trains numbers: use weight=",
    ),
    "of several answers": (
        lambda: fit(y=(X[:, :3] > 0).astype(float), loss="binary_cross_entropy", class_weight=[1, 1]),
        ValueError,
        "class_weight needs one class for each example",
    ),
    # Batches from an iterable
    "empty": (lambda: fit(lambda: iter(()), None), ValueError, "x has no batches: the iterable is empty"),
    "weight beside": (
        lambda: fit(BATCHES, None, weight=np.ones(8)),
        ValueError,
        "an iterable yields weights in its batches",
    ),
    "balanced batches": (
        lambda: fit(BATCHES, None, class_weight="balanced"),
        ValueError,
        "the classes cannot be counted",
    ),
    "a fraction of batches": (lambda: fit(BATCHES, None, validation=0.2), ValueError, r"give validation=\(x, y\)"),
    "metrics of batches": (
        lambda: fit(BATCHES, None, metrics=["accuracy"]),
        ValueError,
        "metrics need validation examples",
    ),
    "x and y": (lambda: fit(iter(BATCHES)), TypeError, "x must be an array, got list_iterator"),
    "three things": (lambda: fit([(X, LABELS, None, 1)], None), TypeError, "each batch must be a tuple.*a tuple of 4"),
    "an end too early": (
        lambda: fit(iter(BATCHES * 3), None, epochs=2, steps_per_epoch=2),
        ValueError,
        "x is exhausted after 3 batches, and more are needed",
    ),
    # Precision
    "NumPy": (
        lambda: fit(device="cpu", precision="bfloat16"),
        ValueError,
        r"cpu has no fast matrix products in bfloat16.*torch \(bfloat16, float16\)",
    ),
    "unknown precision": (lambda: fit(precision="bfloat"), ValueError, "unknown precision.*did you mean 'bfloat16'"),
    "double and half": (lambda: fit(dtype="float64", precision="float16"), ValueError, "needs weights of float32"),
    "double products": (lambda: fit(precision="float64"), ValueError, "give dtype='float64'"),
    # The rate finder
    "rates": (lambda: find(lowest=1.0, highest=0.1), ValueError, r"lowest must be below highest, got 1\.0 and 0\.1"),
    "lowest 0": (lambda: find(lowest=0), ValueError, "lowest must be above 0, got 0"),
    "one step": (lambda: find(steps=1), ValueError, "steps must be at least 2"),
    "smoothing": (lambda: find(smoothing=1.0), ValueError, r"smoothing must lie in \[0, 1\), got 1\.0"),
    "unknown optimizer": (lambda: find(optimizer="adamm"), ValueError, "unknown optimizer 'adamm', did you mean 'adam"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked, kind, words = REFUSED[what]
    with pytest.raises(kind, match=words):
        asked()
    assert not list(tmp_path.iterdir())
