"""Tables to train on, from files and frames: each column by its type, and as the file holds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

from dlarray.core.text import quote_all
from dlarray.tables.conversion import DATES, NUMBERS, TEXT, kind_of
from dlarray.tables.files import read_file
from dlarray.tables.found import Place, text_format
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.text_files import Lines
from dlarray.tables.text_format import TextFormat
from dlarray.tables.type_inference import infer_types
from dlarray.tables.values import UnknownColumnError, as_text, clean, is_text, polars, warn

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

__all__ = ["Table", "read", "read_verbatim"]

KIND_NAMES = {"number": NUMBERS, "date": DATES, "text": TEXT}


@dataclass(frozen=True)
class Cells:
    """One column: its values by their type, the ``raw`` ones of the file, and how its text is read."""

    typed: pl.Series
    raw: pl.Series
    format: TextFormat = TextFormat()
    rows: pl.Series | None = None
    """In how many rows each value stands; None if in one."""

    @classmethod
    def of(cls, values: pl.Series | Cells) -> Cells:
        """The column; a series, such as a column of a frame, already has its type."""
        return values if isinstance(values, Cells) else cls(clean(values), values, _format_of(values))

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
        """Each value as the file's text; if a value has several spellings, 1.5 and 1.50, the most frequent one.

        Text that differs only in case is one value, if the format does not match case; a ``TableWarning`` says so.
        """
        pl = polars()
        value = as_text(self.typed, self.format)
        if is_text(self.typed):
            return value if self.format.match_case else _merge_cases(value, self.rows)
        if not is_text(self.raw):
            return value
        text = clean(self.raw, self.format)
        return value.replace_strict(*_most_frequent(value, text, self.rows), default=None, return_dtype=pl.String)

    def count(self, values: pl.Series) -> pl.DataFrame:
        """The different ``values`` of the cells, without nulls, and the number of ``rows`` of each."""
        pl = polars()
        rows = pl.lit(1) if self.rows is None else self.rows
        frame = pl.DataFrame({"value": values}).with_columns(rows=rows).drop_nulls("value")
        return frame.group_by("value").agg(pl.col("rows").sum())


def _format_of(values: pl.Series) -> TextFormat:
    """The format of a column that is typed already: no word for missing values is a category among numbers."""
    return TextFormat("text" if kind_of(values) == TEXT else "values")


def _merge_cases(text: pl.Series, rows: pl.Series | None) -> pl.Series:
    """Text with the most frequent spelling of those that differ only in case. A ``TableWarning`` reports them."""
    pl = polars()
    words = text.drop_nulls().unique()
    lower = words.str.to_lowercase()
    if lower.n_unique() == len(words):
        return text
    value = text.str.to_lowercase()
    merged = value.replace_strict(*_most_frequent(value, text, rows), default=None, return_dtype=pl.String)
    several = lower.filter(lower.is_duplicated()).sort()[0]
    same = quote_all(words.filter(lower == several).sort())
    warn(text.name, f"{same} differ only in upper and lower case: one class or category, unless --match-case")
    return merged


def _most_frequent(value: pl.Series, text: pl.Series, rows: pl.Series | None) -> tuple[pl.Series, pl.Series]:
    """The values, and for each the text that it is written as in most rows."""
    pl = polars()
    of_each = pl.lit(1) if rows is None else rows
    frame = pl.DataFrame({"value": value, "text": text}).with_columns(rows=of_each).drop_nulls()
    spellings = frame.group_by("value", "text").agg(pl.col("rows").sum())
    spellings = spellings.sort(["rows", "text"], descending=[True, False])
    best = spellings.unique("value", keep="first", maintain_order=True)
    return best["value"], best["text"]


@dataclass(frozen=True)
class Table:
    """A table to train on.

    ``typed`` has each column by its type. ``raw`` has the columns as the file holds them: text for CSV. ``formats``
    says how the text of each column is read.
    """

    typed: pl.DataFrame
    raw: pl.DataFrame
    formats: Mapping[str, TextFormat] = field(default_factory=dict[str, TextFormat])
    options: ReadOptions = ReadOptions()

    @classmethod
    def of(cls, table: Table | pl.DataFrame | str | PathLike[str], options: ReadOptions | None = None) -> Table:
        """The table in a file, read as the options say, or in a polars frame.

        Raises like ``read``, and ValueError for a frame without rows.
        """
        if isinstance(table, Table):
            return table
        options = options or ReadOptions()
        if not isinstance(table, (str, PathLike)):
            return cls._of_frame(raw_frame(table), options)
        file = read_file(table, options)
        if not file.separator:
            return cls._of_frame(file.frame, options)
        if file.lines is None:
            return cls._of_frame(file.frame, options)._with_types(file.separator)
        _check_names(options.kinds, file.frame.columns)
        return cls.of_raw(file.frame, file.separator, options, _lines(file.lines))

    @classmethod
    def of_raw(cls, raw: pl.DataFrame, separator: str, options: ReadOptions, place: Place) -> Table:
        """A table of rows as a file holds them: text with this ``separator``, or "" for columns with types.

        ``place`` says where a row is. Raises ValueError like ``of``.
        """
        if not separator:
            return cls._of_frame(raw, options)
        typed, formats = infer_types(raw, separator, options, place, known={})
        return cls(typed, raw, formats, options)

    @classmethod
    def _of_frame(cls, frame: pl.DataFrame, options: ReadOptions) -> Table:
        """A frame whose columns have their types."""
        texts = {values.name: text_format(options, _format_of(values).known) for values in frame}
        typed = frame.with_columns([clean(values, texts[values.name]) for values in frame])
        return cls(typed, frame, texts, options)._with_kinds(options.kinds)

    def _with_types(self, separator: str) -> Table:
        """The table with the types of its columns of text, as JSON and spreadsheets have them beside others."""
        text = [values for values in self.raw if is_text(values) and values.name not in self.options.kinds]
        typed, formats = infer_types(polars().DataFrame(text), separator, self.options, _row, known=self.formats)
        return replace(self, typed=self.typed.with_columns(*typed), formats={**self.formats, **formats})

    def _with_kinds(self, kinds: Mapping[str, str]) -> Table:
        """The table with the types of some columns chosen: "number", "date" or "text".

        Values that do not fit are missing, with a ``TableWarning``. Raises UnknownColumnError for an unknown name, and
        ValueError for a column of which less than half fits.
        """
        _check_names(kinds, self.columns)
        chosen = [name for name, kind in kinds.items() if kind_of(self.typed[name]) != KIND_NAMES[kind]]
        if not chosen:
            return self
        pl = polars()
        text = pl.DataFrame([self.raw[name] if is_text(self.raw[name]) else as_text(self.raw[name]) for name in chosen])
        columns = {kind: [name for name in chosen if kinds[name] == kind] for kind in KIND_NAMES}
        typed, formats = infer_types(text, "", replace(self.options, **columns), _row, known=self.formats)
        return replace(self, typed=self.typed.with_columns(typed), formats={**self.formats, **formats})

    def __len__(self) -> int:
        return self.typed.height

    def __getitem__(self, name: str) -> Cells:
        raw = self.raw[name]
        return Cells(self.typed[name], raw, self.formats.get(name) or _format_of(self.typed[name]))

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self.typed.columns

    def rows(self, mask: pl.Series | np.ndarray) -> Table:
        """The rows whose mask is true."""
        return replace(self, typed=self.typed.filter(mask), raw=self.raw.filter(mask))

    def drop(self, name: str) -> Table:
        """The table without a column."""
        return replace(self, typed=without(self.typed, name), raw=without(self.raw, name))


def _check_names(names: Iterable[str], columns: Sequence[str]) -> None:
    for name in names:
        if name not in columns:
            raise UnknownColumnError(name, columns)


def without(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """The frame without a column; polars' ``drop`` would take "*" for all of them."""
    return frame.select(values for values in frame if values.name != name)


def _lines(lines: Lines) -> Place:
    return lambda row: f"line {lines(row):,}"


def _row(row: int) -> str:
    return f"row {row + 1:,}"


def read(path: str | PathLike[str], options: ReadOptions | None = None) -> pl.DataFrame:
    """The table in a file: text such as CSV, Parquet, Arrow, JSON or a spreadsheet; "-" is standard input.

    The content decides, not the name: compression, encoding, separator and the line of names are found, unless the
    ``options`` say them, and a ``TableWarning`` reports what is not usual. In a text of two or more columns, blank
    lines are skipped. A column of text is numbers, dates or times if 95 % of its values are, or booleans if all are;
    the others are missing, and a ``TableWarning`` names the first of them and its line. Codes that begin with 0 stay
    text. Empty fields, NA, NaN, NULL, None, ? and the like are missing values.

    Numbers can have a decimal comma, thousands separators (1,037.50, 1.037,50, 1 037,50 or 1'037.50) and one unit for
    the column, such as %, $ or kg. Dates have one format in a column, such as 31.01.2000 or Jan 31, 2000; those with an
    offset are in UTC. If 1.234 or 1/2/2000 are ambiguous, the other columns of the file decide. A ``TableWarning``
    reports units, formats and assumptions.

    A saved model does not read new files with this function, but by the kinds of columns that it has stored.

    Raises OSError with the path if the file cannot be read; ValueError if it is not such a table, is empty or has
    no rows; ImportError if polars, or fastexcel for a spreadsheet, is not installed.
    """
    return Table.of(path, options).typed


def read_verbatim(path: str | PathLike[str], options: ReadOptions | None = None) -> pl.DataFrame:
    """The table as the file holds it: columns of text for CSV, columns with their types for Parquet.

    A model's ``predict`` and ``evaluate`` take it and convert it by their own kinds. Raises like ``read``.
    """
    return read_file(path, options).frame


def raw_frame(table: Any, options: ReadOptions | None = None) -> pl.DataFrame:
    """The frame itself, or the table in a file. Raises like ``read``, and ValueError for a frame without rows."""
    if isinstance(table, (str, PathLike)):
        return read_verbatim(cast("str | PathLike[str]", table), options)
    if isinstance(table, Table):
        return table.raw
    pl = polars()
    if not isinstance(table, pl.DataFrame):
        raise TypeError(f"a table must be a path or a polars DataFrame, got {type(table).__name__}")
    frame = cast("pl.DataFrame", table)
    if not frame.height:
        raise ValueError("the table has no rows")
    return frame
