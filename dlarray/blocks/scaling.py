"""Standardized inputs: x minus the mean of its column, divided by the deviation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dlarray.blocks.statistics import ColumnStatistics
from dlarray.core.check import finite, positive

__all__ = ["Standardizer"]


@dataclass(frozen=True)
class Standardizer:
    """z = (x - mean) / deviation for each column: mean 0 and deviation 1 on the rows that it was made of.

    ``Blocks.standardized`` applies it while blocks are read. A model that was trained so needs it for its predictions:
    ``trained.predict(standardizer(x))``. ``to_data`` and ``from_data`` store it, such as in the notes of a model.
    Raises ValueError for numbers that are not finite, for a deviation that is not above 0 and for vectors of different
    lengths.
    """

    mean: Sequence[float]
    deviation: Sequence[float]

    def __post_init__(self) -> None:
        """Check the numbers, and convert them to Python's."""
        object.__setattr__(self, "mean", tuple(finite("mean", float(m)) for m in self.mean))
        object.__setattr__(self, "deviation", tuple(positive("deviation", float(d)) for d in self.deviation))
        if len(self.mean) != len(self.deviation):
            raise ValueError(f"mean has {len(self.mean)} numbers, and deviation {len(self.deviation)}")

    @classmethod
    def of(cls, columns: ColumnStatistics) -> Self:
        """That of these statistics: ``Standardizer.of(blocks.statistics().x)``. Constant columns are only shifted."""
        deviation = np.where(columns.deviation > 0, columns.deviation, 1.0)  # NaN too: a column without numbers
        return cls(np.where(np.isnan(columns.mean), 0.0, columns.mean).tolist(), deviation.tolist())

    def __call__(self, x: Any) -> np.ndarray:
        """The standardized columns of a host array: float64 if x is, else float32, computed in float64."""
        given = np.asarray(x)
        z = given - np.asarray(self.mean)
        z /= np.asarray(self.deviation)
        return z if given.dtype == np.float64 else z.astype(np.float32)

    def to_data(self) -> dict[str, list[float]]:
        """The numbers as data for JSON."""
        return {"mean": list(self.mean), "deviation": list(self.deviation)}

    @classmethod
    def from_data(cls, data: Mapping[str, Sequence[float]]) -> Self:
        """The standardizer that ``to_data`` wrote."""
        return cls(data["mean"], data["deviation"])
