"""Metrics of predicted numbers: their distance from the targets. Means are over examples and outputs."""

from __future__ import annotations

from dlarray.core.array import Array, array_namespace, size
from dlarray.losses import (
    Loss,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    RootMeanSquaredError,
)
from dlarray.losses.values import refuse
from dlarray.metrics.reading import example_weights, mean

__all__ = [
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "r2",
    "root_mean_squared_error",
]


def mean_squared_error(y: Array, p: Array, *, weight: Array | None = None) -> Array:
    """The mean of (p - y)²."""
    return _mean(MeanSquaredError(), y, p, weight)


def mean_absolute_error(y: Array, p: Array, *, weight: Array | None = None) -> Array:
    """The mean of |p - y|."""
    return _mean(MeanAbsoluteError(), y, p, weight)


def root_mean_squared_error(y: Array, p: Array, *, weight: Array | None = None) -> Array:
    """The root of the mean of (p - y)²."""
    return _mean(RootMeanSquaredError(), y, p, weight)


def mean_absolute_percentage_error(y: Array, p: Array, *, weight: Array | None = None) -> Array:
    """The mean of |p - y| / |y|, as a share: 0.1 is 10 %. For a y near 0 it is huge."""
    return _mean(MeanAbsolutePercentageError(), y, p, weight)


def mean_squared_logarithmic_error(y: Array, p: Array, *, weight: Array | None = None) -> Array:
    """The mean of (log(1 + p) - log(1 + y))². Raises ValueError for a number of -1 or less."""
    refuse("mean_squared_logarithmic_error", p, p <= -1, "predictions must be above -1", "use mean_squared_error")
    return _mean(MeanSquaredLogarithmicError(from_logits=False), y, p, weight)


def r2(y: Array, p: Array, *, weight: Array | None = None) -> Array:
    """R² = 1 - mean (y - p)² / var y: the share of y's variance that p explains; of several outputs the mean.

    1 is perfect, 0 as good as the mean of y, and R² may be below 0. For a constant y, which has no variance, it is 1 if
    p is exactly right, else 0. Source: scikit-learn's r2_score.
    """
    xp, squares = array_namespace(y, p), MeanSquaredError(reduction="none")
    if size(tuple(p.shape)) == 0:
        raise ValueError(f"R² of no examples, predictions of shape {tuple(p.shape)}, is not defined")
    error = mean(squares.forward(p, y)[0], weight)
    y = xp.astype(y, p.dtype)
    low = high = y
    if weight is not None:
        counts = xp.reshape(weight, (-1, *[1] * (y.ndim - 1))) > 0
        low, high = (xp.where(counts, y, end) for end in (float("inf"), float("-inf")))
    constant = xp.max(high, axis=0) <= xp.min(low, axis=0)  # exact, unlike a comparison of the variance with 0
    d = y - mean(y, weight)
    explained = 1 - error / xp.where(constant, 1.0, mean(d * d, weight))
    return xp.mean(xp.where(constant, xp.astype(error == 0, p.dtype), explained))


def _mean(loss: Loss, y: Array, p: Array, weight: Array | None) -> Array:
    if weight is not None:  # of weights that are all 0 a loss is 0, and a metric is an error
        example_weights(weight, p.shape[0], p.dtype)
    return loss.forward(p, y, weight)[0]
