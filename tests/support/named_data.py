"""A small table with named columns and words for labels, and its training."""

from __future__ import annotations

from typing import Any

import numpy as np

import dlarray as dl

rng = np.random.default_rng(5)
N = 40
COLUMNS = {"age": rng.integers(20, 60, N), "height": rng.normal(size=N), "member": rng.random(N) < 0.5}
X = np.stack([np.asarray(column, dtype=float) for column in COLUMNS.values()], axis=1)
NUMBERS = np.where(X[:, 1] > 0.4, 2, np.where(X[:, 1] > -0.4, 0, 1))
WORDS = np.asarray(["cat", "dog", "owl"])[NUMBERS]
YES = X[:, 1] > 0
WEIGHT = rng.uniform(0.5, 2, N)
THREE, ONE = dl.mlp(3, 6, 3), dl.mlp(3, 6, 1)


def fit(x: Any = X, y: Any = NUMBERS, model: dl.MLP = THREE, **options: Any) -> dl.Trained:
    options = {"epochs": 2, "batch_size": 16, "optimizer": dl.Adam(1e-3), "device": "cpu", "progress": False} | options
    return dl.fit(model, x, y, **options)
