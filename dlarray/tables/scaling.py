"""The scaling of numbers to mean 0 and standard deviation 1."""

from __future__ import annotations

import numpy as np

__all__ = ["mean_and_deviation", "standardize"]

LIMIT = 1e6  # scaled values are clipped to it, so that no float32 becomes infinite


def mean_and_deviation(x: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation; 1 for the deviation of constant values. Scaled first: squares of 1e300 overflow."""
    largest = float(np.max(np.abs(x))) or 1.0
    scaled = x / largest
    varies = np.max(x) > np.min(x)
    return largest * float(np.mean(scaled)), (largest * float(np.std(scaled)) if varies else 1.0) or 1.0


def standardize(x: np.ndarray, mean: float, scale: float) -> np.ndarray:
    """(x - μ) / σ, clipped to what float32 can hold."""
    with np.errstate(over="ignore"):
        return np.clip((x - mean) / scale, -LIMIT, LIMIT)
