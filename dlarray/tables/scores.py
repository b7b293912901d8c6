"""Scores that say more than one number: those of each class, and quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlarray import metrics

__all__ = ["class_scores", "quantiles"]

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def class_scores(t: np.ndarray, chosen: np.ndarray, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """For each class: label, rows, precision and recall, JSON-ready; from true and predicted labels.

    Of a class without rows nothing is known: both are None.
    """
    precision, recall = (
        np.asarray(score(t, chosen, average=None, classes=len(names))) for score in (metrics.precision, metrics.recall)
    )
    rows = np.bincount(t, minlength=len(names))

    def known(score: np.ndarray, k: int) -> float | None:
        return float(score[k]) if rows[k] else None

    return [
        {"label": name, "rows": int(rows[k]), "precision": known(precision, k), "recall": known(recall, k)}
        for k, name in enumerate(names)
    ]


def quantiles(truth: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Quantiles of the truth, of the predictions and of the errors (prediction - truth), JSON-ready."""
    values = {"truth": truth, "prediction": predicted, "error": predicted - truth}
    found = {name: [float(q) for q in np.quantile(v, SHARES)] for name, v in values.items()}
    return {"shares": list(SHARES), **found}
