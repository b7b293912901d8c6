"""A whole table to one matrix, and back from data: what is done to each column, and which were left out and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.core.check import at_least_one
from dlarray.tables.columns import Boolean, Category, Column, Date, Number, column
from dlarray.tables.conversion import MOMENTS, TEXT, TIMES, TRUTHS
from dlarray.tables.reading import Cells, Table
from dlarray.tables.values import UnknownColumnError, polars, words

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Preprocessing"]

IDENTIFIER = re.compile(r"(^|[_\s.-])(id|ids|uid|uuid|guid|index|key)$|\(unnamed\)", re.IGNORECASE)
CAMEL_IDENTIFIER = re.compile(r"[a-z](Id|ID)$")
FEW = 20  # rows: with less of them nothing can be called an identifier


@dataclass(frozen=True)
class Preprocessing:
    """What becomes of a table's columns: ``columns`` as they were learnt, ``left_out`` as pairs of name and reason."""

    columns: tuple[Column, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.columns:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self.left_out)
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
        """Learn from the rows that a model is trained on.

        A column is left out where it is empty, constant (one value, none missing) or looks like an identifier: text
        that differs in more than half of 20 rows or more, or whole numbers that all differ and either count rows or are
        named so (id, index, key). Raises ``UnknownColumnError`` for a name that is not there, ValueError where no
        column is left.

        Parameters
        ----------
        table
            The inputs alone, without the target.
        max_categories
            The most features that one column's categories have; the rarest categories share the last of them.
        categorical
            Columns of numbers that are names in truth, such as codes: one-hot.
        drop
            Columns to be left out.
        keep
            Columns to be kept though they look like identifiers.
        """
        at_least_one("max_categories", max_categories)
        table = Table.of(table)
        for name in (*categorical, *drop, *keep):
            if name not in table.columns:
                raise UnknownColumnError(name, table.columns)
        columns: list[Column] = []
        left_out: list[tuple[str, str]] = []
        for name in table.columns:
            cells = table[name]
            reason = "as asked" if name in drop else _reason(cells.typed, name in keep)
            if reason:
                left_out.append((name, reason))
            else:
                columns.append(_learn(cells, name in categorical, max_categories))
        return cls(tuple(columns), tuple(left_out))

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the matrix's columns."""
        return tuple(name for c in self.columns for name in c.features)

    def transform(self, frame: pl.DataFrame) -> np.ndarray:
        """The table as float32, (rows, features); the order of its columns does not matter, nor do a row's neighbours.

        What was not met in training (other categories, values that cannot be read) is handled and said as a
        ``TableWarning``, and so are columns that the model does not know. Raises ValueError that names every column
        that is not there, or a column that holds another kind of values than in training.
        """
        self.check(frame)
        x = np.empty((frame.height, len(self.features)), dtype=np.float32)
        end = 0
        for c in self.columns:
            start, end = end, end + len(c.features)
            x[:, start:end] = c.transform(frame[c.name])
        return x

    def check(self, frame: pl.DataFrame) -> None:
        """Raise ValueError that names every column of the training that the table lacks."""
        absent = [c.name for c in self.columns if c.name not in frame.columns]
        if absent:
            spare = [name for name in frame.columns if name not in self.names]
            hint = f"; it has {', '.join(map(repr, spare))} instead" if spare else ""
            raise ValueError(f"the table lacks columns of the training: {', '.join(map(repr, absent))}{hint}")

    @property
    def names(self) -> set[str]:
        """The names of all columns that the training table had, without the target."""
        return {c.name for c in self.columns} | {name for name, _ in self.left_out}

    def as_data(self) -> dict[str, Any]:
        """All of it as JSON-ready data."""
        return {"columns": [c.as_data() for c in self.columns], "left_out": [list(pair) for pair in self.left_out]}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Preprocessing:
        """What ``as_data`` wrote. Raises ValueError or TypeError for anything else."""
        pairs = [(str(name), str(reason)) for name, reason in data["left_out"]]
        return cls(tuple(column(entry) for entry in data["columns"]), tuple(pairs))


def _reason(values: pl.Series, kept: bool) -> str:
    """Why a column is left out; "" where it is not."""
    pl = polars()
    if values.dtype.is_nested() or values.dtype in (pl.Binary, pl.Object):
        return f"of type {values.dtype}, which is not read"
    if values.dtype.is_float():
        values = values.set(values.is_infinite(), None)
    n = len(values)
    known = n - values.null_count()
    if not known or values.dtype == pl.Null:
        return "empty: every value is missing"
    different = values.drop_nulls().n_unique()
    if different == 1 and known == n:
        return f"constant: always {words(values.head(1))[0]}"
    if kept or known < FEW:
        return ""
    if values.dtype == pl.String and different > known / 2:
        return f"looks like an identifier: {different:,} different values in {known:,} rows"
    if values.dtype.is_integer() and different == known:
        first, last = int(values.min()), int(values.max())  # pyright: ignore[reportArgumentType]
        counts = 0 <= first <= 1 + n / 10 and last <= first + 1.5 * n and values.is_sorted()
        if counts or IDENTIFIER.search(values.name) or CAMEL_IDENTIFIER.search(values.name):
            return "looks like an identifier: every row has a number of its own"
    return ""


def _learn(cells: Cells, categorical: bool, max_categories: int) -> Column:
    if categorical or cells.kind == TEXT:
        return Category.learn(cells, max_categories)
    if cells.kind == TRUTHS:
        return Boolean.learn(cells)
    if cells.kind in (MOMENTS, TIMES):
        return Date.learn(cells)
    return Number.learn(cells)
