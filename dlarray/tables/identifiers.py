"""Columns that look like identifiers, by their name or their values: they tell rows apart and predict nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dlarray.core.text import quote
from dlarray.tables.date_columns import DATE_NAME, DateColumn, find_dates
from dlarray.tables.date_formats import as_formatted
from dlarray.tables.found import MAJORITY
from dlarray.tables.number_columns import find_numbers
from dlarray.tables.numerals import CODE, SAMPLE, as_numbers
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Spread", "hint_of_identifier", "reason_to_leave_out"]

UNNAMED = re.compile(r"^\(unnamed\)$|^Unnamed: 0$|^row_?names?$", re.IGNORECASE)  # as pandas and R write them
WORDS = "id|ids|uid|uuid|guid|index|key|ssn|isbn|ean|email|e-mail|phone|telephone|url"
NAME = re.compile(rf"(^|[_\s.-])({WORDS})$", re.IGNORECASE)
OTHERWISE = re.compile(r"(index|key|ean|phone|email|url)$", re.IGNORECASE)  # the key of music, an index of prices
CAMEL = re.compile(r"[a-z0-9](Id|ID|Uuid|UUID|Key)$")
SHAPES = {
    "UUIDs": r"^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
    "addresses of e-mail": r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$",
    "addresses of pages": r"^https?://",
    "numbers of social security": r"^\d{3}-\d{2}-\d{4}$",
    "numbers of phones": r"^(?:\+\d{1,3}[\s.-]?)?(?:\(\d{2,4}\)|\d{2,4})[\s.-]\d{3,4}[\s.-]\d{3,4}$",
}
FEW = 20  # with fewer values, no column is called an identifier


@dataclass(frozen=True)
class Spread:
    """What shows whether a column tells rows apart.

    ``present`` of the ``rows`` have a value, ``distinct`` of them are different. ``integers`` have a ``least`` and a
    ``greatest`` one, and can be ``ordered``. ``text`` are the values that are present, or a part of them, of a column
    of text; None for others.
    """

    name: str
    rows: int
    present: int
    distinct: int
    integers: bool
    least: int
    greatest: int
    ordered: bool
    text: pl.Series | None

    @classmethod
    def of(cls, values: pl.Series) -> Spread:
        """That of all values of a column."""
        present = values.drop_nulls()
        integers = values.dtype.is_integer() and len(present) > 0
        least, greatest = (int(present.min()), int(present.max())) if integers else (0, 0)  # pyright: ignore[reportArgumentType]
        text = present if values.dtype == polars().String else None
        ordered = integers and values.is_sorted()
        return cls(values.name, len(values), len(present), present.n_unique(), integers, least, greatest, ordered, text)

    @property
    def all_differ(self) -> bool:
        """Whether each value of integers or text is another one."""
        return self.distinct == self.present and (self.integers or self.text is not None)


def reason_to_leave_out(column: Spread) -> str:
    """Why a column is left out: it looks like an identifier, or is text of numbers or dates; "" if it is used."""
    n = column.rows
    if column.all_differ and UNNAMED.search(column.name):
        return "looks like an identifier: names or numbers of the rows"
    if column.present < FEW:
        return ""
    if column.text is not None and column.distinct > column.present / 2:
        return (
            _reason_of_other_type(column.text)
            or f"looks like an identifier: {column.distinct:,} distinct values in {column.present:,} rows"
        )
    if column.integers and column.all_differ:
        first = column.least
        counts = 0 <= first <= 1 + n / 10 and column.greatest <= first + 1.5 * n and column.ordered
        if (counts and not DATE_NAME.search(column.name)) or _is_name(column.name):
            return "looks like an identifier: a different integer in every row"
    return ""


def _reason_of_other_type(text: pl.Series) -> str:
    """Why text is none: half of it or more are numbers or dates; "" if not."""
    number = None if text.str.contains(CODE).any() else find_numbers(text, "", ReadOptions(), MAJORITY)
    date = None if number else find_dates(text, ReadOptions(), MAJORITY)
    if number:
        kind, read = "number", as_numbers(text, replace(number.format, decimal=(*number.marks, None)[0]))
    elif date:
        kind, read = "date", as_formatted(text, date.formats[0]) if isinstance(date, DateColumn) else date.values
    else:
        return ""
    others = text.filter(read.is_null())
    but = f", {quote(others[0])} is not" if len(others) else ""
    return f"{kind}s in text: {int(100 * read.count() / len(text))} % are {kind}s{but}"


def hint_of_identifier(column: Spread) -> str:
    """Why a column that is used looks like an identifier; "" if it does not."""
    least = FEW if OTHERWISE.search(column.name.strip()) else 2
    if (column.integers or column.text is not None) and _is_name(column.name) and column.distinct > least:
        return "its name is that of an identifier"
    if column.text is not None:
        sample = column.text.head(SAMPLE)
        for what, shape in SHAPES.items():
            if len(sample) and sample.str.contains(shape).all():
                return f"its values look like {what}"
    return ""


def _is_name(name: str) -> bool:
    return bool(NAME.search(name.strip()) or CAMEL.search(name.strip()) or UNNAMED.search(name.strip()))
