"""The split of rows into training and validation."""

from __future__ import annotations

import numpy as np

from dlarray.core.check import fraction
from dlarray.datasets import stratified

__all__ = ["split"]


def split(t: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A boolean mask of the rows that are held out for validation: this share of them, at random by the seed.

    Class labels (integers) are stratified: this share of each class is held out, at least one row if the class has two,
    and at least one row stays. Raises ValueError for a share outside [0, 1), and if one of the parts would be empty.
    """
    if not fraction("validation", share):
        return np.zeros(len(t), dtype=bool)
    labels = t if t.dtype.kind == "i" else np.zeros(len(t), dtype=np.int32)
    held_out = stratified(labels, share, seed, "validation")
    if not held_out.any():
        reason = "there is only one row" if len(t) == 1 else "every class has only one row"
        raise ValueError(f"no row can be held out for validation, because {reason}: give more rows, or validation 0")
    return held_out
