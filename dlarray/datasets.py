"""Real data that comes with installed packages, split and standardised.

Needs scikit-learn: ``pip install "dlarray[data]"``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray.core.random import Bits

__all__ = ["Split", "digits", "standardise", "stratified"]


@dataclass(frozen=True)
class Split:
    """Examples for training and examples for the test, host arrays.

    ``images_test`` is what the latter look like: (examples, height, width).
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    images_test: np.ndarray


def digits(seed: int = 0, test: float = 0.2) -> Split:
    """Handwritten digits: 1,797 images of 8 by 8 pixels, 64 inputs each, with the labels 0 to 9.

    A share of ``test`` of each label is set apart at random; both parts are standardised by the means and deviations of
    the training part. float32 and int32. From scikit-learn's ``load_digits`` (E. Alpaydin and C. Kaynak 1998).
    Raises ImportError with the remedy where scikit-learn is not installed.
    """
    x, y = _load_digits()
    chosen = stratified(y, test, seed)
    x_train, x_test = standardise(x[~chosen], x[chosen])
    return Split(x_train, y[~chosen], x_test, y[chosen], x[chosen].reshape(-1, 8, 8))


def stratified(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A boolean mask that chooses this share of each label at random, at least one example of each."""
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        order = Bits(seed, f"split {label}").permutation(len(rows))
        chosen[rows[order[: max(1, round(share * len(rows)))]]] = True
    return chosen


def standardise(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """(x - μ) / σ by feature, with μ and σ of the first array; a feature that never changes becomes 0. float32."""
    mean = train.mean(axis=0)
    changes = train.max(axis=0) > train.min(axis=0)  # the deviation of equal numbers is 0 up to rounding alone
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
