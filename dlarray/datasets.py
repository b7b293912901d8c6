"""Data sets that come with installed packages, split and standardized.

Needs scikit-learn: ``pip install "dlarray[data]"``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray.core.random import Bits

__all__ = ["Split", "digits", "standardize", "stratified"]


@dataclass(frozen=True)
class Split:
    """Examples for training and examples for the test, as NumPy arrays.

    ``images_test`` holds the images of the test part: (examples, height, width).
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    images_test: np.ndarray


def digits(seed: int = 0, test: float = 0.2) -> Split:
    """Handwritten digits: 1,797 images of 8 by 8 pixels, 64 inputs each, with the labels 0 to 9.

    A share ``test`` of each label is held out at random; both parts are standardized by the means and deviations of the
    training part. float32 and int32. From scikit-learn's ``load_digits`` (E. Alpaydin and C. Kaynak 1998). Raises
    ImportError with the remedy if scikit-learn is not installed.
    """
    x, y = _load_digits()
    chosen = stratified(y, test, seed)
    x_train, x_test = standardize(x[~chosen], x[chosen])
    return Split(x_train, y[~chosen], x_test, y[chosen], x[chosen].reshape(-1, 8, 8))


def stratified(labels: np.ndarray, share: float, seed: int, stream: str = "split") -> np.ndarray:
    """A boolean mask that chooses this share of each label at random.

    It chooses at least one example of each label and leaves at least one; of a label with a single example it chooses
    none. ``stream`` names the random numbers: two names give two independent splits.
    """
    chosen = np.zeros(len(labels), dtype=bool)
    for i, label in enumerate(np.unique(labels)):
        rows = np.flatnonzero(labels == label)
        order = Bits(seed, f"{stream} {i}").permutation(len(rows))
        chosen[rows[order[: min(max(1, round(share * len(rows))), len(rows) - 1)]]] = True
    return chosen


def standardize(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """(x - μ) / σ by feature, with μ and σ of the first array; a feature that never changes becomes 0. float32."""
    mean = train.mean(axis=0)
    changes = train.max(axis=0) > train.min(axis=0)  # the deviation of equal numbers is 0 only up to rounding
    deviation = np.where(changes, train.std(axis=0), 1.0)
    return [((x - mean) / deviation).astype(np.float32) for x in (train, *others)]


def _load_digits() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError('the digits come with scikit-learn: pip install "dlarray[data]"') from error
    loader: Any = datasets
    data = loader.load_digits()
    return data.data, data.target.astype(np.int32)
