"""Tables to learn from, and files to them: each column by its kind, and beside it what the file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

from dlarray.tables.conversion import kind
from dlarray.tables.files import opened
from dlarray.tables.text import settled
from dlarray.tables.values import is_text, plain, polars, words

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

__all__ = ["Table", "read", "read_verbatim"]


@dataclass(frozen=True)
class Cells:
    """One column: its values by their kind, the ``raw`` ones of the file, and the decimal mark of its numbers."""

    typed: pl.Series
    raw: pl.Series
    decimal: str | None = None

    @classmethod
    def of(cls, values: pl.Series | Cells) -> Cells:
        """A column that has its type, such as one of a frame."""
        return values if isinstance(values, Cells) else cls(plain(values), values)

    @property
    def name(self) -> str:
        """The column's name."""
        return self.typed.name

    @property
    def kind(self) -> str:
        """What the column holds, in words."""
        return kind(self.typed)

    @property
    def words(self) -> pl.Series:
        """Each value as the file's text; of several spellings of one value, 1.5 and 1.50, the most frequent."""
        pl = polars()
        value = words(self.typed)
        if is_text(self.typed) or not is_text(self.raw):
            return value
        spelt = pl.DataFrame({"value": value, "text": plain(self.raw)}).drop_nulls().group_by("value", "text").len()
        spelt = spelt.sort(["len", "text"], descending=[True, False]).unique("value", keep="first", maintain_order=True)
        return value.replace_strict(spelt["value"], spelt["text"], default=None, return_dtype=pl.String)


@dataclass(frozen=True)
class Table:
    """A table to learn from.

    ``typed`` has each column by its kind. ``raw`` has what the file holds: text where it is CSV. ``decimals`` are the
    decimal marks of those columns of numbers where the text shows them.
    """

    typed: pl.DataFrame
    raw: pl.DataFrame
    decimals: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, table: Table | pl.DataFrame | str | PathLike[str]) -> Table:
        """The table in a file or a polars frame. Raises as ``read`` does, and ValueError for a frame without rows."""
        if isinstance(table, Table):
            return table
        if not isinstance(table, (str, PathLike)):
            frame = as_raw(table)
            return cls(frame.with_columns([plain(values) for values in frame]), frame)
        frame, between = opened(table)
        if not between:
            return cls.of(frame)
        typed, decimals = settled(frame, between)
        return cls(typed, frame, decimals)

    def __len__(self) -> int:
        return self.typed.height

    def __getitem__(self, name: str) -> Cells:
        return Cells(self.typed[name], self.raw[name], self.decimals.get(name))

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self.typed.columns

    def rows(self, mask: pl.Series | np.ndarray) -> Table:
        """The rows where the mask is true."""
        return replace(self, typed=self.typed.filter(mask), raw=self.raw.filter(mask))

    def drop(self, name: str) -> Table:
        """The table without a column."""
        return replace(self, typed=self.typed.drop(name), raw=self.raw.drop(name))


def read(path: str | PathLike[str]) -> pl.DataFrame:
    """The table in a file: CSV (.csv, .tsv, .txt, also with .gz) or Parquet (.parquet, .pq), told apart by the ending.

    A CSV file is UTF-8 with a line of names; commas, semicolons, tabs or bars lie between its columns, found by that
    line. A blank line is skipped where there are two columns or more. Types come from all rows: numbers, true and
    false, dates and times of ISO 8601 (those with an offset in UTC), text; codes that begin with 0 stay text. Nothing,
    NA, N/A, NaN, NULL, None and ? are missing values.

    Numbers may have a decimal comma where it is not commas that part the columns, and marks between thousands:
    1,037.50, 1.037,50, 1 037,50 or 1'037.50. Where 1.234 could be either, the other columns of the file say which; what
    is assumed, and the marks, are said as a ``TableWarning``.

    A saved model does not read a new file by this function but by the kinds that it has learnt.

    Raises OSError with the path where the file cannot be read; ValueError where it is no such table, is empty, has no
    rows, a name twice or a column without one; ImportError where polars is not installed.
    """
    return Table.of(path).typed


def read_verbatim(path: str | PathLike[str]) -> pl.DataFrame:
    """The table as the file holds it: columns of text where it is CSV, of their types where it is Parquet.

    It is what a model's ``predict`` and ``evaluate`` read by their own kinds. Raises as ``read`` does.
    """
    return opened(path)[0]


def as_raw(table: Any) -> pl.DataFrame:
    """The frame itself, or what a file holds. Raises as ``read`` does, and ValueError for a frame without rows."""
    if isinstance(table, (str, PathLike)):
        return read_verbatim(cast("str | PathLike[str]", table))
    if isinstance(table, Table):
        return table.raw
    pl = polars()
    if not isinstance(table, pl.DataFrame):
        raise TypeError(f"a table is a path or a polars DataFrame, got {type(table).__name__}")
    frame = cast("pl.DataFrame", table)
    if not frame.height:
        raise ValueError("the table has no rows")
    return frame
