"""The type of each text column: the first of numbers, booleans, dates, times and text that fits its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn, TypeVar

from dlarray.core.text import quote
from dlarray.tables.date_columns import COMPACT, DateColumn, find_dates, is_compact
from dlarray.tables.datetimes import as_datetimes
from dlarray.tables.found import MAJORITY, Found, Place, sample_of, share_read, text_format
from dlarray.tables.number_columns import NumberColumn, find_numbers
from dlarray.tables.numerals import as_numbers
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.text_format import TextFormat
from dlarray.tables.values import clean, polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["as_booleans", "infer_types"]

BOOLEANS = {"true": True, "false": False}
T = TypeVar("T")


def as_booleans(text: pl.Series) -> pl.Series:
    """True and false, in any case; null for other text."""
    pl = polars()
    return text.str.to_lowercase().replace_strict(BOOLEANS, default=None, return_dtype=pl.Boolean)


def infer_types(
    frame: pl.DataFrame,
    separator: str,
    options: ReadOptions,
    place: Place,
    known: Mapping[str, TextFormat],
) -> tuple[pl.DataFrame, Mapping[str, TextFormat]]:
    """Each column of text by its type, and the format of its text.

    The types are integers, numbers, booleans, dates, datetimes and times. A column has a type if 95 % of its values
    have it; the others are missing. A column that has none of these types stays text, and so do codes such as 01234. A
    decimal comma is likely only if the columns' ``separator`` is no comma. If the values of a column fit both decimal
    marks, as 1.234 does, or could have day and month exchanged, the other columns of the file decide, also those that
    are ``known``. A ``TableWarning`` reports assumptions.

    Raises ValueError for a column of which less than half has the chosen type.
    """
    pl = polars()
    found = [_find(raw, separator, options, place, options.kinds.get(raw.name)) for raw in frame]
    asked = options.date_format
    if asked and not known and not any(isinstance(column, DateColumn) and column.asked for column in found):
        raise ValueError(f"no column has dates in the format {quote(asked)}")
    numbers, dates = ([c for c in found if isinstance(c, kind)] for kind in (NumberColumn, DateColumn))
    mark = _only(
        {c.marks[0] for c in numbers if isinstance(c, NumberColumn) and len(c.marks) == 1}
        | {form.decimal for form in known.values() if form.decimal}
    )
    day_first = _only({c.day_first for c in dates if isinstance(c, DateColumn)} - {None})
    typed: list[pl.Series] = []
    formats: dict[str, TextFormat] = {}
    for column in found:
        if isinstance(column, NumberColumn):
            column = column.read(mark, place)
        elif isinstance(column, DateColumn):
            column = column.read(day_first, place)
        typed.append(column.values)
        formats[column.values.name] = column.format
    return pl.DataFrame(typed), formats


def _only(values: set[T]) -> T | None:
    """The value of a set that has one."""
    return values.pop() if len(values) == 1 else None


def _find(
    raw: pl.Series, separator: str, options: ReadOptions, place: Place, kind: str | None
) -> NumberColumn | DateColumn | Found:
    """The column as numbers, dates or another type."""
    text = clean(raw, text_format(options, "values"))
    if kind == "number":
        return find_numbers(text, separator, options, MAJORITY) or _refuse(text, "number", as_numbers, place)
    if kind == "date":
        return find_dates(text, options, MAJORITY) or _refuse(text, "date", as_datetimes, place)
    if kind is None and (found := _typed(text, separator, options)):
        return found.reported("date", place) if isinstance(found, Found) else found
    words = text_format(options, "text")
    text = clean(raw, words)
    return Found(text, text, words)


def _typed(text: pl.Series, separator: str, options: ReadOptions) -> NumberColumn | DateColumn | Found | None:
    number = find_numbers(text, separator, options)
    if number:
        compact = number.integers is not None and is_compact(number.integers)
        return DateColumn(text, (COMPACT,), number.format) if compact else number
    sample = sample_of(text)
    if len(sample) and (truth := share_read(as_booleans, text, sample, 1.0)) is not None:
        return Found(text, truth, text_format(options, "values"))
    return find_dates(text, options)


def _refuse(text: pl.Series, kind: str, read: Callable[[pl.Series], pl.Series], place: Place) -> NoReturn:
    """Raise ValueError for a column that is not of the chosen kind, with its first value that is not."""
    wrong = (read(text).is_null() & text.is_not_null()).arg_true()
    which = f": {quote(text[int(wrong[0])])} in {place(int(wrong[0]))} is none" if len(wrong) else ": it has no values"
    raise ValueError(
        f"column {quote(text.name)} cannot be read as {kind}s, since less than half of its values are {kind}s{which}"
    )
