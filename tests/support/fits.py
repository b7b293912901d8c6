"""A small classification and its training, for tests of the options of ``fit``."""

from __future__ import annotations

from typing import Any

import numpy as np

import dlarray as dl

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 6))
LABELS = np.minimum((X @ rng.normal(size=(6, 3))).argmax(axis=1) + (rng.uniform(size=40) < 0.3), 2)
NUMBERS = np.tanh(X @ rng.normal(size=(6, 2)))
WEIGHTS = rng.uniform(0.5, 2, size=40)
MODEL = dl.mlp(6, 8, 3, activation="tanh")
FEW = {"numpy-float32", "torch-float64"}


def fit(x: Any = X, y: Any = LABELS, model: dl.MLP = MODEL, **options: Any) -> dl.Trained:
    options = {"epochs": 3, "batch_size": 16, "device": "cpu", "metrics": [], "progress": False} | options
    return dl.fit(model, x, y, **options)


def check_same(a: dl.Trained, b: dl.Trained) -> None:
    for p, q in zip(a.theta, b.theta, strict=True):
        np.testing.assert_array_equal(dl.to_numpy(p), dl.to_numpy(q))
    assert a.history == b.history
