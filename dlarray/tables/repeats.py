"""Rows that a model is measured on although they also are among the rows that it was trained on."""

from __future__ import annotations

import numpy as np

from dlarray.tables.preprocessing import Preprocessing
from dlarray.tables.values import polars

__all__ = ["repeated_rows", "repeats_remark"]

LEAST = 0.05  # the share of the measured rows from which copies are reported
CHANCE = 0.05  # rows of few different values coincide by chance: more expected matches than this are no copies


def repeated_rows(
    x_train: np.ndarray, t_train: np.ndarray, x: np.ndarray, t: np.ndarray, preprocessing: Preprocessing
) -> int:
    """How many of the rows x, t are equal to a training row, target included; 0 if they are few.

    Also 0 if so many may coincide by chance: with p_v the shares of the values v of a column, n training rows and
    independent columns, a row has n Π Σ p_v² equal training rows on average.
    """
    known, new = _codes(x_train, t_train), _codes(x, t)
    rows = int(np.isin(new, known).sum())
    if rows < max(2, LEAST * len(x)):
        return 0
    expected = len(known) * _agreement(_codes(t_train[:, None]))
    end = 0
    for column in preprocessing.columns:
        start, end = end, end + len(column.features)
        expected *= _agreement(_codes(x_train[:, start:end]))
    return rows if expected < CHANCE else 0


def repeats_remark(repeated: int, measured: int) -> str:
    """What a reader should know about so many ``repeated_rows``."""
    return (
        f"{repeated:,} of the {measured:,} measured rows also occur among the training rows, target included: if they "
        "are copies, the metrics are too good. Remove the copies, or keep rows that belong together on one side of "
        "the split with --group COLUMN"
    )


def _codes(x: np.ndarray, t: np.ndarray | None = None) -> np.ndarray:
    """An integer for each row; equal rows have the same one."""
    frame = polars().from_numpy(x)
    if t is not None:
        frame = frame.with_columns(polars().Series("target", t))
    return frame.hash_rows().to_numpy()


def _agreement(codes: np.ndarray) -> float:
    """Σ p_v²: the probability that two random rows have the same value."""
    return float(np.sum((np.unique(codes, return_counts=True)[1] / len(codes)) ** 2))
