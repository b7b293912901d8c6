"""Columns of dates, datetimes or times of day."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dlarray.core.array import Array, array_namespace
from dlarray.core.check import finite, positive
from dlarray.core.text import escape
from dlarray.tables.columns.base import Column
from dlarray.tables.conversion import TIMES, day_fractions, days
from dlarray.tables.reading import Cells
from dlarray.tables.scaling import mean_and_deviation, standardize

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Date"]

CYCLES = {"year": 365.2425, "week": 7.0, "day": 1.0}  # days


@dataclass(frozen=True)
class Date(Column):
    """Days since 1970, scaled like a ``Number``, and sin and cos of 2π days / period for each of the ``cycles``.

    The cycles are the year (365.2425 days), the week and, if the time of day varies, the day. A missing value becomes
    the median day, and 0 for sin and cos. Datetimes with an offset are converted to UTC. Times of day, which have no
    date and no year, are parts of a day.
    """

    median: float
    mean: float
    scale: float
    cycles: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "cycles", tuple(self.cycles))
        finite("median", self.median)
        finite("mean", self.mean)
        positive("scale", self.scale)
        if not set(self.cycles) <= CYCLES.keys():
            raise ValueError(f"cycles must be among {', '.join(CYCLES)}, got {self.cycles!r}")

    @classmethod
    def fit(cls, cells: Cells) -> Date:
        """The column fitted to the training part, which must have at least one value."""
        is_time = cells.kind == TIMES
        x = (day_fractions if is_time else days)(cells.typed)
        missing = np.isnan(x)
        present = x[~missing]
        cycles = [] if is_time else ["year", "week"]
        cycles += ["day"] if np.any(present % 1 != present[0] % 1) else []
        median = float(np.median(present))
        filled = np.where(missing, median, x)
        return cls(
            cells.name, int(missing.sum()), median, *mean_and_deviation(filled), tuple(cycles), format=cells.format
        )

    @property
    def features(self) -> tuple[str, ...]:
        waves = [f"{wave} of {self.name}'s {cycle}" for cycle in self.cycles for wave in ("sin", "cos")]
        return self.with_indicator(self.name, *waves)

    @property
    def description(self) -> str:
        cycles = "".join(f"; sin and cos of the {cycle}" for cycle in self.cycles)
        written = f"; written as {escape(self.format.date)}" if self.format.date else ""
        return "days, scaled" + cycles + written + self.describe_missing("replaced by the median, with an indicator")

    @property
    def is_time(self) -> bool:
        """Whether the values are times of day, without a date."""
        return "year" not in self.cycles

    def read(self, values: pl.Series) -> np.ndarray:
        """Days since 1970, or parts of a day, as float64; NaN for a missing value."""
        x = (day_fractions if self.is_time else days)(values, self.format)
        self.warn_missing(int(np.isnan(x).sum()))
        return x

    def encode(self, x: Array) -> Array:
        xp = array_namespace(x)
        missing = xp.isnan(x)
        parts = [standardize(xp.where(missing, self.median, x), self.mean, self.scale)]
        for cycle in self.cycles:
            angle = 2 * math.pi * xp.where(missing, 0.0, x) / CYCLES[cycle]
            parts += [xp.where(missing, 0.0, wave(angle)) for wave in (xp.sin, xp.cos)]
        return self.add_indicator(parts, missing)
