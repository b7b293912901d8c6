"""Weights of examples and classes: their sums, means and shares."""

from __future__ import annotations

from dlarray.core.array import Array, array_namespace

__all__ = ["largest", "mean_weight", "shares", "times"]


def shares(w: Array, terms: Array | int) -> Array:
    """w / Σ w, the sum over so many terms; 0 if Σ w is 0. w holds a number for each term, or for each row of terms.

    Weights are divided by the largest first, because the sum of a few large ones may overflow.
    """
    w = w / largest(w)
    mean = array_namespace(w).mean(w)
    return w * (1 / terms) / array_namespace(w).where(mean == 0, 1.0, mean)


def mean_weight(w: Array) -> Array:
    """(1/n) Σ w over the last axis, without overflow where Σ w itself would overflow."""
    xp = array_namespace(w)
    most = largest(w, axis=-1)
    return xp.reshape(most, tuple(w.shape)[:-1]) * xp.mean(w / most, axis=-1)


def largest(w: Array, axis: int | None = None) -> Array:
    """The largest weight, or 1 if it is 0: a divisor."""
    xp = array_namespace(w)
    most = xp.max(w, axis=axis, keepdims=True)
    return xp.where(most == 0, 1.0, most)


def times(share: Array, x: Array) -> Array:
    """share · x, and 0 if the share is 0, even for an infinite x."""
    return array_namespace(share, x).where(share == 0, 0.0, x) * share
