"""A column's values by the kind that training stored: as numbers, booleans, days, parts of a day or label indices.

The rule is the same for CSV, Parquet and frames, and each value is read independently of the others. A value that
cannot be read, such as "soon" among dates, is missing, and a warning counts such values. A value of another kind is an
error, because the column is then another one. So is a longer column without a value that can be read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dlarray.core.check import count
from dlarray.core.text import escape, quote
from dlarray.tables.date_formats import as_formatted
from dlarray.tables.datetimes import as_datetimes, as_times
from dlarray.tables.numerals import as_numbers, is_ambiguous, without_unit
from dlarray.tables.text_format import TextFormat
from dlarray.tables.type_inference import as_booleans
from dlarray.tables.values import EXACT, as_text, clean, is_present, is_text, polars, to_utc, warn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["booleans", "day_fractions", "days", "is_present_as", "kind_of", "label_indices", "numbers", "typed_values"]

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
SOME = 10  # a column with so many present values, none of which can be read, is another one; one odd row is not
CODE = r"^\s*[+-]?0[0-9]"  # an integer of fixed width, such as 007: a name, not an amount


def kind_of(values: pl.Series) -> str:
    """The kind of a column's values; "" for a column without values, the polars type for one that is not supported."""
    pl = polars()
    dtype = values.dtype
    if dtype in (pl.Date, pl.Datetime):
        return DATES
    found = {pl.Boolean: BOOLEANS, pl.Time: TIMES, pl.Duration: DURATIONS, pl.Null: ""}
    return NUMBERS if dtype.is_numeric() else TEXT if is_text(values) else found.get(dtype.base_type(), str(dtype))


def numbers(values: pl.Series, form: TextFormat | None = None) -> np.ndarray:
    """Float64, NaN for a missing or infinite value; durations in seconds.

    Booleans are 1 and 0, with a ``TableWarning``. ``form`` is how text is read. Raises ValueError for dates and times.
    """
    pl = polars()
    form = form or TextFormat()
    if is_text(values):
        text = clean(values, form)
        if form.decimal is None and is_ambiguous(text):
            warn(values.name, "values such as 1.234 are read with a decimal point, not with a thousands separator")
        read, unread = _read(text, lambda text: as_numbers(text, form), NUMBERS, refused=(DATES, TIMES))
        truth = as_booleans(text.gather(unread)).cast(pl.Float64)
        read = _fill(read, unread, truth)
        what = f"a number in {escape(form.unit)}" if form.unit else "a number"
        _check_unread(read, text, what, NUMBERS, example=bool(form.unit))
        if form.unit and (bare := _without_unit(read, text, form)):
            _warn_without_unit(values.name, bare, form.unit)
    else:
        values = _check_kind(values, NUMBERS, (NUMBERS, BOOLEANS, DURATIONS))
        truth = values.drop_nulls() if values.dtype == pl.Boolean else values.clear()
        read = values.dt.total_microseconds() / 1e6 if values.dtype == pl.Duration else values
        read = read.cast(pl.Float64, strict=False)
        if form.unit and (bare := clean(values).count()):
            _warn_without_unit(values.name, bare, form.unit)
    if found := truth.count():
        warn(values.name, f"{count(found, 'boolean')} read as 1 or 0")
    x = np.array(read.to_numpy(), dtype=np.float64)  # null is NaN; a copy, which can be written to
    infinite = np.isinf(x)
    if infinite.any():
        warn(values.name, f"{count(int(infinite.sum()), 'infinite value')}, treated as missing")
        x[infinite] = np.nan
    return x


def booleans(values: pl.Series, form: TextFormat | None = None) -> np.ndarray:
    """0 and 1, NaN for a value that is missing or neither. Raises ValueError for dates and times."""
    pl = polars()
    text = clean(values if is_text(values) else _check_kind(values, BOOLEANS, (NUMBERS, BOOLEANS)), form)
    if is_text(values):
        read, unread = _read(text, as_booleans, BOOLEANS, refused=(DATES, TIMES))
        read = _fill(read.cast(pl.Float64), unread, as_numbers(text.gather(unread)))
    else:
        read = text.cast(pl.Float64)
    read = read.set(~read.is_in([0.0, 1.0]), None)
    _check_unread(read, text, "a boolean", BOOLEANS)
    return np.array(read.to_numpy(), dtype=np.float64)


def days(values: pl.Series, form: TextFormat | None = None) -> np.ndarray:
    """Dates and datetimes as days since 1 January 1970, float64, in UTC if they have an offset; NaN if missing.

    Text has the format of the column or that of ISO 8601. Integers are dates if the format has digits alone, such as
    %Y%m%d. Raises ValueError for other numbers, booleans and times of day.
    """
    pl = polars()
    form = form or TextFormat()
    if values.dtype.is_integer() and form.date and not re.search("[^%YmdHMS]", form.date):
        values = values.cast(pl.String)

    read = _dates_or_times(values, form, lambda text: _dates(text, form), DATES, (NUMBERS, BOOLEANS, TIMES), "a date")
    datetimes = to_utc(read).cast(pl.Datetime("us"))
    return np.array((datetimes.dt.timestamp("us") / MICROSECONDS_A_DAY).to_numpy(), dtype=np.float64)


def day_fractions(values: pl.Series, form: TextFormat | None = None) -> np.ndarray:
    """Times of day as parts of a day in [0, 1), float64; NaN if missing.

    Raises ValueError for numbers, booleans and dates.
    """
    pl = polars()
    read = _dates_or_times(values, form, as_times, TIMES, (NUMBERS, BOOLEANS, DATES), "a time of day")
    return np.array((read.cast(pl.Time).cast(pl.Int64) / (MICROSECONDS_A_DAY * 1e3)).to_numpy(), dtype=np.float64)


def is_present_as(values: pl.Series, kind: str, form: TextFormat) -> pl.Series:
    """Whether each value is present: neither missing nor an infinite number, also if numbers are written as text."""
    if kind != NUMBERS or not is_text(values):
        return is_present(values, form)
    text = clean(values, form)
    return text.is_not_null() & ~as_numbers(text, form).is_infinite().fill_null(value=False)


def label_indices(values: pl.Series, labels: Sequence[str], kind: str, form: TextFormat) -> pl.Series:
    """The index of each value among the labels, Int32: null for a missing value, -1 for an unknown one.

    A label matches by its text, also in another case if the format says so. If the labels or the values are of another
    ``kind`` than text, it also matches by value: 1.50 is 1.5, TRUE is true, and 2020-01-01T10:00Z is 2020-01-01
    12:00+02:00. But a code is not a number: among labels of text, 7 is not 007.
    """
    pl = polars()
    values = _check_kind(values, kind, (TEXT, NUMBERS, BOOLEANS, DATES, TIMES, DURATIONS))
    text = as_text(values, form)
    index = {label: i for i, label in enumerate(labels)}
    if form.decimal == "," and not is_text(values):  # the label 1.234 is 1234, which is not the number 1.234
        index = {}
    found = text.replace_strict(index, default=None, return_dtype=pl.Int32)
    if not form.match_case and kind == TEXT:
        found = _fill_unknown(found, text, lambda words: words.str.to_lowercase(), (k.lower() for k in labels))
    unknown = (found.is_null() & text.is_not_null()).arg_true()
    if not len(unknown):
        return found
    labels_are_text = kind == TEXT
    kind = kind_of(values) if labels_are_text else kind
    if kind in READERS:
        wanted_form = form if is_text(values) else replace(form, decimal=".", date="")

        def by_value(words: pl.Series) -> pl.Series:
            wanted = _canonical(words, kind, wanted_form)
            if kind == NUMBERS and not values.dtype.is_float():  # two larger integers can be the same float
                wanted = wanted.set(wanted.cast(pl.Float64, strict=False).abs() >= EXACT, None)
            return wanted

        names = pl.Series(labels, dtype=pl.String)
        if labels_are_text and kind == NUMBERS:
            names = names.set(names.str.contains(CODE), None)
        found = _fill_unknown(found, text, by_value, _canonical(names, kind, form))
    return found.set(found.is_null() & text.is_not_null(), -1)


def typed_values(values: pl.Series, kind: str, form: TextFormat) -> pl.Series:
    """Values by their kind, null for those that are missing or cannot be read as it."""
    if not is_text(values) and kind_of(values) in (kind, "", *([] if kind in READERS else [kind_of(values)])):
        return clean(values)
    text = clean(values, form) if is_text(values) else as_text(values)
    if kind == NUMBERS:
        return as_numbers(text, form)
    return _dates(text, form) if kind == DATES else READERS[kind](text) if kind in READERS else text


def _fill_unknown(
    found: pl.Series, text: pl.Series, key: Callable[[pl.Series], pl.Series], keys: Iterable[str | None]
) -> pl.Series:
    """The indices, with those of values that have the same key as one label, and no other label, in place of nulls."""
    unknown = (found.is_null() & text.is_not_null()).arg_true()
    if not len(unknown):
        return found
    keys = list(keys)
    times = Counter(keys)
    unique = {name: i for i, name in enumerate(keys) if name is not None and times[name] == 1}
    indices = key(text.gather(unknown)).replace_strict(unique, default=None, return_dtype=polars().Int32)
    return found.scatter(unknown, indices)


def _canonical(text: pl.Series, kind: str, form: TextFormat) -> pl.Series:
    """The same text for every spelling of a value; null for text that is not of the kind."""
    if kind == NUMBERS:
        return as_text(as_numbers(text, form))
    if kind == DATES:
        return as_text(_dates(text, form))
    return as_text(READERS[kind](text))


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
                _raise_other_kind(text.name, trained, kind, f", such as {quote(of_kind[0])}")
    return found, unread


def _dates(text: pl.Series, form: TextFormat) -> pl.Series:
    """Dates in the format of the column or in that of ISO 8601."""
    if not form.date:
        return as_datetimes(text)
    found = as_formatted(text, form.date).cast(polars().Datetime("us"))
    unread = (found.is_null() & text.is_not_null()).arg_true()
    return _fill(found, unread, as_datetimes(text.gather(unread)))


def _dates_or_times(
    values: pl.Series,
    form: TextFormat | None,
    read: Callable[[pl.Series], pl.Series],
    trained: str,
    refused: Sequence[str],
    what: str,
) -> pl.Series:
    """Dates or times of day, read from text if necessary. Raises ValueError for a value of another kind."""
    if not is_text(values):
        return _check_kind(values, trained, (trained,))
    text = clean(values, form)
    found, _ = _read(text, read, trained, refused)
    _check_unread(found, text, what, trained)
    return found


def _fill(found: pl.Series, indices: pl.Series, values: pl.Series) -> pl.Series:
    return found.scatter(indices, values) if len(indices) else found


def _check_unread(read: pl.Series, text: pl.Series, what: str, trained: str, *, example: bool = False) -> None:
    """Warn of present values that cannot be read. Raises ValueError if there are some and none can be read."""
    unread = read.null_count() - text.null_count()
    if not unread:
        return
    first = quote(str(text.filter(read.is_null() & text.is_not_null())[0]))
    if unread >= SOME and not read.count():
        raise ValueError(
            f"column {quote(text.name)} held {trained} in training, and none of its {unread:,} values here can be read "
            f"as {what}, such as {first}: write it as in the training table"
        )
    which = f", such as {first}" if example else ""
    warn(text.name, f"{count(unread)} cannot be read as {what}{which}, treated as missing")


def _without_unit(read: pl.Series, text: pl.Series, form: TextFormat) -> int:
    """How many of the numbers do not say their unit."""
    return int((read.is_not_null() & (without_unit(text, replace(form, unit="")) == without_unit(text, form))).sum())


def _warn_without_unit(name: str, bare: int, unit: str) -> None:
    warn(name, f"{count(bare)} without the unit {escape(unit)}, read as if in {escape(unit)}")


def _check_kind(values: pl.Series, trained: str, allowed: Sequence[str]) -> pl.Series:
    """The values if their kind is allowed; nulls without a type for a column without values, such as one of NaN."""
    if clean(values).null_count() == len(values):
        return polars().Series(values.name, [None] * len(values))
    if (found := kind_of(values)) and found not in allowed:
        _raise_other_kind(values.name, trained, found, "" if found == str(values.dtype) else f" ({values.dtype})")
    return values


def _raise_other_kind(name: str, trained: str, found: str, which: str) -> None:
    raise ValueError(
        f"column {quote(name)} held {trained} in training and holds {found} here{which}: "
        "write it as in the training table"
    )
