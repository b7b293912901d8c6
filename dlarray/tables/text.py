"""What each column of a text file is: numbers, booleans, dates, times or text. The first that all its values can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlarray.tables.moments import as_days, as_local, as_times, as_zoned
from dlarray.tables.numerals import CODE, DECIMALS, FIRST, as_numbers, doubtful, grouped
from dlarray.tables.values import EXACT, plain, polars, tell

if TYPE_CHECKING:
    import polars as pl

__all__ = ["as_truths", "settled"]

TRUTH = {"true": True, "false": False}
NAMES = {".": "point", ",": "comma"}
ZERO_LAST = r"^[-+]?[1-9]\d{0,2}[.,]\d\d0$"


def as_truths(text: pl.Series) -> pl.Series:
    """True and false, in any case; null for other text."""
    pl = polars()
    return text.str.to_lowercase().replace_strict(TRUTH, default=None, return_dtype=pl.Boolean)


def settled(frame: pl.DataFrame, between: str) -> tuple[pl.DataFrame, Mapping[str, str]]:
    """Each column of text as what it is, and the decimal mark of each column of numbers where the file shows it.

    Whole numbers, numbers, true and false, dates, moments and times of ISO 8601; what is none of these in every value
    stays text, without the spaces about it, and so do codes such as 01234. A decimal comma is looked for where it is
    not commas that lie ``between`` the columns. Where the values of a column fit both marks, as 1.234 does, the other
    columns of the file say which it is; what is assumed, and marks between thousands, are said as a ``TableWarning``.
    """
    pl = polars()
    marks = (".",) if between == "," else DECIMALS
    found = [_numbers(text, marks) or _other(text) for text in map(plain, frame)]
    certain = {numbers.marks[0] for numbers in found if isinstance(numbers, _Numbers) and len(numbers.marks) == 1}
    file = certain.pop() if len(certain) == 1 else None
    typed: list[pl.Series] = []
    decimals: dict[str, str] = {}
    for column in found:
        if isinstance(column, _Numbers):
            decimal = column.decimal(file)
            typed.append(column.read(decimal, file))
            if decimal:
                decimals[column.text.name] = decimal
        else:
            typed.append(column)
    return pl.DataFrame(typed), decimals


@dataclass(frozen=True)
class _Numbers:
    """A column of numbers as text, and the decimal ``marks`` that fit all of them; none where they have no marks."""

    text: pl.Series
    marks: tuple[str, ...]
    whole: pl.Series | None = None

    def decimal(self, file: str | None) -> str | None:
        """The column's decimal mark, where ``file`` is that of other columns; None where nothing shows it."""
        if len(self.marks) == 1:
            return self.marks[0]
        if file or not self.marks:
            return file
        point = self.text.str.contains(".", literal=True).any()
        mark, other = DECIMALS if point else DECIMALS[::-1]
        zeros = self.text.str.contains(ZERO_LAST).any()  # who writes 999 writes 1, not 1.000: that is a thousand
        return other if zeros and doubtful(self.text) else mark

    def read(self, decimal: str | None, file: str | None) -> pl.Series:
        """The numbers. What is assumed, and marks between thousands, are said."""
        if self.whole is not None:
            return self.whole
        decimal = decimal or "."
        read = as_numbers(self.text, decimal)
        apart = grouped(self.text, decimal)
        unsure = doubtful(self.text) or (len(self.marks) > 1 and file is None)
        if unsure or len(apart):
            shown = apart if len(apart) else self.text.filter(self.text.str.contains("[.,]").fill_null(value=False))
            value = as_numbers(shown.head(1), decimal)[0]
            how = "with marks between thousands" if len(apart) else f"with a decimal {NAMES[decimal]}"
            tell(read.name, f"{shown[0]!r} is read as {value:.15g}, {how}")
        whole = len(apart) and not self.text.str.contains(decimal, literal=True).any() and (read.abs() < EXACT).all()
        return read.cast(polars().Int64) if whole else read


def _numbers(text: pl.Series, marks: tuple[str, ...]) -> _Numbers | None:
    """The column where it is one of numbers, as codes such as 01234 are not."""
    pl = polars()
    first = text.drop_nulls().head(FIRST)
    if not len(first) or first.str.contains(CODE).any():
        return None
    if not first.cast(pl.Int64, strict=False).has_nulls():
        whole = text.cast(pl.Int64, strict=False)
        if whole.null_count() == text.null_count():
            return None if text.str.contains(CODE).any() else _Numbers(text, (), whole)
    for sample in (first, text):
        marks = tuple(mark for mark in marks if as_numbers(sample, mark).null_count() == sample.null_count())
        if not marks:
            return None
    if text.str.contains(CODE).any():
        return None
    marked = any(values.str.contains("[.,]").any() for values in (first.head(1), text))
    return _Numbers(text, marks if marked else ())


def _other(text: pl.Series) -> pl.Series:
    """A column that is not one of numbers as what it is."""
    first = text.drop_nulls().head(FIRST)
    for read in (as_truths, as_days, as_zoned, as_local, as_times) if len(first) else ():
        if not read(first).has_nulls():
            found = read(text)
            if found.null_count() == text.null_count():
                return found
    return text
