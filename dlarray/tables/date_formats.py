"""Dates that are not written as ISO 8601 has them: one format for a column, such as %d.%m.%Y or %B %d, %Y %I:%M %p."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["as_formatted", "date_formats", "day_comes_first", "in_other_order", "time_format"]

DAY, YEAR, MARK = r"\d{1,2}", r"(?:\d{4}|\d{2})", r"[-/. ]"
MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
WEEKDAY = re.compile(r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*(,? )", re.IGNORECASE)
TIME = re.compile(r"(T| |, )(\d{1,2}):\d{2}(:\d{2})?(\.\d+)?( ?)([ap]m)?$", re.IGNORECASE)
SHAPES = [
    (re.compile(shape, re.IGNORECASE), formats)
    for shape, formats in {
        rf"\d{{4}}({MARK}){DAY}\1{DAY}": ("%Y{0}%m{0}%d",),
        rf"{DAY}({MARK}){DAY}\1{YEAR}": ("%m{0}%d{0}%Y", "%d{0}%m{0}%Y"),
        rf"{DAY}({MARK}){MONTH}\1{YEAR}": ("%d{0}%B{0}%Y",),
        rf"{DAY}( ?){MONTH}(,?)\1{YEAR}": ("%d{0}%B{1}{0}%Y",),
        rf"{MONTH}({MARK}){DAY}(,?)({MARK}){YEAR}": ("%B{0}%d{1}{2}%Y",),
        rf"\d{{4}}({MARK}){MONTH}\1{DAY}": ("%Y{0}%B{0}%d",),
        r"(?:1[89]|20|21)\d{6}": ("%Y%m%d",),
        r"\d{4}([-/.])\d{1,2}": ("%Y{0}%m",),
        r"\d{1,2}([-/.])\d{4}": ("%m{0}%Y",),
        rf"{MONTH}({MARK})\d{{4}}": ("%B{0}%Y",),
        rf"\d{{4}}({MARK}){MONTH}": ("%Y{0}%B",),
    }.items()
]
FIRST_YEAR = 1000  # %Y reads the year 99 in 1/2/99
CENTURY = 2030  # two digits are a year before it, as in spreadsheets: 29 is 2029, 30 is 1930


def date_formats(example: str) -> list[str]:
    """The formats of dates and datetimes that a value could have; of 1/2/2000 two."""
    rest = time_format(example)
    example = TIME.sub("", example)
    weekday = WEEKDAY.match(example)
    before = f"%A{weekday.group(1)}" if weekday else ""
    example = example[weekday.end() :] if weekday else example
    for shape, formats in SHAPES:
        if found := shape.fullmatch(example):
            marks = [mark or "" for mark in found.groups()]
            year = "%Y" if re.search(r"\d{4}", example) else "%y"
            return [before + form.format(*marks).replace("%Y", year) + rest for form in formats]
    return []


def time_format(example: str) -> str:
    """The format of the time at the end of a value, such as " %H:%M"; "" if there is none."""
    if not (time := TIME.search(example)):
        return ""
    gap, _, seconds, fraction, space, half = time.groups()
    rest = (":%S" if seconds else "") + ("%.f" if fraction else "")
    return f"{gap}%I:%M{rest}{space}%p" if half else f"{gap}%H:%M{rest}"


def day_comes_first(form: str) -> bool | None:
    """Whether the day comes before the month where both are numbers and before the year; None for other formats."""
    found = re.search(r"%([dm])[^%]%[dm][^%]%[yY]", form)
    return found.group(1) == "d" if found else None


def in_other_order(form: str) -> str:
    """The format with the day and the month exchanged."""
    return re.sub("%[dm]", lambda part: "%m" if part.group() == "%d" else "%d", form)


def as_formatted(text: pl.Series, form: str) -> pl.Series:
    """Dates, or datetimes where the format has a time; null for other text.

    A date alone in a column of datetimes is midnight. A month is its first day, a year its first of January.
    """
    pl = polars()
    date, time = _parts(form)
    if not time:
        missing = [part for part in ("%m", "%d") if not re.search({"%m": "%[mbB]", "%d": "%[de]"}[part], date)]
        if missing:
            text, date = text + " 1" * len(missing), " ".join([date, *missing])
        return _plausible(text.str.to_date(date, strict=False), date)
    read = _plausible(text.str.to_datetime(form, strict=False, time_unit="us"), form)
    unread = (read.is_null() & text.is_not_null()).arg_true()
    if not len(unread):
        return read
    return read.scatter(
        unread, _plausible(text.gather(unread).str.to_date(date, strict=False), date).cast(pl.Datetime("us"))
    )


def _parts(form: str) -> tuple[str, str]:
    """The date and the time of a format, such as "%d.%m.%Y" and " %H:%M"."""
    found = re.search(r"(?:T| |, )?%[HI]", form)
    return (form[: found.start()], form[found.start() :]) if found else (form, "")


def _plausible(dates: pl.Series, form: str) -> pl.Series:
    """Dates without those of %Y that have fewer than four digits, and with those of %y in the century that is meant."""
    if "%Y" in form:
        return dates.set(dates.dt.year() < FIRST_YEAR, None)
    return dates.zip_with((dates.dt.year() < CENTURY).fill_null(value=True), dates.dt.offset_by("-100y"))
