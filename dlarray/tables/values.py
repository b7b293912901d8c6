"""The values of one column, read as numbers, words or moments: what cannot be read is missing, counted and said."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.check import did_you_mean
from dlarray.errors import Picklable

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TableWarning", "UnknownColumn"]

SECONDS_A_DAY = 86400.0
DAYS = "%Y-%m-%d"
MOMENTS = ("%+", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")


class TableWarning(UserWarning):
    """Something in a table was not as expected, and what was done about it."""


class UnknownColumn(Picklable, ValueError):  # noqa: N818 - it says what is wrong
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


def numbers(values: pl.Series) -> np.ndarray:
    """A column as float64, NaN where a value is missing or infinite; what is no number is said and missing."""
    pl = polars()
    if values.dtype == pl.Duration:
        values = values.dt.total_microseconds() / 1e6
    if values.dtype == pl.String or values.dtype in (pl.Categorical, pl.Enum):
        values = values.cast(pl.String).str.strip_chars()
    read = values.cast(pl.Float64, strict=False)
    if lost := read.null_count() - values.null_count():
        tell(values.name, f"{count(lost)} no number, taken as missing")
    x = np.array(read.to_numpy(), dtype=np.float64)  # null is NaN; a copy, which may be written
    infinite = np.isinf(x)
    if infinite.any():
        tell(values.name, f"{count(int(infinite.sum()))} infinite, taken as missing")
        x[infinite] = np.nan
    return x


def words(values: pl.Series) -> pl.Series:
    """A column as text; whole numbers have no decimal point, so that 1 and 1.0 are one category."""
    pl = polars()
    if values.dtype in (pl.Float32, pl.Float64):
        values = values.fill_nan(None)
        whole = values.drop_nulls()
        if bool(((whole == whole.round()) & (whole.abs() < 2.0**53)).all()):
            values = values.cast(pl.Int64)
    return values.cast(pl.String)


def days(values: pl.Series) -> np.ndarray:
    """Dates and times as days since 1 January 1970, float64, by their own clock; NaN where missing.

    A time without a date is a part of a day. Text is read as ISO 8601; what cannot be read is said and missing.
    """
    pl = polars()
    missing = values.null_count()
    if not values.dtype.is_temporal():
        text = values.cast(pl.String).str.strip_chars()
        values = pl.Series(values.name, [None] * len(text), dtype=pl.Datetime("us"))
        for form in (*MOMENTS, DAYS):
            read = text.str.to_datetime(form, strict=False, time_unit="us").dt.replace_time_zone(None)
            values = values.zip_with(values.is_not_null(), read)
        if lost := values.null_count() - missing:
            tell(values.name, f"{count(lost)} no date, taken as missing")
    if values.dtype == pl.Time:
        return np.array((values.cast(pl.Int64) / (SECONDS_A_DAY * 1e9)).to_numpy(), dtype=np.float64)
    if values.dtype == pl.Datetime:
        values = values.dt.replace_time_zone(None)
    seconds = values.cast(pl.Datetime("us")).dt.timestamp("us") / 1e6
    return np.array((seconds / SECONDS_A_DAY).to_numpy(), dtype=np.float64)


def count(n: int) -> str:
    """So many values, and the verb."""
    return "1 value is" if n == 1 else f"{n:,} values are"
