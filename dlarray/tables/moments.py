"""Dates, moments and times of day as text: ISO 8601, with a T or a space, and with or without an offset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dlarray.tables.values import without_zone

if TYPE_CHECKING:
    import polars as pl

__all__ = ["as_days", "as_local", "as_moments", "as_times", "as_zoned"]

DAYS = ("%Y-%m-%d",)
LOCAL = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")
ZONED = ("%+", *(f"{form}%#z" for form in LOCAL))
TIMES = ("%H:%M:%S%.f", "%H:%M")


def as_days(text: pl.Series) -> pl.Series:
    """Dates; null for other text."""
    return text.str.to_date(DAYS[0], strict=False)


def as_local(text: pl.Series) -> pl.Series:
    """Moments without an offset; null for other text."""
    return _first_of(text, LOCAL, _moments)


def as_zoned(text: pl.Series) -> pl.Series:
    """Moments with an offset, in UTC; null for other text."""
    return _first_of(text, ZONED, _moments)


def as_moments(text: pl.Series) -> pl.Series:
    """Dates and moments by the clock of UTC, those without an offset as they are; null for other text."""
    return _first_of(text, (*LOCAL, *ZONED, *DAYS), lambda text, form: without_zone(_moments(text, form)))


def as_times(text: pl.Series) -> pl.Series:
    """Times of day; null for other text."""
    return _first_of(text, TIMES, lambda text, form: text.str.to_time(form, strict=False))


def _moments(text: pl.Series, form: str) -> pl.Series:
    return text.str.to_datetime(form, strict=False, time_unit="us")


def _first_of(text: pl.Series, forms: Sequence[str], read: Callable[[pl.Series, str], pl.Series]) -> pl.Series:
    """Each value by the first of the forms that it has; the form of the first value is tried first, for speed."""
    first = text.drop_nulls().head(1)
    forms = sorted(forms, key=lambda form: read(first, form).has_nulls())
    found = read(text, forms[0])
    for form in forms[1:]:
        lost = (found.is_null() & text.is_not_null()).arg_true()
        if not len(lost):
            break
        found = found.scatter(lost, read(text.gather(lost), form))
    return found
