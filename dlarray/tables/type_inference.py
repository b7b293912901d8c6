"""The type of each text column: the first of numbers, booleans, dates, times and text that fits all its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlarray.tables.datetimes import as_dates, as_local_datetimes, as_times, as_zoned_datetimes
from dlarray.tables.numerals import CODE, DECIMAL_MARKS, SAMPLE, as_numbers, is_ambiguous, separated
from dlarray.tables.values import EXACT, clean, polars, warn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["as_booleans", "infer_types"]

BOOLEANS = {"true": True, "false": False}
MARK_NAMES = {".": "point", ",": "comma"}
ENDS_IN_ZERO = r"^[-+]?[1-9]\d{0,2}[.,]\d\d0$"


def as_booleans(text: pl.Series) -> pl.Series:
    """True and false, in any case; null for other text."""
    pl = polars()
    return text.str.to_lowercase().replace_strict(BOOLEANS, default=None, return_dtype=pl.Boolean)


def infer_types(frame: pl.DataFrame, separator: str) -> tuple[pl.DataFrame, Mapping[str, str]]:
    """Each column of text by its type, and the decimal mark of each column of numbers if the file shows it.

    The types are integers, numbers, booleans, dates, datetimes and times of ISO 8601. A column that fits none of these
    stays text, and so do codes such as 01234. A decimal comma is possible only if the columns' ``separator`` is no
    comma. If the values of a column fit both marks, as 1.234 does, the other columns of the file decide. A
    ``TableWarning`` reports assumptions and thousands separators.
    """
    pl = polars()
    marks = (".",) if separator == "," else DECIMAL_MARKS
    found = [_numbers(text, marks) or _other(text) for text in map(clean, frame)]
    certain = {column.marks[0] for column in found if isinstance(column, _Numbers) and len(column.marks) == 1}
    of_file = certain.pop() if len(certain) == 1 else None
    typed: list[pl.Series] = []
    decimals: dict[str, str] = {}
    for column in found:
        if isinstance(column, _Numbers):
            decimal = column.decimal(of_file)
            typed.append(column.read(decimal, of_file))
            if decimal:
                decimals[column.text.name] = decimal
        else:
            typed.append(column)
    return pl.DataFrame(typed), decimals


@dataclass(frozen=True)
class _Numbers:
    """A column of numbers as text, and the decimal ``marks`` that fit all of them; empty if no value has a mark."""

    text: pl.Series
    marks: tuple[str, ...]
    integers: pl.Series | None = None

    def decimal(self, of_file: str | None) -> str | None:
        """The column's decimal mark, given that of other columns ``of_file``; None if nothing shows it."""
        if len(self.marks) == 1:
            return self.marks[0]
        if of_file or not self.marks:
            return of_file
        point = self.text.str.contains(".", literal=True).any()
        mark, other = DECIMAL_MARKS if point else DECIMAL_MARKS[::-1]
        zeros = self.text.str.contains(ENDS_IN_ZERO).any()  # a file with 999 writes 1, not 1.000: that is a thousand
        return other if zeros and is_ambiguous(self.text) else mark

    def read(self, decimal: str | None, of_file: str | None) -> pl.Series:
        """The numbers. A ``TableWarning`` reports an assumed mark or thousands separators."""
        if self.integers is not None:
            return self.integers
        decimal = decimal or "."
        read = as_numbers(self.text, decimal)
        thousands = separated(self.text, decimal)
        unsure = is_ambiguous(self.text) or (len(self.marks) > 1 and of_file is None)
        if unsure or len(thousands):
            shown = thousands if len(thousands) else self.text.filter(_has_mark(self.text).fill_null(value=False))
            value = as_numbers(shown.head(1), decimal)[0]
            how = "with thousands separators" if len(thousands) else f"with a decimal {MARK_NAMES[decimal]}"
            warn(read.name, f"{shown[0]!r} is read as {value:.15g}, {how}")
        whole = len(thousands) and not self.text.str.contains(decimal, literal=True).any()
        return read.cast(polars().Int64) if whole and (read.abs() < EXACT).all() else read


def _numbers(text: pl.Series, marks: tuple[str, ...]) -> _Numbers | None:
    """The column if its values are numbers; codes such as 01234 are not."""
    pl = polars()
    first = text.drop_nulls().head(SAMPLE)
    if not len(first) or first.str.contains(CODE).any():
        return None
    if not first.cast(pl.Int64, strict=False).has_nulls():
        integers = text.cast(pl.Int64, strict=False)
        if integers.null_count() == text.null_count():
            return None if text.str.contains(CODE).any() else _Numbers(text, (), integers)
    for sample in (first, text):
        marks = tuple(mark for mark in marks if as_numbers(sample, mark).null_count() == sample.null_count())
        if not marks:
            return None
    if text.str.contains(CODE).any():
        return None
    has_marks = any(_has_mark(values).any() for values in (first.head(1), text))
    return _Numbers(text, marks if has_marks else ())


def _has_mark(text: pl.Series) -> pl.Series:
    return text.str.contains("[.,]")


def _other(text: pl.Series) -> pl.Series:
    """A column that is not numbers, by its type."""
    first = text.drop_nulls().head(SAMPLE)
    readers = (as_booleans, as_dates, as_zoned_datetimes, as_local_datetimes, as_times)
    for read in readers if len(first) else ():
        if not read(first).has_nulls():
            found = read(text)
            if found.null_count() == text.null_count():
                return found
    return text
