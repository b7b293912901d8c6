"""Columns of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dlarray.core.check import finite, positive
from dlarray.tables.columns.base import Column
from dlarray.tables.conversion import numbers
from dlarray.tables.numerals import check_decimal
from dlarray.tables.reading import Cells
from dlarray.tables.scaling import mean_and_deviation, standardize

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Number"]


@dataclass(frozen=True)
class Number(Column):
    """x → (x - μ) / σ. A missing x is replaced by the median; μ and σ are those of the column after that.

    Infinite values count as missing. Scaled values are clipped to ±10⁶. ``decimal`` is the decimal mark of numbers
    written as text, if the training part shows it.
    Source: scikit-learn's SimpleImputer(strategy="median", add_indicator=True) and StandardScaler.
    """

    median: float
    mean: float
    scale: float
    decimal: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        finite("median", self.median)
        finite("mean", self.mean)
        positive("scale", self.scale)
        check_decimal(self.decimal)

    @classmethod
    def fit(cls, cells: Cells) -> Number:
        """The column fitted to the training part, which must have at least one value."""
        x = numbers(cells.typed)
        missing = np.isnan(x)
        median = float(np.median(x[~missing]))
        filled = np.where(missing, median, x)
        return cls(cells.name, int(missing.sum()), median, *mean_and_deviation(filled), cells.decimal)

    @property
    def features(self) -> tuple[str, ...]:
        return self.with_indicator(self.name)

    @property
    def description(self) -> str:
        scaled = f"(x {'-' if self.mean >= 0 else '+'} {abs(self.mean):.4g}) / {self.scale:.4g}"
        comma = "; decimal comma" if self.decimal == "," else ""
        return scaled + comma + self.describe_missing(f"replaced by the median {self.median:.4g}, with an indicator")

    def transform(self, values: pl.Series) -> np.ndarray:
        x = numbers(values, self.decimal)
        missing = np.isnan(x)
        self.warn_missing(int(missing.sum()))
        return self.add_indicator(standardize(np.where(missing, self.median, x), self.mean, self.scale), missing)
