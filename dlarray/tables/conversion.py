"""A column's values by the kind that training stored: as numbers, booleans, days, hours or places among categories.

One rule for CSV, Parquet and frames, and each value is read alone, whatever its neighbours. A value of no kind, such as
"soon" among dates, is missing, counted and said; one of another kind is an error, because then it is another column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dlarray.tables.moments import as_moments, as_times
from dlarray.tables.numerals import as_numbers, doubtful
from dlarray.tables.text import as_truths
from dlarray.tables.values import EXACT, count, is_text, known, plain, polars, tell, without_zone, words

if TYPE_CHECKING:
    import polars as pl

__all__ = ["codes", "days", "hours", "kind", "numbers", "present", "truths"]

NUMBERS, TRUTHS, MOMENTS, TIMES, LENGTHS, TEXT = (
    "numbers",
    "true and false",
    "dates",
    "times of day",
    "lengths of time",
    "text",
)
READERS: dict[str, Callable[[pl.Series], pl.Series]] = {
    NUMBERS: as_numbers,
    TRUTHS: as_truths,
    MOMENTS: as_moments,
    TIMES: as_times,
}
MICROSECONDS_A_DAY = 86400e6
CODE = r"^\s*[+-]?0[0-9]"
"""A whole number of some width, such as 007: the name of something, and no amount."""


def kind(values: pl.Series) -> str:
    """What a column holds, in words; "" where it holds nothing, its type where it is not read."""
    pl = polars()
    dtype = values.dtype
    if dtype in (pl.Date, pl.Datetime):
        return MOMENTS
    found = {pl.Boolean: TRUTHS, pl.Time: TIMES, pl.Duration: LENGTHS, pl.Null: ""}
    return NUMBERS if dtype.is_numeric() else TEXT if is_text(values) else found.get(dtype.base_type(), str(dtype))


def numbers(values: pl.Series, decimal: str | None = None) -> np.ndarray:
    """Float64, NaN where a value is missing or infinite; lengths of time in seconds.

    True and false are 1 and 0, with a ``TableWarning``. ``decimal`` is the decimal mark of text. Raises ValueError
    where there are dates or times.
    """
    pl = polars()
    if is_text(values):
        text = plain(values)
        if decimal is None and doubtful(text):
            tell(values.name, "values such as 1.234 are read with a decimal point, not one between thousands")
        read, lost = _read(text, lambda text: as_numbers(text, decimal), NUMBERS, refused=(MOMENTS, TIMES))
        truth = as_truths(text.gather(lost)).cast(pl.Float64)
        read = _filled(read, lost, truth)
        _say_lost(values.name, read, text, "no number")
    else:
        values = _checked(values, NUMBERS, (NUMBERS, TRUTHS, LENGTHS))
        truth = values.drop_nulls() if values.dtype == pl.Boolean else values.clear()
        read = values.dt.total_microseconds() / 1e6 if values.dtype == pl.Duration else values
        read = read.cast(pl.Float64, strict=False)
    if met := truth.count():
        tell(values.name, f"{count(met)} true or false, taken as 1 and 0")
    x = np.array(read.to_numpy(), dtype=np.float64)  # null is NaN; a copy, which may be written
    infinite = np.isinf(x)
    if infinite.any():
        tell(values.name, f"{count(int(infinite.sum()))} infinite, taken as missing")
        x[infinite] = np.nan
    return x


def truths(values: pl.Series) -> np.ndarray:
    """0 and 1, NaN where a value is missing or is neither. Raises ValueError where there are dates or times."""
    pl = polars()
    text = plain(values if is_text(values) else _checked(values, TRUTHS, (NUMBERS, TRUTHS)))
    if is_text(values):
        read, lost = _read(text, as_truths, TRUTHS, refused=(MOMENTS, TIMES))
        read = _filled(read.cast(pl.Float64), lost, as_numbers(text.gather(lost)))
    else:
        read = text.cast(pl.Float64)
    read = read.set(~read.is_in([0.0, 1.0]), None)
    _say_lost(values.name, read, text, "neither true nor false")
    return np.array(read.to_numpy(), dtype=np.float64)


def days(values: pl.Series) -> np.ndarray:
    """Dates and moments as days since 1 January 1970, float64, by the clock of UTC where they have an offset.

    NaN where a value is missing. Raises ValueError where there are numbers, booleans or times of day.
    """
    pl = polars()
    read = _of_time(values, MOMENTS, (NUMBERS, TRUTHS, TIMES), "no date")
    moments = without_zone(read).cast(pl.Datetime("us"))
    return np.array((moments.dt.timestamp("us") / MICROSECONDS_A_DAY).to_numpy(), dtype=np.float64)


def hours(values: pl.Series) -> np.ndarray:
    """Times of day as parts of a day, float64, NaN where a value is missing.

    Raises ValueError where there are numbers, booleans or dates.
    """
    pl = polars()
    read = _of_time(values, TIMES, (NUMBERS, TRUTHS, MOMENTS), "no time of day")
    return np.array((read.cast(pl.Time).cast(pl.Int64) / (MICROSECONDS_A_DAY * 1e3)).to_numpy(), dtype=np.float64)


def present(values: pl.Series, of: str, decimal: str | None = None) -> pl.Series:
    """Where a value is there; infinite numbers are not."""
    if of != NUMBERS or not is_text(values):
        return known(values)
    text = plain(values)
    return text.is_not_null() & ~as_numbers(text, decimal).is_infinite().fill_null(value=False)


def codes(values: pl.Series, labels: Sequence[str], of: str, decimal: str | None = None) -> pl.Series:
    """The place of each value among labels, Int32: null where it is missing, -1 where it is none of them.

    A label is known by its text. Where the labels are ``of`` another kind than text, or the values are, it is also
    known by its value: 1.50 is 1.5, TRUE is true, and 2020-01-01T10:00Z is 2020-01-01 12:00+02:00. But a code is no
    number: among labels of text, 7 is not 007.
    """
    pl = polars()
    values = _checked(values, of, (TEXT, NUMBERS, TRUTHS, MOMENTS, TIMES, LENGTHS))
    text = words(values)
    place = {word: i for i, word in enumerate(labels)}
    if decimal == "," and not is_text(values):  # the label 1.234 is 1234: the number 1.234 is another
        place = {}
    found = text.replace_strict(place, default=None, return_dtype=pl.Int32)
    lost = (found.is_null() & text.is_not_null()).arg_true()
    if not len(lost):
        return found
    coded = of == TEXT
    of = kind(values) if coded else of
    other = [-1] * len(lost)
    if of in READERS:
        here = _by_value(text.gather(lost), of, decimal if is_text(values) else ".")
        if of == NUMBERS and not values.dtype.is_float():  # of larger ones two may be one float
            here = here.set(here.cast(pl.Float64, strict=False).abs() >= EXACT, None)
        names = pl.Series(labels, dtype=pl.String)
        if coded and of == NUMBERS:
            names = names.set(names.str.contains(CODE), None)
        there = _by_value(names, of, decimal).to_list()
        often = Counter(there)
        alike = {value: i for i, value in enumerate(there) if value is not None and often[value] == 1}
        other = here.replace_strict(alike, default=-1, return_dtype=pl.Int32).fill_null(-1)
    return found.scatter(lost, other)


def _by_value(text: pl.Series, of: str, decimal: str | None) -> pl.Series:
    """The value of each text as one and the same word; null where it is not of the kind."""
    return words(as_numbers(text, decimal) if of == NUMBERS else READERS[of](text))


def _read(
    text: pl.Series, read: Callable[[pl.Series], pl.Series], learnt: str, refused: Sequence[str]
) -> tuple[pl.Series, pl.Series]:
    """The values read, and where that failed. Raises ValueError where one is of a refused kind."""
    found = read(text)
    lost = (found.is_null() & text.is_not_null()).arg_true()
    if len(lost):
        rest = text.gather(lost)
        for other in refused:
            if len(met := rest.filter(READERS[other](rest).is_not_null())):
                _refuse(text.name, learnt, other, f", such as {met[0]!r}")
    return found, lost


def _of_time(values: pl.Series, learnt: str, refused: Sequence[str], lost: str) -> pl.Series:
    """Dates or times of day, read where they are text. Raises ValueError where there is another kind."""
    if not is_text(values):
        return _checked(values, learnt, (learnt,))
    text = plain(values)
    read, _ = _read(text, READERS[learnt], learnt, refused)
    _say_lost(values.name, read, text, lost)
    return read


def _filled(found: pl.Series, lost: pl.Series, other: pl.Series) -> pl.Series:
    return found.scatter(lost, other) if len(lost) else found


def _say_lost(name: str, read: pl.Series, text: pl.Series, what: str) -> None:
    if lost := read.null_count() - text.null_count():
        tell(name, f"{count(lost)} {what}, taken as missing")


def _checked(values: pl.Series, learnt: str, allowed: Sequence[str]) -> pl.Series:
    """The values, where they are of an allowed kind; where there are none, as in a column of NaN, of no type."""
    if plain(values).null_count() == len(values):
        return polars().Series(values.name, [None] * len(values))
    if (found := kind(values)) and found not in allowed:
        _refuse(values.name, learnt, found, "" if found == str(values.dtype) else f" ({values.dtype})")
    return values


def _refuse(name: str, learnt: str, found: str, which: str) -> None:
    raise ValueError(
        f"column {name!r} held {learnt} in training and holds {found} here{which}: write it as it was written then"
    )
