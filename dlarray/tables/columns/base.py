"""The base class of columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dlarray.core.array import Array, array_namespace
from dlarray.core.check import count, plain_numbers
from dlarray.core.registry import classes, spelling
from dlarray.tables.text_format import TextFormat
from dlarray.tables.values import warn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Column"]


@dataclass(frozen=True)
class Column(ABC):
    """One column of the table: its ``name``, and the number of rows of the training part in which it was ``missing``.

    If there are such rows, the last feature is a missing-value indicator: 1 for a missing value, 0 for others.
    ``format`` is how its text is read.
    """

    abstract: ClassVar[bool] = True

    name: str
    missing: int
    format: TextFormat = field(default=TextFormat(), kw_only=True)

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """The names of its features."""

    @property
    def pieces(self) -> int:
        """How many features, after the first, are pieces of the first: nonlinear functions of it."""
        return 0

    @property
    @abstractmethod
    def description(self) -> str:
        """Its preprocessing in words."""

    def transform(self, values: pl.Series) -> np.ndarray:
        """The features of new values, float32 (rows, features); each row depends on its own value alone.

        Raises and warns like ``read``.
        """
        return self.encode(self.read(values))

    @abstractmethod
    def read(self, values: pl.Series) -> np.ndarray:
        """The values as ``encode`` takes them, (rows,).

        A ``TableWarning`` reports values that training did not have. Raises ValueError for values of another kind.
        """

    @abstractmethod
    def encode(self, x: Array) -> Array:
        """The features, float32 (rows, features), of what ``read`` returns, on the array library of x."""

    def as_data(self) -> dict[str, Any]:
        """The column as JSON-ready data."""
        return {"kind": spelling(type(self)), **asdict(self)}

    @staticmethod
    def from_data(data: dict[str, Any]) -> Column:
        """The column that ``as_data`` wrote. Raises ValueError or TypeError for anything else."""
        fields = TextFormat.from_data(data)
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

    def add_indicator(self, parts: Sequence[Array], missing: Array) -> Array:
        """These features, (rows,) or (rows, n), as float32, and the missing-value indicator if there is one."""
        xp = array_namespace(missing)
        columns = [x if x.ndim == 2 else xp.reshape(x, (-1, 1)) for x in (*parts, *([missing] if self.missing else []))]
        return xp.concat([xp.astype(x, xp.float32) for x in columns], axis=1)

    def warn_missing(self, missing: int) -> None:
        """Warn about missing values in a column that had none in training."""
        if missing and not self.missing:
            warn(self.name, f"{count(missing, 'missing value')}; training had none")

    def describe_missing(self, treatment: str) -> str:
        """The treatment of missing values in words, if training had any."""
        return f"; {self.missing:,} missing, {treatment}" if self.missing else ""
