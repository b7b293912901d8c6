"""A column's values by the kind that training stored: as numbers, booleans, days, parts of a day or label indices.

The rule is the same for CSV, Parquet and frames, and each value is read independently of the others. A value that
cannot be read, such as "soon" among dates, is missing, and a warning counts such values. A value of another kind is an
error, because the column is then another one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dlarray.core.check import count
from dlarray.tables.datetimes import as_datetimes, as_times
from dlarray.tables.numerals import as_numbers, is_ambiguous
from dlarray.tables.type_inference import as_booleans
from dlarray.tables.values import EXACT, as_text, clean, is_present, is_text, polars, to_utc, warn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["booleans", "day_fractions", "days", "is_present_as", "kind_of", "label_indices", "numbers"]

NUMBERS, BOOLEANS, DATES, TIMES, DURATIONS, TEXT = (
    "numbers",
    "booleans",
    "dates",
    "times of day",
    "durations",
    "text",
)
READERS: dict[str, Callable[[pl.Series], pl.Series]] = {
    NUMBERS: as_numbers,
    BOOLEANS: as_booleans,
    DATES: as_datetimes,
    TIMES: as_times,
}
MICROSECONDS_A_DAY = 86400e6
CODE = r"^\s*[+-]?0[0-9]"  # an integer of fixed width, such as 007: a name, not an amount


def kind_of(values: pl.Series) -> str:
    """The kind of a column's values; "" for a column without values, the polars type for one that is not supported."""
    pl = polars()
    dtype = values.dtype
    if dtype in (pl.Date, pl.Datetime):
        return DATES
    found = {pl.Boolean: BOOLEANS, pl.Time: TIMES, pl.Duration: DURATIONS, pl.Null: ""}
    return NUMBERS if dtype.is_numeric() else TEXT if is_text(values) else found.get(dtype.base_type(), str(dtype))


def numbers(values: pl.Series, decimal: str | None = None) -> np.ndarray:
    """Float64, NaN for a missing or infinite value; durations in seconds.

    Booleans are 1 and 0, with a ``TableWarning``. ``decimal`` is the decimal mark of text. Raises ValueError for dates
    and times.
    """
    pl = polars()
    if is_text(values):
        text = clean(values)
        if decimal is None and is_ambiguous(text):
            warn(values.name, "values such as 1.234 are read with a decimal point, not with a thousands separator")
        read, unread = _read(text, lambda text: as_numbers(text, decimal), NUMBERS, refused=(DATES, TIMES))
        truth = as_booleans(text.gather(unread)).cast(pl.Float64)
        read = _fill(read, unread, truth)
        _warn_unread(values.name, read, text, "a number")
    else:
        values = _check_kind(values, NUMBERS, (NUMBERS, BOOLEANS, DURATIONS))
        truth = values.drop_nulls() if values.dtype == pl.Boolean else values.clear()
        read = values.dt.total_microseconds() / 1e6 if values.dtype == pl.Duration else values
        read = read.cast(pl.Float64, strict=False)
    if found := truth.count():
        warn(values.name, f"{count(found, 'boolean')} read as 1 or 0")
    x = np.array(read.to_numpy(), dtype=np.float64)  # null is NaN; a copy, which can be written to
    infinite = np.isinf(x)
    if infinite.any():
        warn(values.name, f"{count(int(infinite.sum()), 'infinite value')}, treated as missing")
        x[infinite] = np.nan
    return x


def booleans(values: pl.Series) -> np.ndarray:
    """0 and 1, NaN for a value that is missing or neither. Raises ValueError for dates and times."""
    pl = polars()
    text = clean(values if is_text(values) else _check_kind(values, BOOLEANS, (NUMBERS, BOOLEANS)))
    if is_text(values):
        read, unread = _read(text, as_booleans, BOOLEANS, refused=(DATES, TIMES))
        read = _fill(read.cast(pl.Float64), unread, as_numbers(text.gather(unread)))
    else:
        read = text.cast(pl.Float64)
    read = read.set(~read.is_in([0.0, 1.0]), None)
    _warn_unread(values.name, read, text, "a boolean")
    return np.array(read.to_numpy(), dtype=np.float64)


def days(values: pl.Series) -> np.ndarray:
    """Dates and datetimes as days since 1 January 1970, float64, in UTC if they have an offset; NaN if missing.

    Raises ValueError for numbers, booleans and times of day.
    """
    pl = polars()
    read = _dates_or_times(values, DATES, (NUMBERS, BOOLEANS, TIMES), "a date")
    datetimes = to_utc(read).cast(pl.Datetime("us"))
    return np.array((datetimes.dt.timestamp("us") / MICROSECONDS_A_DAY).to_numpy(), dtype=np.float64)


def day_fractions(values: pl.Series) -> np.ndarray:
    """Times of day as parts of a day in [0, 1), float64; NaN if missing.

    Raises ValueError for numbers, booleans and dates.
    """
    pl = polars()
    read = _dates_or_times(values, TIMES, (NUMBERS, BOOLEANS, DATES), "a time of day")
    return np.array((read.cast(pl.Time).cast(pl.Int64) / (MICROSECONDS_A_DAY * 1e3)).to_numpy(), dtype=np.float64)


def is_present_as(values: pl.Series, kind: str, decimal: str | None = None) -> pl.Series:
    """Whether each value is present: neither missing nor an infinite number, also if numbers are written as text."""
    if kind != NUMBERS or not is_text(values):
        return is_present(values)
    text = clean(values)
    return text.is_not_null() & ~as_numbers(text, decimal).is_infinite().fill_null(value=False)


def label_indices(values: pl.Series, labels: Sequence[str], kind: str, decimal: str | None = None) -> pl.Series:
    """The index of each value among the labels, Int32: null for a missing value, -1 for an unknown one.

    A label matches by its text. If the labels or the values are of another ``kind`` than text, it also matches by
    value: 1.50 is 1.5, TRUE is true, and 2020-01-01T10:00Z is 2020-01-01 12:00+02:00. But a code is not a number: among
    labels of text, 7 is not 007.
    """
    pl = polars()
    values = _check_kind(values, kind, (TEXT, NUMBERS, BOOLEANS, DATES, TIMES, DURATIONS))
    text = as_text(values)
    index = {label: i for i, label in enumerate(labels)}
    if decimal == "," and not is_text(values):  # the label 1.234 is 1234, which is not the number 1.234
        index = {}
    found = text.replace_strict(index, default=None, return_dtype=pl.Int32)
    unknown = (found.is_null() & text.is_not_null()).arg_true()
    if not len(unknown):
        return found
    labels_are_text = kind == TEXT
    kind = kind_of(values) if labels_are_text else kind
    by_value = [-1] * len(unknown)
    if kind in READERS:
        wanted = _canonical(text.gather(unknown), kind, decimal if is_text(values) else ".")
        if kind == NUMBERS and not values.dtype.is_float():  # two larger integers can be the same float
            wanted = wanted.set(wanted.cast(pl.Float64, strict=False).abs() >= EXACT, None)
        names = pl.Series(labels, dtype=pl.String)
        if labels_are_text and kind == NUMBERS:
            names = names.set(names.str.contains(CODE), None)
        canonical = _canonical(names, kind, decimal).to_list()
        times = Counter(canonical)
        unique = {value: i for i, value in enumerate(canonical) if value is not None and times[value] == 1}
        by_value = wanted.replace_strict(unique, default=-1, return_dtype=pl.Int32).fill_null(-1)
    return found.scatter(unknown, by_value)


def _canonical(text: pl.Series, kind: str, decimal: str | None) -> pl.Series:
    """The same text for every spelling of a value; null for text that is not of the kind."""
    return as_text(as_numbers(text, decimal) if kind == NUMBERS else READERS[kind](text))


def _read(
    text: pl.Series, read: Callable[[pl.Series], pl.Series], trained: str, refused: Sequence[str]
) -> tuple[pl.Series, pl.Series]:
    """The values, and the indices of those that could not be read. Raises ValueError if one is of a refused kind."""
    found = read(text)
    unread = (found.is_null() & text.is_not_null()).arg_true()
    if len(unread):
        others = text.gather(unread)
        for kind in refused:
            if len(of_kind := others.filter(READERS[kind](others).is_not_null())):
                _raise_other_kind(text.name, trained, kind, f", such as {of_kind[0]!r}")
    return found, unread


def _dates_or_times(values: pl.Series, trained: str, refused: Sequence[str], what: str) -> pl.Series:
    """Dates or times of day, read from text if necessary. Raises ValueError for a value of another kind."""
    if not is_text(values):
        return _check_kind(values, trained, (trained,))
    text = clean(values)
    read, _ = _read(text, READERS[trained], trained, refused)
    _warn_unread(values.name, read, text, what)
    return read


def _fill(found: pl.Series, indices: pl.Series, values: pl.Series) -> pl.Series:
    return found.scatter(indices, values) if len(indices) else found


def _warn_unread(name: str, read: pl.Series, text: pl.Series, what: str) -> None:
    if unread := read.null_count() - text.null_count():
        warn(name, f"{count(unread)} cannot be read as {what}, treated as missing")


def _check_kind(values: pl.Series, trained: str, allowed: Sequence[str]) -> pl.Series:
    """The values if their kind is allowed; nulls without a type for a column without values, such as one of NaN."""
    if clean(values).null_count() == len(values):
        return polars().Series(values.name, [None] * len(values))
    if (found := kind_of(values)) and found not in allowed:
        _raise_other_kind(values.name, trained, found, "" if found == str(values.dtype) else f" ({values.dtype})")
    return values


def _raise_other_kind(name: str, trained: str, found: str, which: str) -> None:
    raise ValueError(
        f"column {name!r} held {trained} in training and holds {found} here{which}: write it as in the training table"
    )
