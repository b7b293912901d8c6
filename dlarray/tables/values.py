"""Basics of a column's values: polars, missing values, text, counts and warnings."""

from __future__ import annotations

import re
import warnings
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from dlarray.core.check import did_you_mean
from dlarray.core.errors import Picklable
from dlarray.core.text import escape_all, quote
from dlarray.tables.text_format import TextFormat, spellings

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TableWarning", "UnknownColumnError"]

EXACT = 2.0**53  # integers below it are exact in float64


class TableWarning(UserWarning):
    """Something in a table was unexpected; the message says what was done about it."""


class UnknownColumnError(Picklable, ValueError):
    """A column name that the table does not have; the message suggests the nearest."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = list(known)
        same = [n for n in names if n.lower() == name.lower()]
        hint = f", did you mean {quote(same[0])}?" if same else did_you_mean(name, names)
        super().__init__(f"there is no column {quote(name)}{hint}; the columns are {escape_all(names)}")


def polars() -> Any:
    """The module polars. Raises ImportError with the remedy if it is not installed."""
    try:
        import polars as pl
    except ImportError as error:
        raise ImportError('reading tables needs polars: pip install "dlarray[table]"') from error
    return pl


_collected: ContextVar[list[str] | None] = ContextVar("collected", default=None)


@contextmanager
def without_warnings() -> Generator[list[str]]:
    """No ``TableWarning`` from this thread; the messages are collected in a list. Other threads are not changed."""
    messages: list[str] = []
    before = _collected.set(messages)
    try:
        yield messages
    finally:
        _collected.reset(before)


def issue(message: str, level: int = 3) -> None:
    """Give a ``TableWarning``, unless ``without_warnings``. ``level`` is the stacklevel of ``warnings.warn``."""
    if (messages := _collected.get()) is None:
        warnings.warn(message, TableWarning, stacklevel=level + 1)
    else:
        messages.append(message)


def joined(messages: Sequence[Sequence[str]]) -> list[str]:
    """The messages of several blocks, each kind once: as in the first block that has it, with the sum of its counts."""
    first: dict[str, str] = {}
    totals: dict[str, int] = {}
    for message in (message for block in messages for message in block):
        kind = re.sub(r"'[^']*'|[\d,]+ ", "", message.partition(" (")[0])
        number = re.search(r": ([\d,]+) ", message)
        first.setdefault(kind, message)
        totals[kind] = totals.get(kind, 0) + (int(number[1].replace(",", "")) if number else 0)
    found: list[str] = []
    for kind, message in first.items():
        number = re.search(r": ([\d,]+) ", message)
        more = number and totals[kind] > int(number[1].replace(",", ""))
        found.append(f"{message}; {totals[kind]:,} in all blocks" if more else message)
    return found


def warn(column: str, message: str) -> None:
    """Give a ``TableWarning`` about a column."""
    issue(f"column {quote(column)}: {message}", 4)


def is_text(values: pl.Series) -> bool:
    """Whether a column is text; polars' Categorical and Enum are text too."""
    pl = polars()
    return values.dtype == pl.String or values.dtype in (pl.Categorical, pl.Enum)


def clean(values: pl.Series, form: TextFormat | None = None) -> pl.Series:
    """A column with null for every missing value, such as NaN, "NA" or "?"; text without spaces at its ends.

    The rule is the same for CSV, Parquet and frames.
    """
    pl = polars()
    if values.dtype.is_float():
        return values.fill_nan(None)
    if not is_text(values):
        return values
    text = values.cast(pl.String).str.strip_chars()
    return text.set(text.is_in(list(spellings(form or TextFormat()))), None)


def as_text(values: pl.Series, form: TextFormat | None = None) -> pl.Series:
    """Each value as text, independent of the other values: 1 and 1.0 are "1"; datetimes with a time zone are in UTC."""
    pl = polars()
    values = clean(values, form)
    if values.dtype.is_float():
        text = values.cast(pl.String)
        whole = ((values == values.round()) & (values.abs() < EXACT)).fill_null(value=False)
        return values.set(~whole, None).cast(pl.Int64, strict=False).cast(pl.String).zip_with(whole, text)
    if values.dtype == pl.Duration:
        return as_text(values.dt.total_microseconds() / 1e6)
    if values.dtype == pl.Datetime:
        values = to_utc(values)
    return values.cast(pl.String)


def to_utc(datetimes: pl.Series) -> pl.Series:
    """Datetimes in UTC, without a time zone; those that have none are unchanged."""
    if getattr(datetimes.dtype, "time_zone", None) is not None:
        datetimes = datetimes.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return datetimes


def is_present(values: pl.Series, form: TextFormat | None = None) -> pl.Series:
    """Whether each value is present: neither missing nor infinite."""
    values = clean(values, form)
    present = values.is_not_null()
    return present & values.is_finite().fill_null(value=False) if values.dtype.is_float() else present
