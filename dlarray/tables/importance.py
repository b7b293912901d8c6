"""Which columns a model uses, and whether a single column gives the target away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlarray.core.random import Bits
from dlarray.tables.preprocessing import Preprocessing
from dlarray.tables.targets import Target

__all__ = ["importance", "suspects"]

REPEATS = 3
ROWS = 2000
LEAST_ROWS = 100
PRODUCTS = 4e9  # multiplications of all predictions together: about a second on one core
BINS = 64
MOST_TRAINING = 20_000
SUSPICIOUS = 0.95  # the share of the loss of the guess that one column explains alone


def importance(
    predict: Callable[[np.ndarray], Any],
    parameters: int,
    x: np.ndarray,
    t: np.ndarray,
    target: Target,
    preprocessing: Preprocessing,
    seed: int,
) -> list[dict[str, Any]]:
    """How much the loss of each row grows on average if the values of a column are shuffled, the largest first.

    All features of a column are shuffled together, between rows; the mean over three shuffles. Of many rows a sample is
    used, so that all predictions of a network with so many ``parameters`` take about a second; an empty list if fewer
    than 100 rows would be left. Source: Breiman 2001, "Random Forests".
    """
    columns = preprocessing.columns
    most = min(ROWS, int(PRODUCTS / (max(1, parameters) * REPEATS * len(columns))))
    if most < LEAST_ROWS:
        return []
    if len(x) > most:
        rows = Bits(seed, "importance rows").permutation(len(x))[:most]
        x, t = x[rows], t[rows]
    before = target.losses(t, np.asarray(predict(x))).mean()
    found: list[dict[str, Any]] = []
    end = 0
    for i, column in enumerate(columns):
        start, end = end, end + len(column.features)
        after: list[float] = []
        for k in range(REPEATS):
            order = Bits(seed, f"importance {i} {k}").permutation(len(x))
            shuffled = x.copy()
            shuffled[:, start:end] = x[order, start:end]
            after.append(float(target.losses(t, np.asarray(predict(shuffled))).mean()))
        found.append({"column": column.name, "value": float(np.mean(after) - before), "rows": len(x)})
    return sorted(found, key=lambda entry: -entry["value"])


def suspects(
    x_train: np.ndarray, t_train: np.ndarray, x: np.ndarray, t: np.ndarray, target: Target, preprocessing: Preprocessing
) -> list[dict[str, Any]]:
    """Columns that alone predict the target almost exactly: they may hold the target itself.

    A column is one if the mean target of rows with similar values leaves at most 1/20 of the loss of the guess. Similar
    are rows of one category, or of one of 64 bins of equal size, between which the mean is interpolated. Of many
    training rows 20,000 are used, chosen at random.
    """
    if len(x_train) > MOST_TRAINING:
        rows = Bits(0, "suspects").permutation(len(x_train))[:MOST_TRAINING]
        x_train, t_train = x_train[rows], t_train[rows]
    guess = target.losses(t, target.baseline(t_train, len(t))).mean()
    truth = np.eye(target.outputs)[t_train] if t_train.dtype.kind == "i" else t_train.reshape(-1, 1).astype(float)
    found: list[dict[str, Any]] = []
    end = 0
    for column in preprocessing.columns:
        start, end = end, end + len(column.features)
        y = _from_one_column(x_train[:, start:end], truth, x[:, start:end])
        if t.dtype.kind == "i":
            y = (y + 1e-3) / (y + 1e-3).sum(axis=1, keepdims=True)
        explained = 1 - target.losses(t, y).mean() / max(guess, 1e-12)
        if explained > SUSPICIOUS:
            found.append({"column": column.name, "explained": float(explained)})
    return sorted(found, key=lambda entry: -entry["explained"])


def _from_one_column(x_train: np.ndarray, truth: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The mean truth (n, K) of the training rows at the value of each new row, (m, K).

    Of a column of numbers the first feature counts.
    """
    if np.isin(x_train, (0, 1)).all():  # categories: a different number for each row of zeros and ones
        code = Bits(0, "codes").uniform(x.shape[1])
        x_train, x = x_train @ code[:, None], x @ code[:, None]
    values, inverse = np.unique(x_train[:, 0], return_inverse=True)
    if len(values) > BINS:
        edges = np.unique(np.quantile(x_train[:, 0], np.linspace(0, 1, BINS + 1)[1:-1]))
        inverse = np.searchsorted(edges, x_train[:, 0], side="right")
        inverse = np.unique(inverse, return_inverse=True)[1]
        values = np.bincount(inverse, x_train[:, 0]) / np.bincount(inverse)
    counts = np.bincount(inverse)
    means = [np.bincount(inverse, column) / counts for column in truth.T]
    return np.column_stack([np.interp(x[:, 0], values, mean) for mean in means])
