"""Weights of examples and classes: how they are added up, and what each counts of them all."""

from __future__ import annotations

from dlarray.core.array import Array, array_namespace

__all__ = ["largest", "mean_weight", "shares", "times"]


def shares(w: Array, terms: int) -> Array:
    """w / Σ w over so many terms, for each of which, or for each row of which, w holds a number; 0 where Σ w is.

    Divided by the largest first: the sum of a few large weights would overflow.
    """
    w = w / largest(w)
    mean = array_namespace(w).mean(w)
    return w * (1 / terms) / array_namespace(w).where(mean == 0, 1.0, mean)


def mean_weight(w: Array) -> Array:
    """(1/n) Σ w over the last axis, which is in the range of the dtype wherever each w is; Σ w need not be."""
    xp = array_namespace(w)
    most = largest(w, axis=-1)
    return xp.reshape(most, w.shape[:-1]) * xp.mean(w / most, axis=-1)


def largest(w: Array, axis: int | None = None) -> Array:
    """The largest weight, and 1 where it is 0: what may be divided by."""
    xp = array_namespace(w)
    most = xp.max(w, axis=axis, keepdims=True)
    return xp.where(most == 0, 1.0, most)


def times(share: Array, x: Array) -> Array:
    """share · x, which is 0 where the share is: of nothing, even an infinite x adds nothing."""
    return array_namespace(share, x).where(share == 0, 0.0, x) * share
