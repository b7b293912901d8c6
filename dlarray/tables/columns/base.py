"""The base class of columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dlarray.core.check import count, plain_numbers
from dlarray.core.registry import classes, spelling
from dlarray.tables.values import warn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Column"]


@dataclass(frozen=True)
class Column(ABC):
    """One column of the table: its ``name``, and the number of rows of the training part in which it was ``missing``.

    If there are such rows, the last feature is a missing-value indicator: 1 for a missing value, 0 for others.
    """

    abstract: ClassVar[bool] = True

    name: str
    missing: int

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """The names of its features."""

    @property
    @abstractmethod
    def description(self) -> str:
        """Its preprocessing in words."""

    @abstractmethod
    def transform(self, values: pl.Series) -> np.ndarray:
        """The features of new values, float32 (rows, features); each row depends on its own value alone.

        A ``TableWarning`` reports values that training did not have. Raises ValueError for values of another kind.
        """

    def as_data(self) -> dict[str, Any]:
        """The column as JSON-ready data."""
        return {"kind": spelling(type(self)), **asdict(self)}

    @staticmethod
    def from_data(data: dict[str, Any]) -> Column:
        """The column that ``as_data`` wrote. Raises ValueError or TypeError for anything else."""
        fields = dict(data)
        known: dict[str, Any] = {**classes(Column)}
        kind = fields.pop("kind", None)
        if kind not in known:
            raise ValueError(f"unknown kind of column {kind!r}")
        return known[kind](**fields)

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not isinstance(self.name, str) or not isinstance(self.missing, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a column has a name and a number of missing values, got {self.name!r}, {self.missing!r}")

    def with_indicator(self, *features: str) -> tuple[str, ...]:
        """These names of features, and that of the missing-value indicator if there is one."""
        return (*features, f"{self.name} missing") if self.missing else features

    def add_indicator(self, x: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """These features as float32, and the missing-value indicator if there is one."""
        x = x.astype(np.float32).reshape(len(missing), -1)
        return np.column_stack([x, missing]).astype(np.float32) if self.missing else x

    def warn_missing(self, missing: int) -> None:
        """Warn about missing values in a column that had none in training."""
        if missing and not self.missing:
            warn(self.name, f"{count(missing, 'missing value')}; training had none")

    def describe_missing(self, treatment: str) -> str:
        """The treatment of missing values in words, if training had any."""
        return f"; {self.missing:,} missing, {treatment}" if self.missing else ""
