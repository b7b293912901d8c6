"""Columns of text that are dates, datetimes or times of day, and the one format of a column."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dlarray.core.text import escape, quote
from dlarray.tables.date_formats import as_formatted, date_formats, day_comes_first, in_other_order, time_format
from dlarray.tables.datetimes import as_dates, as_local_datetimes, as_times, as_zoned_datetimes
from dlarray.tables.found import NEARLY_ALL, Found, Place, sample_of, share_read, text_format
from dlarray.tables.numerals import SAMPLE
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.text_format import TextFormat
from dlarray.tables.values import polars, warn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["COMPACT", "DateColumn", "find_dates", "is_compact"]

COMPACT = "%Y%m%d"
FIRST, LAST = 1800_01_01, 2199_12_31
TIMES = "date|day|dt|ymd|datum|fecha|data|time|week|month|year|period|quarter"
DATE_NAME = re.compile(rf"(^|[^a-z])({TIMES})([^a-z]|$)|(date|day|time|week|month|year)$", re.IGNORECASE)
EXAMPLES = 5  # so many values show which formats are possible
FEW = 10  # with fewer values, integers are dates only if the column's name says so


@dataclass(frozen=True)
class DateColumn:
    """A column of dates, and the ``formats`` that fit equally many values: two if day and month could be exchanged."""

    text: pl.Series
    formats: tuple[str, ...]
    format: TextFormat
    asked: bool = False

    @property
    def day_first(self) -> bool | None:
        """Whether the day comes before the month, if this column alone shows it."""
        return day_comes_first(self.formats[0]) if len(self.formats) == 1 else None

    def read(self, day_first_of_file: bool | None, place: Place) -> Found:
        """The dates. Among two formats, that of the file's other columns; else the day comes first before points alone.

        A ``TableWarning`` reports the format, and values that are no dates.
        """
        chosen, unsure = self.formats[0], len(self.formats) > 1
        if unsure:
            first = day_first_of_file
            if first is None:
                first = "." in chosen
            chosen = next(form for form in self.formats if day_comes_first(form) == first)
        dates = as_formatted(self.text, chosen)
        if not self.asked:
            shown = self.text.filter(dates.is_not_null())[0]
            date = dates.drop_nulls()[0]
            message = f"{quote(shown)} is read as {date}, with the format {chosen}"
            if chosen == COMPACT:
                message += f"; to read numbers, use --number {shlex.quote(escape(self.text.name))}"
            if unsure and day_first_of_file is None:
                message += f"; if it is another, use --date-format '{in_other_order(chosen)}'"
            warn(self.text.name, message)
        return Found(self.text, dates, replace(self.format, date=chosen)).reported("date", place)


def find_dates(text: pl.Series, options: ReadOptions, share: float = NEARLY_ALL) -> DateColumn | Found | None:
    """The column if this share of its values are dates, datetimes or times of day in one format."""
    sample = sample_of(text)
    if not len(sample):
        return None
    form = text_format(options, "values")
    examples: list[str] = sample.unique(maintain_order=True).head(EXAMPLES).to_list()
    if options.date_format:
        asked = dict.fromkeys([options.date_format, *(options.date_format + time_format(e) for e in examples)])
        if found := _formatted(text, sample, list(asked), form, share):
            return replace(found, formats=found.formats[:1], asked=True)
    if not sample.str.contains(r"\d").any():
        return None
    for read in (_years_of_today, as_zoned_datetimes, as_local_datetimes, as_times):
        values = share_read(read, text, sample, share)
        if values is not None:
            return Found(text, values, form)
    formats = list(dict.fromkeys(form for example in examples for form in date_formats(example)))
    return _formatted(text, sample, formats, form, share)


def _years_of_today(text: pl.Series) -> pl.Series:
    """Dates of ISO 8601 whose year has four digits: 1-2-3 is none."""
    dates = as_dates(text)
    return dates.set(dates.dt.year() < 1000, None)


def _formatted(
    text: pl.Series, sample: pl.Series, formats: list[str], form: TextFormat, share: float
) -> DateColumn | None:
    """The column with the formats that fit most values, if those fit this share."""
    for values, least in ((sample, share / 2), (text, share)):
        read = {date: as_formatted(values, date).count() for date in formats}
        formats = [date for date in formats if read[date] >= least * values.count()]
        if not formats:
            return None
    best = [date for date in formats if read[date] == max(read.values())]
    if len(best) > 1 and None in map(day_comes_first, best):
        best = best[:1]
    return DateColumn(text, tuple(best[:2]), form)


def is_compact(integers: pl.Series) -> bool:
    """Whether integers are dates such as 20000131, all or nearly all: a name of dates, or at least 10 of them."""
    pl = polars()
    present = integers.drop_nulls()
    for values in (present.head(SAMPLE), present):
        if values.is_between(FIRST, LAST).sum() < NEARLY_ALL * len(values):
            return False
    if not DATE_NAME.search(integers.name.strip()) and present.n_unique() < FEW:
        return False
    dates = present.cast(pl.String).str.to_date(COMPACT, strict=False)
    return dates.count() >= NEARLY_ALL * len(present)
