"""Synthetic inputs of a step: arrays of the same shapes and dtypes, with numbers that a first batch seldom has.

First data are degenerate: t = 0, moments and gradients of 0, an empty mask, one class. A wrong plan can agree with the
step on them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlarray.planner.run.rounding import PATTERN

__all__ = ["synthetic_like"]

FEW = 4
"""How far synthetic integers go beyond the largest given one."""


def synthetic_like(arrays: Sequence[np.ndarray], within: bool) -> list[np.ndarray]:
    """An array like each of these: random floats of their size and sign, integers from their range, mixed masks.

    Integers go a little beyond the range, which can be a single number, unless they must stay ``within``: indices must.
    """
    draw = np.random.default_rng(0)
    return [_like(x, draw, 0 if within else FEW) for x in arrays]


def _like(x: np.ndarray, draw: np.random.Generator, beyond: int) -> np.ndarray:
    kind = x.dtype.kind
    if x.size == 0 or kind not in "biufc" or x.dtype == np.uint64:
        return x.copy()
    if kind == "b":
        return draw.random(x.shape) < 0.5
    if kind == "c":
        return (_floats(np.real(x), draw) + 1j * _floats(np.imag(x), draw)).astype(x.dtype)
    if kind == "f":
        return _floats(x, draw).astype(x.dtype)
    if x.ndim == 0:  # a later count
        most = min(int(x) + beyond, int(np.iinfo(x.dtype).max))
        return np.asarray(draw.integers(min(int(x) + 1, most), most, endpoint=True), x.dtype)
    most = np.minimum(np.iinfo(x.dtype).max - beyond, x.max(axis=0)) + beyond
    return draw.integers(x.min(axis=0), most, x.shape, endpoint=True, dtype=x.dtype)


def _floats(x: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Floats of about this size, at most 1, and not negative if x is not; labels in float columns stay labels.

    A large array repeats its numbers, as in ``rounding``.
    """
    finite = np.isfinite(x)
    size = np.abs(x if np.all(finite) else np.where(finite, x, 0))
    most = float(size.max())
    if x.ndim == 0:
        return np.asarray((float(x) if most else 0.5) * draw.uniform(0.5, 1.5))
    usual = most * float(np.sqrt(np.mean(np.square(size / most), dtype=np.float64))) if most else 1.0
    numbers = draw.standard_normal(min(x.size, PATTERN)) * min(usual, 1.0)
    if x.min() >= 0:
        numbers = np.abs(numbers)
    made = np.resize(numbers.astype(x.dtype), x.shape)
    sizes = size.max(axis=0).astype(np.float64)
    if np.any(sizes > 1):
        low, high = x.min(axis=0), x.max(axis=0)
        labels = np.all(x == np.rint(x), axis=0) & (sizes > 1) & (low < high) & (sizes < 2**31)
        if np.any(labels):
            low, high = (np.where(labels, a, 0).astype(np.int64) for a in (low, high))
            made = np.where(labels, draw.integers(low, high, x.shape, endpoint=True), made)
    return made
