"""Dates, datetimes and times of day from text: ISO 8601, with a T or a space, with or without an offset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dlarray.tables.values import to_utc

if TYPE_CHECKING:
    import polars as pl

__all__ = ["as_dates", "as_datetimes", "as_local_datetimes", "as_times", "as_zoned_datetimes"]

DATE = ("%Y-%m-%d",)
LOCAL = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")
ZONED = ("%+", *(f"{form}%#z" for form in LOCAL))
TIME = ("%H:%M:%S%.f", "%H:%M", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p")


def as_dates(text: pl.Series) -> pl.Series:
    """Dates; null for other text."""
    return text.str.to_date(DATE[0], strict=False)


def as_local_datetimes(text: pl.Series) -> pl.Series:
    """Datetimes without an offset; null for other text."""
    return _by_formats(text, LOCAL, _datetimes)


def as_zoned_datetimes(text: pl.Series) -> pl.Series:
    """Datetimes with an offset, in UTC; null for other text."""
    return _by_formats(text, ZONED, _datetimes)


def as_datetimes(text: pl.Series) -> pl.Series:
    """Dates and datetimes without a time zone, in UTC if the text has an offset; null for other text."""
    return _by_formats(text, (*LOCAL, *ZONED, *DATE), lambda text, form: to_utc(_datetimes(text, form)))


def as_times(text: pl.Series) -> pl.Series:
    """Times of day; null for other text."""
    return _by_formats(text, TIME, lambda text, form: text.str.to_time(form, strict=False))


def _datetimes(text: pl.Series, form: str) -> pl.Series:
    return text.str.to_datetime(form, strict=False, time_unit="us")


def _by_formats(text: pl.Series, forms: Sequence[str], read: Callable[[pl.Series, str], pl.Series]) -> pl.Series:
    """Each value by the first format that fits it. The format of the first value is tried first, for speed."""
    first = text.drop_nulls().head(1)
    forms = sorted(forms, key=lambda form: read(first, form).has_nulls())
    found = read(text, forms[0])
    for form in forms[1:]:
        unread = (found.is_null() & text.is_not_null()).arg_true()
        if not len(unread):
            break
        found = found.scatter(unread, read(text.gather(unread), form))
    return found
