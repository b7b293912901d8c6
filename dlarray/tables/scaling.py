"""The scaling of numbers to mean 0 and standard deviation 1, and their encoding in pieces."""

from __future__ import annotations

import numpy as np

from dlarray.core.array import Array, array_namespace, clip

__all__ = ["LIMIT", "limits", "mean_and_deviation", "piecewise", "robust_mean_and_deviation", "standardize"]

LIMIT = 1e6  # scaled values are clipped to it, so that no float32 becomes infinite


def mean_and_deviation(x: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation; 1 for the deviation of constant values. Scaled first: squares of 1e300 overflow."""
    largest = float(np.max(np.abs(x))) or 1.0
    scaled = x / largest
    varies = np.max(x) > np.min(x)
    return largest * float(np.mean(scaled)), (largest * float(np.std(scaled)) if varies else 1.0) or 1.0


def robust_mean_and_deviation(x: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation after far values have been moved to limits, so that one cannot hide the others.

    The limits are q₁ - r and q₉₉ + r, r = q₉₉ - q₁ of the percentiles; if these are equal, those of the values that
    differ from the median. Normal numbers are not moved.
    """
    low, high = limits(x)
    with np.errstate(over="ignore", invalid="ignore"):
        return mean_and_deviation(np.clip(x, low, high) if low < high else x)


def limits(x: np.ndarray) -> tuple[float, float]:
    """The limits of ``robust_mean_and_deviation``; equal ones if no value is to be moved."""
    with np.errstate(over="ignore", invalid="ignore"):
        low, median, high = np.quantile(x, [0.01, 0.5, 0.99])
        if low == high and np.any(others := x != median):
            low, high = np.quantile(np.append(x[others], median), [0.01, 0.99])
        reach = high - low
        return float(low - reach), float(high + reach)


def standardize(x: Array, mean: float, scale: float, limit: float = LIMIT) -> Array:
    """(x - μ) / σ, clipped to ±limit; that of 10⁶ is what float32 can hold."""
    with np.errstate(over="ignore"):
        return clip((x - mean) / scale, -limit, limit)


def piecewise(x: Array, knots: Array) -> Array:
    """min(1, max(0, (x - k_i) / (k_{i+1} - k_i))) - ½ for each piece between two of the growing ``knots``.

    A weighted sum of them is any function of x that is linear between the knots and constant outside. Gorishniy,
    Rubachev and Babenko 2022, "On Embeddings for Numerical Features in Tabular Deep Learning".
    """
    column = array_namespace(x).reshape(x, (-1, 1))
    with np.errstate(over="ignore"):
        return clip((column - knots[:-1]) / (knots[1:] - knots[:-1]), 0.0, 1.0) - 0.5
