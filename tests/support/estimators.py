"""Small data sets and short trainings for tests of the estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import make_classification, make_regression


def classes(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    x, y = make_classification(n, 5, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
    return x, y


def numbers(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    x, y = make_regression(n, 4, n_targets=2, random_state=0)
    return x, y / 100


SMALL: dict[str, Any] = {"hidden_layer_sizes": 6, "random_state": 1, "max_iter": 4, "batch_size": 25}
