"""Columns of text that are numbers: their decimal mark, thousands separators and unit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dlarray.core.text import escape, quote
from dlarray.tables.found import NEARLY_ALL, POSSIBLE, Found, Place, sample_of, text_format
from dlarray.tables.numerals import CODE, as_numbers, is_ambiguous, separated, unit_of, without_unit
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.text_format import DECIMAL_MARKS, TextFormat, other_mark
from dlarray.tables.values import EXACT, polars, warn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["NumberColumn", "find_numbers"]

MARK_NAMES = {".": "point", ",": "comma"}
ENDS_IN_ZERO = r"^[-+]?[1-9]\d{0,2}[.,]\d\d0$"


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers as text, and the decimal ``marks`` that fit equally many values; empty if none has a mark."""

    text: pl.Series
    marks: tuple[str, ...]
    format: TextFormat
    integers: pl.Series | None = None
    likely: bool = True

    def read(self, of_file: str | None, place: Place) -> Found:
        """The numbers, given the decimal mark of the file's other columns.

        A ``TableWarning`` reports values that are no numbers, an assumed mark, thousands separators and a unit.
        """
        if self.integers is not None:
            return Found(self.text, self.integers, replace(self.format, decimal=of_file))
        digits = without_unit(self.text, self.format) if self.format.unit else self.text
        decimal = self._decimal(digits, of_file)
        form = replace(self.format, decimal=decimal or ".")
        numbers = as_numbers(self.text, form)
        if odd := numbers.null_count() > self.text.null_count():
            digits = digits.set(numbers.is_null(), None)
        thousands = separated(digits, form)
        unsure = not self.likely or is_ambiguous(digits) or (len(self.marks) > 1 and of_file is None)
        how: list[str] = []
        if len(thousands):
            how.append("with thousands separators")
        elif unsure:
            how.append(f"with a decimal {MARK_NAMES[form.decimal or '.']}")
        if form.unit:
            how.append(f"unit {escape(form.unit)}")
        if how:
            shown = _shown(self.text, digits, thousands, "" if form.unit and not unsure else "[.,]")
            warn(self.text.name, f"{quote(shown)} is read as {_value(shown, form):.15g}, {', '.join(how)}")
        whole = odd or len(thousands) or form.unit
        if whole and not digits.str.contains(f"[{form.decimal}eE]").any() and (numbers.abs() < EXACT).all():
            numbers = numbers.cast(polars().Int64)
        return Found(self.text, numbers, replace(self.format, decimal=decimal)).reported("number", place)

    def _decimal(self, digits: pl.Series, of_file: str | None) -> str | None:
        """The column's decimal mark; None if nothing shows it."""
        if len(self.marks) == 1:
            return self.marks[0]
        if of_file or not self.marks:
            return of_file
        point = digits.str.contains(".", literal=True).any()
        mark, other = DECIMAL_MARKS if point else DECIMAL_MARKS[::-1]
        zeros = digits.str.contains(ENDS_IN_ZERO).any()  # a file with 999 writes 1, not 1.000: that is a thousand
        return other if zeros and is_ambiguous(digits) else mark


def _shown(text: pl.Series, digits: pl.Series, thousands: pl.Series, pattern: str) -> str:
    """The first value that shows how a column is read: one with thousands separators, or with a pattern."""
    chosen = digits == thousands[0] if len(thousands) else digits.str.contains(pattern)
    return str((text.filter(chosen.fill_null(value=False)).head(1).append(text.drop_nulls().head(1)))[0])


def _value(shown: str, form: TextFormat) -> float:
    return float(as_numbers(polars().Series([shown]), form)[0])


def find_numbers(
    text: pl.Series, separator: str, options: ReadOptions, share: float = NEARLY_ALL
) -> NumberColumn | None:
    """The column if this share of its values are numbers; codes such as 01234 are not, if the user does not say so."""
    pl = polars()
    sample = sample_of(text)
    codes = share < NEARLY_ALL
    if not len(sample) or (not codes and sample.str.contains(CODE).any()):
        return None
    form = replace(text_format(options, "values"), thousands=options.thousands)
    if not sample.cast(pl.Int64, strict=False).has_nulls():
        integers = text.cast(pl.Int64, strict=False)
        if integers.null_count() == text.null_count():
            return None if not codes and text.str.contains(CODE).any() else NumberColumn(text, (), form, integers)
    if sample.str.contains(r"\d|^[-+]?inf").sum() < POSSIBLE * len(sample):
        return None
    found = _with_any_marks(text, sample, separator, options, form, share)
    if found is None and (unit := unit_of(sample)):
        form = replace(form, unit=unit)
        found = _with_any_marks(text, sample, separator, options, form, share)
    if codes or found is None:
        return found
    return None if (without_unit(text, form) if form.unit else text).str.contains(CODE).any() else found


def _with_any_marks(
    text: pl.Series, sample: pl.Series, separator: str, options: ReadOptions, form: TextFormat, share: float
) -> NumberColumn | None:
    """The column with the decimal marks that are possible; a decimal comma is unlikely among commas as separators."""
    if options.decimal:
        return _with_marks(text, sample, (options.decimal,), form, share)
    if options.thousands in DECIMAL_MARKS:
        return _with_marks(text, sample, (other_mark(options.thousands),), form, share)
    if separator != ",":
        return _with_marks(text, sample, DECIMAL_MARKS, form, share)
    if found := _with_marks(text, sample, (".",), form, share):
        return found
    found = _with_marks(text, sample, (",",), form, share)
    return found and replace(found, likely=False)


def _with_marks(
    text: pl.Series, sample: pl.Series, marks: tuple[str, ...], form: TextFormat, share: float
) -> NumberColumn | None:
    """The column if this share of its values are numbers with one of the marks."""
    for values, least in ((sample, POSSIBLE), (text, share)):
        read = {mark: as_numbers(values, replace(form, decimal=mark)).count() for mark in marks}
        marks = tuple(mark for mark in marks if read[mark] == max(read.values()))
        if read[marks[0]] < least * values.count():
            return None
    has_marks = any(values.str.contains("[.,]").any() for values in (sample.head(1), text))
    return NumberColumn(text, marks if has_marks else (), form)
