"""Means, deviations, extremes and classes of data in blocks, by one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray.core.check import count
from dlarray.core.html import html_table

__all__ = ["ColumnStatistics", "Statistics", "StatisticsPass"]

SHOWN = 20
"""The columns that a notebook shows."""


@dataclass(frozen=True)
class ColumnStatistics:
    """Statistics of each column, vectors of float64. Numbers that are NaN or infinite are counted and left out.

    ``deviation`` is the square root of Σ (x - mean)² / n. All but the counts are NaN for a column without numbers.
    """

    count: np.ndarray
    missing: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray


@dataclass(frozen=True)
class Statistics:
    """What ``Blocks.statistics`` finds: of the inputs x, and of the targets y, if these are numbers and no labels.

    ``classes`` has the number of rows of each label, in order, if y holds labels: integers, booleans or texts.
    """

    rows: int
    x: ColumnStatistics
    y: ColumnStatistics | None
    classes: Mapping[Any, int] | None

    def __repr__(self) -> str:
        parts = [count(self.rows, "row"), count(len(self.x.mean), "column")]
        if missing := int(self.x.missing.sum()):
            parts.append(f"{missing:,} missing")
        if self.classes is not None:
            parts.append(f"{len(self.classes):,} {'class' if len(self.classes) == 1 else 'classes'}")
        return f"Statistics({', '.join(parts)})"

    def _repr_html_(self) -> str:
        names = ("mean", "deviation", "minimum", "maximum", "missing")
        columns = [getattr(self.x, name) for name in names]
        rows = [(str(i), *(f"{column[i]:.4g}" for column in columns)) for i in range(min(len(self.x.mean), SHOWN))]
        return html_table(repr(self), ("column", *names), rows)


class StatisticsPass:
    """Adds up blocks. Two parts are merged by the formulas of Chan, Golub and LeVeque (1979).

    With δ the difference of the means: mean = m_a + δ n_b / n, Σ (x - mean)² = M_a + M_b + δ² n_a n_b / n.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._x: _Moments | None = None
        self._y: _Moments | None = None
        self._classes: Counter[Any] | None = None

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Add the rows of a block."""
        self._rows += len(x)
        self._x = _merged(self._x, x)
        if y.dtype.kind == "f":
            self._y = _merged(self._y, y)
        elif y.ndim == 1:
            labels, counts = np.unique(y, return_counts=True)
            self._classes = self._classes or Counter()
            self._classes.update(dict(zip(labels.tolist(), counts.tolist(), strict=True)))

    def result(self) -> Statistics:
        """The statistics of all rows. Raises ValueError if there was none."""
        if self._x is None:
            raise ValueError("the data have no rows")
        classes = None if self._classes is None else {label: self._classes[label] for label in sorted(self._classes)}
        return Statistics(self._rows, self._x.result(), None if self._y is None else self._y.result(), classes)


@dataclass(frozen=True)
class _Moments:
    n: np.ndarray
    missing: np.ndarray
    mean: np.ndarray
    squares: np.ndarray
    """Σ (x - mean)²."""
    minimum: np.ndarray
    maximum: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> _Moments:
        x = x.reshape(len(x), -1).astype(np.float64)
        finite = np.isfinite(x)
        n = finite.sum(axis=0).astype(np.float64)
        low, high = np.where(finite, x, np.inf).min(axis=0), np.where(finite, x, -np.inf).max(axis=0)
        x = np.where(finite, x, 0.0)
        mean = x.sum(axis=0) / np.maximum(n, 1)
        x -= mean
        return cls(n, len(x) - n, mean, np.where(finite, x * x, 0.0).sum(axis=0), low, high)

    def merged(self, b: _Moments) -> _Moments:
        n = self.n + b.n
        delta, share = b.mean - self.mean, b.n / np.maximum(n, 1)
        return _Moments(
            n,
            self.missing + b.missing,
            self.mean + delta * share,
            self.squares + b.squares + delta * delta * self.n * share,
            np.minimum(self.minimum, b.minimum),
            np.maximum(self.maximum, b.maximum),
        )

    def result(self) -> ColumnStatistics:
        some = self.n > 0

        def known(x: np.ndarray) -> np.ndarray:
            return np.where(some, x, np.nan)

        deviation = np.sqrt(self.squares / np.maximum(self.n, 1))
        return ColumnStatistics(
            self.n.astype(np.int64),
            self.missing.astype(np.int64),
            known(self.mean),
            known(deviation),
            known(self.minimum),
            known(self.maximum),
        )


def _merged(before: _Moments | None, x: np.ndarray) -> _Moments | None:
    if not len(x):
        return before
    return _Moments.of(x) if before is None else before.merged(_Moments.of(x))
