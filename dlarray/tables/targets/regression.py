"""Targets that are a number or a date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dlarray import metrics
from dlarray.core.array import Array, array_namespace
from dlarray.core.check import finite, one_of, plain_numbers, positive
from dlarray.core.text import escape, quote
from dlarray.losses import Loss, MeanSquaredError
from dlarray.tables.conversion import (
    BOOLEANS,
    DATES,
    DURATIONS,
    MICROSECONDS_A_DAY,
    NUMBERS,
    days,
    is_present_as,
    numbers,
)
from dlarray.tables.reading import Cells
from dlarray.tables.scaling import mean_and_deviation
from dlarray.tables.targets.base import Target
from dlarray.tables.values import as_text, polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["RegressionTarget", "check_not_far"]

LARGEST = 1e150  # so that no sum of squares is infinite


@dataclass(frozen=True)
class RegressionTarget(Target):
    """A number, or a date as days since 1970. Training sees (t - μ) / σ, predictions have the target's unit."""

    task: ClassVar[str] = "regression"

    mean: float
    scale: float
    value_kind: str = NUMBERS

    def __post_init__(self) -> None:
        plain_numbers(self)
        one_of("kind of values", self.value_kind, (NUMBERS, DATES))
        finite("mean", self.mean)
        positive("scale", self.scale)

    @classmethod
    def fit(cls, values: pl.Series | Cells) -> RegressionTarget:
        """Mean and standard deviation of a column.

        Raises ValueError if it is not numeric, is constant, or holds a number beyond 1e150.
        """
        cells = Cells.of(values)
        values = cells.typed
        if cells.kind not in (NUMBERS, BOOLEANS, DURATIONS, DATES):
            raise ValueError(f"the target {quote(values.name)} is of type {values.dtype}: regression needs numbers")
        kind = DATES if cells.kind == DATES else NUMBERS
        t = days(values) if kind == DATES else numbers(values)
        t = t[~np.isnan(t)]
        if t.min() == t.max():
            shown = escape(as_text(values.drop_nulls().head(1))[0])
            raise ValueError(f"the target {quote(values.name)} is {shown} in every row: there is nothing to learn")
        check_not_far(values.name, float(t[np.argmax(np.abs(t))]))
        return cls(values.name, *mean_and_deviation(t), kind, format=cells.format)

    @property
    def outputs(self) -> int:
        return 1

    @property
    def loss(self) -> Loss:
        return MeanSquaredError()

    @property
    def description(self) -> str:
        if self.value_kind == DATES:
            mean = self._values(np.zeros(1))[0].date()
            return f"regression of {escape(self.name)}, mean {mean}, standard deviation {self.scale:.4g} days"
        unit = f", unit {escape(self.format.unit)}" if self.format.unit else ""
        return f"regression of {escape(self.name)}, mean {self.mean:.4g}, standard deviation {self.scale:.4g}{unit}"

    def is_present(self, values: pl.Series) -> pl.Series:
        return is_present_as(values, self.value_kind, self.format)

    def refit(self, training: Cells) -> RegressionTarget:
        return RegressionTarget.fit(training)

    def encode(self, values: pl.Series) -> np.ndarray:
        t = (days if self.value_kind == DATES else numbers)(values, self.format)
        if np.isnan(t).any():
            raise ValueError(f"the target {quote(self.name)} holds values that are not {self.value_kind}")
        return ((t - self.mean) / self.scale).astype(np.float32)

    def predictions(self, y: np.ndarray) -> pl.DataFrame:
        """``prediction``: numbers, or datetimes with whole seconds if the target is a date."""
        return polars().DataFrame({"prediction": self._values(y)})

    def metrics(self, t: np.ndarray, y: np.ndarray) -> dict[str, float]:
        """R², and the root mean squared and mean absolute error in the target's unit, or in days for dates."""
        truth, predicted = self.unscale(t), self.unscale(y)
        return {
            "r2": float(metrics.r2(truth, predicted)) if np.ptp(truth) > 0 else float("nan"),
            "rmse": float(metrics.root_mean_squared_error(truth, predicted)),
            "mae": float(metrics.mean_absolute_error(truth, predicted)),
        }

    def losses(self, t: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (np.asarray(t, dtype=np.float64) - np.asarray(y, dtype=np.float64).reshape(-1)) ** 2

    def baseline(self, t: np.ndarray, rows: int) -> np.ndarray:
        """The mean of the training part's targets."""
        return np.full(rows, np.mean(t, dtype=np.float64))

    def unscale(self, y: Array) -> Array:
        """Encoded targets or outputs, (n,) or (n, 1), in the target's unit, or as days since 1970: (n,), float64."""
        xp = array_namespace(y)
        return self.mean + self.scale * xp.reshape(xp.astype(y, xp.float64), (-1,))

    def _values(self, y: np.ndarray) -> pl.Series:
        pl = polars()
        values = pl.Series(self.unscale(y))
        if self.value_kind != DATES:
            return values
        return (values * MICROSECONDS_A_DAY).cast(pl.Int64).cast(pl.Datetime("us")).dt.round("1s")


def check_not_far(name: str, value: float) -> None:
    """Raise ValueError if the value of a target that is furthest from 0 is too large to be squared."""
    if abs(value) > LARGEST:
        raise ValueError(
            f"the target {quote(name)} holds {value:.4g}: squared errors of numbers beyond {LARGEST:g} "
            "overflow. Correct the value, remove its row, or predict the logarithm"
        )
