"""The preprocessing of a whole table to one matrix: how each column is encoded, and which are dropped and why."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dlarray.core.check import at_least_one
from dlarray.core.text import escape, quote_all
from dlarray.tables.columns import Boolean, Category, Column, Date, Number
from dlarray.tables.conversion import BOOLEANS, DATES, NUMBERS, TEXT, TIMES
from dlarray.tables.identifiers import Spread, hint_of_identifier, reason_to_leave_out
from dlarray.tables.reading import Cells, Table
from dlarray.tables.text_format import TextFormat
from dlarray.tables.values import UnknownColumnError, as_text, polars, warn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["EMPTY", "Fittable", "Preprocessing", "constant", "fit_column", "unsupported"]

EMPTY = "empty: every value is missing"
PIECES = 8  # of each column of numbers
MOST_FEATURES = 768  # pieces of all columns together
MOST_VALUES = 2**27  # pieces of all columns in all rows: half a gigabyte


@dataclass(frozen=True)
class Preprocessing:
    """The fitted ``columns`` of a table, and the ``dropped`` ones as pairs of name and reason."""

    columns: tuple[Column, ...]
    dropped: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.columns:
            reasons = "; ".join(f"{escape(name)}: {reason}" for name, reason in self.dropped)
            raise ValueError(f"no column is left to learn from{f' ({reasons})' if reasons else ''}")

    @classmethod
    def fit(
        cls,
        table: Table | pl.DataFrame,
        *,
        max_categories: int = 100,
        categorical: Sequence[str] = (),
        drop: Sequence[str] = (),
        keep: Sequence[str] = (),
    ) -> Preprocessing:
        """Fit to the rows that a model is trained on.

        A column is dropped if it is empty, constant (one value, none missing) or looks like an identifier: text with
        different values in more than half of at least 20 rows, at least 20 different integers that either number the
        rows or have a name such as id, index or key, or a first column without a name that has a different value in
        every row. Such text of which half or more are numbers or dates is dropped for that reason. A ``TableWarning``
        names columns that are used although their name or values look like identifiers. Raises ``UnknownColumnError``
        for an unknown name, ValueError if no column is left.

        Parameters
        ----------
        table
            The inputs alone, without the target.
        max_categories
            Maximum number of features for the categories of one column; the rarest categories share the last feature.
        categorical
            Columns of numbers that are names, such as codes: one-hot.
        drop
            Columns to drop.
        keep
            Columns to keep although they look like identifiers.
        """
        at_least_one("max_categories", max_categories)
        table = Table.of(table)
        columns = {name: _WholeColumn(table[name]) for name in table.columns}
        return cls.choose(columns, _pieces(table), max_categories, categorical, drop, keep)

    @classmethod
    def choose(
        cls,
        columns: Mapping[str, Fittable],
        pieces: int,
        max_categories: int,
        categorical: Sequence[str],
        drop: Sequence[str],
        keep: Sequence[str],
    ) -> Preprocessing:
        """``fit`` to columns that are in memory or have been counted; a number has at most so many ``pieces``."""
        at_least_one("max_categories", max_categories)
        for name in (*categorical, *drop, *keep):
            if name not in columns:
                raise UnknownColumnError(name, columns)
        fitted: list[Column] = []
        dropped: list[tuple[str, str]] = []
        for name, column in columns.items():
            asked = name in keep
            reason = "as requested" if name in drop else column.reason_to_drop()
            spread = None if reason or asked else column.spread
            reason = reason or ("" if spread is None else reason_to_leave_out(spread))
            if reason:
                dropped.append((name, reason))
                continue
            if spread is not None and (hint := hint_of_identifier(spread)):
                warn(name, f"{hint}; to leave it out, use --drop {shlex.quote(escape(name))}")
            fitted.append(column.fit(name in categorical, max_categories, pieces))
        return cls(tuple(fitted), tuple(dropped))

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the matrix's columns."""
        return tuple(name for c in self.columns for name in c.features)

    @property
    def plain(self) -> np.ndarray:
        """A boolean mask of the features without the pieces of numbers: the inputs of a linear model."""
        masks = [np.arange(len(c.features)) for c in self.columns]
        return np.concatenate([(i < 1) | (i > c.pieces) for c, i in zip(self.columns, masks, strict=True)])

    def transform(self, frame: pl.DataFrame) -> np.ndarray:
        """The table as float32 (rows, features). The order of its columns does not matter; each row is encoded alone.

        A ``TableWarning`` reports values that training did not have, such as unknown categories. Raises ValueError that
        names every missing column, or a column that holds another kind of values than in training.
        """
        self.check(frame)
        x = np.empty((frame.height, len(self.features)), dtype=np.float32)
        end = 0
        for c in self.columns:
            start, end = end, end + len(c.features)
            x[:, start:end] = c.transform(frame[c.name])
        return x

    def check(self, frame: pl.DataFrame) -> None:
        """Raise ValueError that names every column that the table lacks."""
        missing = [c.name for c in self.columns if c.name not in frame.columns]
        if missing:
            extra = [name for name in frame.columns if name not in self.names]
            hint = f"; it has {quote_all(extra)} instead" if extra else ""
            raise ValueError(f"the table lacks columns of the training table: {quote_all(missing)}{hint}")

    @property
    def names(self) -> set[str]:
        """The names of all columns of the training table, without the target."""
        return {c.name for c in self.columns} | {name for name, _ in self.dropped}

    def as_data(self) -> dict[str, Any]:
        """The preprocessing as JSON-ready data."""
        return {"columns": [c.as_data() for c in self.columns], "dropped": [list(pair) for pair in self.dropped]}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Preprocessing:
        """The preprocessing that ``as_data`` wrote. Raises ValueError or TypeError for anything else."""
        pairs = [(str(name), str(reason)) for name, reason in data["dropped"]]
        return cls(tuple(Column.from_data(entry) for entry in data["columns"]), tuple(pairs))


class Fittable(Protocol):
    """A column's values, or what has been counted of them."""

    @property
    def spread(self) -> Spread:
        """What shows whether it is an identifier."""
        ...

    def reason_to_drop(self) -> str:
        """Why nothing can be learnt from it; "" if something can."""
        ...

    def fit(self, categorical: bool, max_categories: int, pieces: int) -> Column:
        """The column with its preprocessing."""
        ...


@dataclass(frozen=True)
class _WholeColumn:
    """A column whose values are in memory."""

    cells: Cells

    @property
    def spread(self) -> Spread:
        return Spread.of(self.cells.typed)

    def reason_to_drop(self) -> str:
        values = self.cells.typed
        if reason := unsupported(values.dtype):
            return reason
        if values.dtype.is_float():
            values = values.set(values.is_infinite(), None)
        present = len(values) - values.null_count()
        if not present or values.dtype == polars().Null:
            return EMPTY
        if present == len(values) and values.n_unique() == 1:
            return constant(values, self.cells.format)
        return ""

    def fit(self, categorical: bool, max_categories: int, pieces: int) -> Column:
        return fit_column(self.cells, categorical, max_categories, pieces)


def unsupported(dtype: pl.DataType) -> str:
    """Why a column of this type is dropped; "" if it is not."""
    pl = polars()
    return f"type {dtype} is not supported" if dtype.is_nested() or dtype in (pl.Binary, pl.Object) else ""


def constant(values: pl.Series, form: TextFormat) -> str:
    """Why a column is dropped that has one value."""
    return f"constant: always {escape(as_text(values.head(1), form)[0])}"


def _pieces(table: Table) -> int:
    """The largest number of pieces of each column of numbers: fewer if there are many columns or values."""
    numbers = sum(table[name].kind == NUMBERS for name in table.columns)
    return min(PIECES, MOST_FEATURES // max(1, numbers), MOST_VALUES // max(1, numbers * len(table)))


def fit_column(cells: Cells, categorical: bool, max_categories: int, pieces: int) -> Column:
    """The column with its preprocessing, fitted to its cells."""
    if categorical or cells.kind == TEXT:
        return Category.fit(cells, max_categories)
    if cells.kind == BOOLEANS:
        return Boolean.fit(cells)
    if cells.kind in (DATES, TIMES):
        return Date.fit(cells)
    return Number.fit(cells, pieces)
