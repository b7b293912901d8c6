"""The preprocessing of a whole table to one matrix: how each column is encoded, and which are dropped and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.core.check import at_least_one
from dlarray.tables.columns import Boolean, Category, Column, Date, Number
from dlarray.tables.conversion import BOOLEANS, DATES, TEXT, TIMES
from dlarray.tables.reading import Cells, Table
from dlarray.tables.values import UnknownColumnError, as_text, polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Preprocessing"]

IDENTIFIER = re.compile(r"(^|[_\s.-])(id|ids|uid|uuid|guid|index|key)$|\(unnamed\)", re.IGNORECASE)
CAMEL_IDENTIFIER = re.compile(r"[a-z](Id|ID)$")
FEW = 20  # with fewer values, no column is called an identifier


@dataclass(frozen=True)
class Preprocessing:
    """The fitted ``columns`` of a table, and the ``dropped`` ones as pairs of name and reason."""

    columns: tuple[Column, ...]
    dropped: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.columns:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self.dropped)
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
        different values in more than half of at least 20 rows, or at least 20 different integers that either number the
        rows or have a name such as id, index or key. Raises ``UnknownColumnError`` for an unknown name, ValueError if
        no column is left.

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
        for name in (*categorical, *drop, *keep):
            if name not in table.columns:
                raise UnknownColumnError(name, table.columns)
        columns: list[Column] = []
        dropped: list[tuple[str, str]] = []
        for name in table.columns:
            cells = table[name]
            reason = "as requested" if name in drop else _reason_to_drop(cells.typed, name in keep)
            if reason:
                dropped.append((name, reason))
            else:
                columns.append(_fit(cells, name in categorical, max_categories))
        return cls(tuple(columns), tuple(dropped))

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the matrix's columns."""
        return tuple(name for c in self.columns for name in c.features)

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
            hint = f"; it has {', '.join(map(repr, extra))} instead" if extra else ""
            raise ValueError(f"the table lacks columns of the training table: {', '.join(map(repr, missing))}{hint}")

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


def _reason_to_drop(values: pl.Series, keep: bool) -> str:
    """Why a column is dropped; "" if it is not."""
    pl = polars()
    if values.dtype.is_nested() or values.dtype in (pl.Binary, pl.Object):
        return f"type {values.dtype} is not supported"
    if values.dtype.is_float():
        values = values.set(values.is_infinite(), None)
    n = len(values)
    present = n - values.null_count()
    if not present or values.dtype == pl.Null:
        return "empty: every value is missing"
    distinct = values.drop_nulls().n_unique()
    if distinct == 1 and present == n:
        return f"constant: always {as_text(values.head(1))[0]}"
    if keep or present < FEW:
        return ""
    if values.dtype == pl.String and distinct > present / 2:
        return f"looks like an identifier: {distinct:,} distinct values in {present:,} rows"
    if values.dtype.is_integer() and distinct == present:
        first, last = int(values.min()), int(values.max())  # pyright: ignore[reportArgumentType]
        counts = 0 <= first <= 1 + n / 10 and last <= first + 1.5 * n and values.is_sorted()
        if counts or IDENTIFIER.search(values.name) or CAMEL_IDENTIFIER.search(values.name):
            return "looks like an identifier: a different integer in every row"
    return ""


def _fit(cells: Cells, categorical: bool, max_categories: int) -> Column:
    if categorical or cells.kind == TEXT:
        return Category.fit(cells, max_categories)
    if cells.kind == BOOLEANS:
        return Boolean.fit(cells)
    if cells.kind in (DATES, TIMES):
        return Date.fit(cells)
    return Number.fit(cells)
