"""Columns of booleans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dlarray.core.array import Array, array_namespace
from dlarray.tables.columns.base import Column
from dlarray.tables.conversion import booleans
from dlarray.tables.reading import Cells

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Boolean"]


@dataclass(frozen=True)
class Boolean(Column):
    """False and true as 0 and 1; a missing value as the more frequent of them.

    Source: scikit-learn's SimpleImputer(strategy="most_frequent", add_indicator=True).
    """

    fill: bool

    @classmethod
    def fit(cls, cells: Cells) -> Boolean:
        """The column fitted to the training part, which must have at least one value."""
        x = booleans(cells.typed)
        missing = np.isnan(x)
        return cls(cells.name, int(missing.sum()), bool(np.mean(x[~missing]) > 0.5), format=cells.format)

    @property
    def features(self) -> tuple[str, ...]:
        return self.with_indicator(self.name)

    @property
    def description(self) -> str:
        return "0 and 1" + self.describe_missing(f"replaced by {int(self.fill)}, with an indicator")

    def read(self, values: pl.Series) -> np.ndarray:
        """0 and 1 as float64, NaN for a missing value."""
        x = booleans(values, self.format)
        self.warn_missing(int(np.isnan(x).sum()))
        return x

    def encode(self, x: Array) -> Array:
        xp = array_namespace(x)
        missing = xp.isnan(x)
        return self.add_indicator([xp.where(missing, float(self.fill), x)], missing)
