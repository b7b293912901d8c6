"""The values of a column as they come: what stands for a missing value, text without the spaces about it, words."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dlarray.core.check import did_you_mean
from dlarray.core.errors import Picklable

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TableWarning", "UnknownColumnError"]

MISSING = ("", "NA", "N/A", "#N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?")
EXACT = 2.0**53  # whole numbers below it are exact in float64


class TableWarning(UserWarning):
    """Something in a table was not as expected, and what was done about it."""


class UnknownColumnError(Picklable, ValueError):
    """A column was named that the table does not have; the message names the nearest."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = list(known)
        same = [n for n in names if n.lower() == name.lower()]
        hint = f", did you mean {same[0]!r}?" if same else did_you_mean(name, names)
        super().__init__(f"there is no column {name!r}{hint}; there are {', '.join(names)}")


def polars() -> Any:
    """The module polars. Raises ImportError with the remedy where it is not installed."""
    try:
        import polars as pl
    except ImportError as error:
        raise ImportError('tables are read by polars: pip install "dlarray[table]"') from error
    return pl


def tell(column: str, what: str) -> None:
    """Warn about a column."""
    warnings.warn(f"column {column!r}: {what}", TableWarning, stacklevel=3)


def count(n: int) -> str:
    """So many values, and the verb."""
    return "1 value is" if n == 1 else f"{n:,} values are"


def is_text(values: pl.Series) -> bool:
    """Whether a column is text, also where polars keeps each word once."""
    pl = polars()
    return values.dtype == pl.String or values.dtype in (pl.Categorical, pl.Enum)


def plain(values: pl.Series) -> pl.Series:
    """A column with null for what stands for a missing value; text without the spaces about it.

    It is the same for each value wherever the column comes from: CSV, Parquet or a frame.
    """
    pl = polars()
    if values.dtype.is_float():
        return values.fill_nan(None)
    if not is_text(values):
        return values
    text = values.cast(pl.String).str.strip_chars()
    return text.set(text.is_in(list(MISSING)), None)


def words(values: pl.Series) -> pl.Series:
    """Each value as text, whatever its neighbours: 1 and 1.0 are "1"; moments with a zone are those of UTC."""
    pl = polars()
    values = plain(values)
    if values.dtype.is_float():
        text = values.cast(pl.String)
        whole = ((values == values.round()) & (values.abs() < EXACT)).fill_null(value=False)
        return values.set(~whole, None).cast(pl.Int64, strict=False).cast(pl.String).zip_with(whole, text)
    if values.dtype == pl.Duration:
        return words(values.dt.total_microseconds() / 1e6)
    if values.dtype == pl.Datetime:
        values = without_zone(values)
    return values.cast(pl.String)


def without_zone(moments: pl.Series) -> pl.Series:
    """Moments by the clock of UTC; those without a zone as they are."""
    if getattr(moments.dtype, "time_zone", None) is not None:
        moments = moments.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return moments


def known(values: pl.Series) -> pl.Series:
    """Where a value is there, and is no infinite number."""
    values = plain(values)
    there = values.is_not_null()
    return there & values.is_finite().fill_null(value=False) if values.dtype.is_float() else there
