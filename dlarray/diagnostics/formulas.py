"""The statistics in array operations: each function returns 0-d arrays on the device of its arguments."""

from __future__ import annotations

import math

from dlarray.core.array import Array, array_namespace, device, size
from dlarray.optimizers.clipping import scaled_norm

__all__ = ["distribution", "duplicates", "norm", "share"]

QUANTILES = {"minimum": 0.0, "lower": 0.25, "median": 0.5, "upper": 0.75, "maximum": 1.0}

TOLERANCE = 1e-4
"""Two columns are duplicates if no number differs by more than this fraction of the largest number: well above the
rounding that makes equal units differ in float32 (about 1e-6 a step), well below the differences of random columns."""


def norm(x: Array) -> Array:
    """√ Σ x², without overflow of squares."""
    largest, root = scaled_norm((x,))
    return largest * root


def share(mask: Array, like: Array) -> Array:
    """The share of True in a mask, in the dtype of ``like``."""
    xp = array_namespace(like)
    return xp.mean(xp.astype(mask, like.dtype))


def distribution(x: Array) -> dict[str, Array]:
    """Mean, standard deviation, and five quantiles by linear interpolation between neighbours."""
    xp = array_namespace(x)
    last = size(tuple(x.shape)) - 1
    ordered = xp.sort(xp.reshape(x, (-1,)))
    found = {"mean": xp.mean(x), "std": xp.std(x)}
    for name, q in QUANTILES.items():
        below = math.floor(q * last)
        part = q * last - below
        found[name] = (1 - part) * ordered[below] + part * ordered[min(below + 1, last)]
    return found


def duplicates(W: Array, g: Array) -> Array:
    """The share of the columns of W, (inputs, units), that have a duplicate: the same weights and the same gradient g.

    Duplicates have the same projection on any vector, so sorting by a projection makes them neighbours. Then each
    column is compared with its neighbours.
    """
    xp = array_namespace(W)
    if W.shape[1] < 2:
        return xp.zeros((), dtype=W.dtype, device=device(W))
    both = xp.concat([_scaled(W), _scaled(g)], axis=0)
    vector = xp.cos(xp.arange(both.shape[0], dtype=W.dtype, device=device(W)))
    columns = xp.take(both, _order(vector @ both), axis=1)
    near = xp.max(xp.abs(columns[:, 1:] - columns[:, :-1]), axis=0) <= TOLERANCE
    end = xp.zeros((1,), dtype=xp.bool, device=device(W))
    return share(xp.concat([near, end]) | xp.concat([end, near]), W)


def _order(x: Array) -> Array:
    """argsort of a vector in int32; the array API's argsort needs 64-bit integers, which some devices do not have.

    The rank of a number is how many numbers come before it. Rank and index are packed into one integer, these are
    sorted, and the indices are unpacked.
    """
    xp, n = array_namespace(x), x.shape[0]
    index = xp.arange(n, dtype=xp.int32, device=device(x))
    other, own = xp.reshape(x, (1, n)), xp.reshape(x, (n, 1))
    before = (other < own) | ((other == own) & (xp.reshape(index, (1, n)) < xp.reshape(index, (n, 1))))
    rank = xp.sum(xp.astype(before, xp.int32), axis=1, dtype=xp.int32)
    return xp.sort(rank * n + index) % n


def _scaled(x: Array) -> Array:
    """x divided by its largest absolute value; 0 stays 0."""
    xp = array_namespace(x)
    largest = xp.max(xp.abs(x))
    return x / xp.where(largest > 0, largest, 1.0)
