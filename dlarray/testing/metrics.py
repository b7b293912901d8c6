"""Every metric of the library, with and without weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from dlarray import metrics
from dlarray.core.array import Array
from dlarray.testing.check import Check, Deviation
from dlarray.testing.columns import Column
from dlarray.testing.contract import BASIC
from dlarray.testing.formula import beside, largest

__all__ = ["LIMIT", "checks"]

LIMIT = 8.0
"""In ulp of max(|value|, 1): a metric is a mean over 12 examples."""

OPTIONS: dict[str, dict[str, object]] = {"top_k_accuracy": {"k": 2}}
"""Arguments without which a metric cannot be called with four classes."""


def checks() -> list[Check]:
    """One check for each metric."""
    return [Check("metrics", name, partial(_measure, getattr(metrics, name)), BASIC, LIMIT) for name in metrics.__all__]


def _measure(metric: Callable[..., Array], column: Column) -> Deviation:
    def run(y: Array, p: Array, weight: Array | None, options: dict[str, object]) -> dict[str, Array]:
        return {"value": metric(y, p, weight=weight, **options)}

    weight = np.random.default_rng(4).uniform(0.5, 2.0, 12)
    return largest(
        (f"{name}{'' if w is None else ', weighted'}", partial(beside, column, run, y, p, w, options))
        for name, y, p, options in _given(metric)
        for w in (None, weight)
    )


def _given(metric: Callable[..., Array]) -> list[tuple[str, np.ndarray, np.ndarray, dict[str, object]]]:
    """Targets and predictions that the metric takes: numbers, labels and scores, or labels and rows of scores."""
    rng = np.random.default_rng(6)
    name = metric.__name__
    if metric.__module__ == metrics.mean_squared_error.__module__:
        return [("numbers", rng.uniform(0.5, 4, (12, 2)), rng.uniform(0.5, 4, (12, 2)), {})]
    labels, rows = rng.integers(0, 4, 12), rng.dirichlet(np.ones(4), 12)
    if name in OPTIONS:
        return [("four classes", labels, rows, OPTIONS[name])]
    several: dict[str, object] = {"average": "macro"} if name in ("f1", "fbeta", "precision", "recall") else {}
    return [
        ("two classes", rng.integers(0, 2, 12), rng.uniform(size=12), {}),
        ("four classes", labels, rows, several),
    ]
