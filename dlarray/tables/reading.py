"""Tables to train on, from files and frames: each column by its type, and as the file holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

from dlarray.tables.conversion import kind_of
from dlarray.tables.files import read_file
from dlarray.tables.type_inference import infer_types
from dlarray.tables.values import as_text, clean, is_text, polars

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

__all__ = ["Table", "read", "read_verbatim"]


@dataclass(frozen=True)
class Cells:
    """One column: its values by their type, the ``raw`` ones of the file, and the decimal mark of its numbers."""

    typed: pl.Series
    raw: pl.Series
    decimal: str | None = None

    @classmethod
    def of(cls, values: pl.Series | Cells) -> Cells:
        """The column; a series, such as a column of a frame, already has its type."""
        return values if isinstance(values, Cells) else cls(clean(values), values)

    @property
    def name(self) -> str:
        """The column's name."""
        return self.typed.name

    @property
    def kind(self) -> str:
        """The kind of its values."""
        return kind_of(self.typed)

    @property
    def text(self) -> pl.Series:
        """Each value as the file's text; if a value has several spellings, 1.5 and 1.50, the most frequent one."""
        pl = polars()
        value = as_text(self.typed)
        if is_text(self.typed) or not is_text(self.raw):
            return value
        spellings = pl.DataFrame({"value": value, "text": clean(self.raw)}).drop_nulls().group_by("value", "text").len()
        spellings = spellings.sort(["len", "text"], descending=[True, False])
        best = spellings.unique("value", keep="first", maintain_order=True)
        return value.replace_strict(best["value"], best["text"], default=None, return_dtype=pl.String)


@dataclass(frozen=True)
class Table:
    """A table to train on.

    ``typed`` has each column by its type. ``raw`` has the columns as the file holds them: text for CSV. ``decimals``
    has the decimal marks of those columns of numbers whose text shows them.
    """

    typed: pl.DataFrame
    raw: pl.DataFrame
    decimals: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, table: Table | pl.DataFrame | str | PathLike[str]) -> Table:
        """The table in a file or a polars frame. Raises like ``read``, and ValueError for a frame without rows."""
        if isinstance(table, Table):
            return table
        if not isinstance(table, (str, PathLike)):
            frame = raw_frame(table)
            return cls(frame.with_columns([clean(values) for values in frame]), frame)
        frame, separator = read_file(table)
        if not separator:
            return cls.of(frame)
        typed, decimals = infer_types(frame, separator)
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
        """The rows whose mask is true."""
        return replace(self, typed=self.typed.filter(mask), raw=self.raw.filter(mask))

    def drop(self, name: str) -> Table:
        """The table without a column."""
        return replace(self, typed=self.typed.drop(name), raw=self.raw.drop(name))


def read(path: str | PathLike[str]) -> pl.DataFrame:
    """The table in a CSV file (.csv, .tsv, .txt, each also with .gz) or a Parquet file (.parquet, .pq).

    A CSV file is UTF-8 text; its first line has the names of the columns and shows whether commas, semicolons, tabs or
    vertical bars separate them. In a table of two or more columns, blank lines are skipped. Types are inferred from all
    rows: numbers, booleans, dates and times of ISO 8601 (in UTC if they have an offset), text. Codes that begin with 0
    stay text. Empty fields, NA, N/A, NaN, NULL, None and ? are missing values.

    Numbers can have a decimal comma if the columns are not separated by commas, and thousands separators: 1,037.50,
    1.037,50, 1 037,50 or 1'037.50. If 1.234 is ambiguous, the other columns of the file decide. A ``TableWarning``
    reports assumptions and thousands separators.

    A saved model does not read new files with this function, but by the kinds of columns that it has stored.

    Raises OSError with the path if the file cannot be read; ValueError if it is not such a table, is empty, has no
    rows, or has a duplicate or empty name; ImportError if polars is not installed.
    """
    return Table.of(path).typed


def read_verbatim(path: str | PathLike[str]) -> pl.DataFrame:
    """The table as the file holds it: columns of text for CSV, typed columns for Parquet.

    A model's ``predict`` and ``evaluate`` take it and convert it by their own kinds. Raises like ``read``.
    """
    return read_file(path)[0]


def raw_frame(table: Any) -> pl.DataFrame:
    """The frame itself, or the table in a file. Raises like ``read``, and ValueError for a frame without rows."""
    if isinstance(table, (str, PathLike)):
        return read_verbatim(cast("str | PathLike[str]", table))
    if isinstance(table, Table):
        return table.raw
    pl = polars()
    if not isinstance(table, pl.DataFrame):
        raise TypeError(f"a table must be a path or a polars DataFrame, got {type(table).__name__}")
    frame = cast("pl.DataFrame", table)
    if not frame.height:
        raise ValueError("the table has no rows")
    return frame
