"""What a column of text is: numbers, truth, moments or words. The first that all of its values can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from dlarray.tables.values import DAYS, MOMENTS, polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["MISSING", "settled"]

MISSING = ("", "NA", "N/A", "#N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?")
FIRST = 100  # values that must be of a kind before all are asked
DECIMAL_COMMA = r"^[-+]?\d+(,\d+)?([eE][-+]?\d+)?$"
CODE = r"^[-+]?0\d+$"  # a whole number does not begin with 0: 01234 is a code
TRUTH = {"true": True, "false": False}
TIMES = ("%H:%M:%S%.f", "%H:%M")


def settled(values: pl.Series, *, decimal_comma: bool = False) -> pl.Series:
    """A column of text as what it is, without the spaces about its values; what stands for a missing value is null.

    Whole numbers, numbers (with a decimal comma where that is asked for), true and false, dates, moments and times of
    ISO 8601; what is none of these in every value stays text, and so do codes such as 01234.
    """
    text = values.str.strip_chars()
    text = text.set(text.is_in(list(MISSING)), None)
    first = text.drop_nulls().head(FIRST)
    if not len(first):
        return text
    for read in _readers(decimal_comma):
        if not read(first).has_nulls():
            found = read(text)
            if found.null_count() == text.null_count():
                return found
    return text


def _readers(decimal_comma: bool) -> Iterator[Callable[[pl.Series], pl.Series]]:
    pl = polars()

    def plain(text: pl.Series) -> pl.Series:
        return text.set(text.str.contains(CODE), None)

    def with_point(text: pl.Series) -> pl.Series:
        return plain(text.set(~text.str.contains(DECIMAL_COMMA), None)).str.replace(",", ".", literal=True)

    yield lambda text: plain(text).cast(pl.Int64, strict=False)
    yield lambda text: plain(text).cast(pl.Float64, strict=False)
    if decimal_comma:
        yield lambda text: with_point(text).cast(pl.Float64, strict=False)
    yield lambda text: text.str.to_lowercase().replace_strict(TRUTH, default=None, return_dtype=pl.Boolean)
    yield lambda text: text.str.to_date(DAYS, strict=False)
    for form in MOMENTS:
        yield lambda text, form=form: text.str.to_datetime(form, strict=False, time_unit="us")
    for form in TIMES:
        yield lambda text, form=form: text.str.to_time(form, strict=False)
