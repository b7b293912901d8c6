"""Columns of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from dlarray.core.array import Array, array_namespace
from dlarray.core.check import finite, positive
from dlarray.core.text import escape
from dlarray.tables.columns.base import Column
from dlarray.tables.conversion import numbers
from dlarray.tables.reading import Cells
from dlarray.tables.scaling import LIMIT, piecewise, robust_mean_and_deviation, standardize

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Number"]

FAR = 5.0  # standard deviations; values further away are clipped
LEAST_KNOTS = 4


@dataclass(frozen=True)
class Number(Column):
    """x → (x - μ) / σ, clipped to ±``limit``, and a feature for each piece between two ``knots``.

    A missing x is replaced by the median. Then μ and σ are those of the column with far values moved to limits
    (``robust_mean_and_deviation``), and the knots its quantiles; the pieces are those of ``piecewise``. Infinite values
    count as missing.
    Source: scikit-learn's SimpleImputer(strategy="median", add_indicator=True) and StandardScaler.
    """

    median: float
    mean: float
    scale: float
    limit: float = LIMIT
    knots: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        finite("median", self.median)
        finite("mean", self.mean)
        positive("scale", self.scale)
        positive("limit", self.limit)
        object.__setattr__(self, "knots", tuple(finite("a knot", k) for k in self.knots))
        if len(self.knots) == 1 or not all(a < b for a, b in pairwise(self.knots)):
            raise ValueError(f"knots must be at least two growing numbers or none, got {self.knots!r}")

    @classmethod
    def fit(cls, cells: Cells, pieces: int = 0) -> Number:
        """The column fitted to the training part, which must have at least one value.

        ``pieces`` is the largest number of pieces, with equally many rows if all values are different. A column with
        fewer than four different quantiles has none.
        """
        x = numbers(cells.typed)
        missing = np.isnan(x)
        median = float(np.median(x[~missing]))
        filled = np.where(missing, median, x)
        knots = np.unique(np.quantile(filled, np.linspace(0, 1, pieces + 1))) if pieces else np.empty(0)
        return cls(
            cells.name,
            int(missing.sum()),
            median,
            *robust_mean_and_deviation(filled),
            limit=FAR,
            knots=tuple(knots.tolist()) if len(knots) >= LEAST_KNOTS else (),
            format=cells.format,
        )

    @property
    def features(self) -> tuple[str, ...]:
        return self.with_indicator(self.name, *(f"{self.name} {a:.4g} to {b:.4g}" for a, b in pairwise(self.knots)))

    @property
    def pieces(self) -> int:
        return max(0, len(self.knots) - 1)

    @property
    def description(self) -> str:
        scaled = f"(x {'-' if self.mean >= 0 else '+'} {abs(self.mean):.4g}) / {self.scale:.4g}"
        comma = "; decimal comma" if self.format.decimal == "," else ""
        parts = f"; {self.pieces} pieces" if self.pieces else ""
        unit = f"; unit {escape(self.format.unit)}" if self.format.unit else ""
        return (
            scaled
            + parts
            + comma
            + unit
            + self.describe_missing(f"replaced by the median {self.median:.4g}, with an indicator")
        )

    def read(self, values: pl.Series) -> np.ndarray:
        """Float64, NaN for a missing value."""
        x = numbers(values, self.format)
        self.warn_missing(int(np.isnan(x).sum()))
        return x

    def encode(self, x: Array) -> Array:
        xp = array_namespace(x)
        missing = xp.isnan(x)
        x = xp.where(missing, self.median, x)
        pieces = [piecewise(x, xp.asarray(self.knots, dtype=x.dtype))] if self.knots else []
        return self.add_indicator([standardize(x, self.mean, self.scale, self.limit), *pieces], missing)
