"""Rows for training and rows for validation, by the seed."""

from __future__ import annotations

import numpy as np

from dlarray.core.check import fraction
from dlarray.core.random import Bits

__all__ = ["split"]


def split(t: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A boolean mask over the rows that sets this share of them apart for validation, at random by the seed.

    Class labels (integers) are stratified: each class gives its share, at least one row where it has two, and keeps at
    least one. Raises ValueError for a share outside [0, 1) and where one of the parts would be empty.
    """
    fraction("validation", share)
    chosen = np.zeros(len(t), dtype=bool)
    groups = [np.flatnonzero(t == k) for k in np.unique(t)] if t.dtype.kind == "i" else [np.arange(len(t))]
    for i, rows in enumerate(groups):
        order = Bits(seed, f"validation {i}").permutation(len(rows))
        chosen[rows[order[: min(max(1, round(share * len(rows))), len(rows) - 1)]]] = True
    if share and not chosen.any():
        raise ValueError(f"{len(t)} rows are too few to set some of them apart: more rows, or validation 0")
    return chosen if share else np.zeros(len(t), dtype=bool)
