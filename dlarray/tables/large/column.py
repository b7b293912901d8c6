"""A column of a large table: its values in a sample, and what has been counted of all its values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.core.check import count
from dlarray.core.text import quote
from dlarray.tables.columns import Boolean, Category, Column, Date, Number
from dlarray.tables.conversion import (
    BOOLEANS,
    DATES,
    DURATIONS,
    NUMBERS,
    TIMES,
    booleans,
    day_fractions,
    days,
    numbers,
    typed_values,
)
from dlarray.tables.found import MAJORITY, MOST_WORDS, NEARLY_ALL
from dlarray.tables.identifiers import Spread
from dlarray.tables.large.distinct import Distinct, ValueCounts
from dlarray.tables.large.moments import Moments
from dlarray.tables.large.order import Order
from dlarray.tables.preprocessing import EMPTY, constant, fit_column, unsupported
from dlarray.tables.reading import Cells
from dlarray.tables.scaling import limits
from dlarray.tables.values import as_text, clean, is_text, polars, warn, without_warnings

if TYPE_CHECKING:
    import polars as pl

__all__ = ["CountedColumn"]

SOME = 1000  # values that are kept of a column that the sample has no values of
NEARLY_DIFFERENT = 0.985  # an estimated number of different values from which all are taken to differ
READ: dict[str, Callable[[pl.Series], np.ndarray]] = {
    NUMBERS: numbers,
    DURATIONS: numbers,
    BOOLEANS: booleans,
    DATES: days,
    TIMES: day_fractions,
}


class CountedColumn:
    """A column: ``sample`` has some of its values, ``add`` counts all of them, block by block.

    ``counts_values`` says whether each value is counted, as for categories; at most ``most`` different ones. ``chosen``
    says that the user has chosen the kind, ``limited`` that the moments are those of ``robust_mean_and_deviation``.
    """

    def __init__(
        self, sample: Cells, counts_values: bool, most: int, *, chosen: bool = False, limited: bool = True
    ) -> None:
        self.sample = sample
        self.name = sample.name
        self.kind = sample.kind
        self.rows = self.missing = 0
        self.moments = Moments()
        self.values = ValueCounts(most) if counts_values else None
        self._limits = self._far_limits() if limited else (-np.inf, np.inf)
        self._distinct = Distinct()
        self._some: pl.Series | None = None
        self._order = Order(whole=sample.typed.dtype.is_integer())
        self._time_of_day: float | None = None
        self._time_varies = False
        self._infinite = 0
        self._unread = 0
        self._words: dict[str, None] = {}
        self._first_place = ""
        self._chosen = chosen

    def add(self, raw: pl.Series, place: Callable[[int], str]) -> None:
        """Count the values of a block as the file holds them. ``place`` says where a row of the block is."""
        if unsupported(self.sample.typed.dtype):
            return
        typed = typed_values(raw, self.kind, self.sample.format)
        if is_text(raw):
            self._count_unread(raw, typed, place)
        if typed.dtype.is_float():
            infinite = typed.is_infinite().fill_null(value=False)
            self._infinite += int(infinite.sum())
            typed = typed.set(infinite, None)
        present = typed.drop_nulls()
        self.rows += len(raw)
        self.missing += len(raw) - len(present)
        if not len(present):
            return
        if self._some is None or (len(self._some) < SOME and not self.sample.typed.count()):
            self._some = present.head(SOME) if self._some is None else self._some.append(present.head(SOME))
        self._distinct.add(present)
        if self.values is not None:
            text = clean(raw, self.sample.format) if is_text(raw) else as_text(typed)
            self.values.add(typed, text)
        if self.kind in READ:
            self._count_numbers(READ[self.kind](present))

    def _count_numbers(self, x: np.ndarray) -> None:
        if self.kind == NUMBERS:
            self._order.add(x)
        elif self.kind in (DATES, TIMES):
            time = x % 1
            first = float(time[0]) if self._time_of_day is None else self._time_of_day
            self._time_of_day, self._time_varies = first, self._time_varies or bool(np.any(time != first))
        self.moments.add(np.clip(x, *self._limits))

    def _count_unread(self, raw: pl.Series, typed: pl.Series, place: Callable[[int], str]) -> None:
        """Count the values that do not fit the kind that the sample has, and keep some of them."""
        text = clean(raw, self.sample.format)
        unread = (typed.is_null() & text.is_not_null()).arg_true()
        if not len(unread):
            return
        if not self._unread:
            self._first_place = f"{quote(text[int(unread[0])])} in {place(int(unread[0]))}"
        self._unread += len(unread)
        if len(self._words) <= MOST_WORDS:
            self._words |= dict.fromkeys(text.gather(unread).unique().sort().to_list()[: MOST_WORDS + 1])

    def finish(self) -> None:
        """Report the values that do not fit, as a ``TableWarning``, and take them for missing ones.

        Raises ValueError if too many do not fit, so that the kind of the sample is not that of the column.
        """
        if self._infinite:
            warn(self.name, f"{count(self._infinite, 'infinite value')}, treated as missing")
        if not self._unread:
            return
        fitting, least = self.rows - self.missing, MAJORITY if self._chosen else NEARLY_ALL
        if fitting < least * (fitting + self._unread):
            raise ValueError(
                f"column {quote(self.name)} has {self.kind} in the sample from which types are taken, but "
                f"{count(self._unread, 'value')} of all rows {'is' if self._unread == 1 else 'are'} none, first "
                f"{self._first_place}: read it as text (text=[{self.name!r}] or --text), or name its words for missing "
                "values (missing=… or --missing)"
            )
        others = self._unread - 1
        more = f" and {others:,} other value{'' if others == 1 else 's'} are" if others else " is"
        kind = {NUMBERS: "number", DATES: "date", TIMES: "time", BOOLEANS: "boolean"}[self.kind]
        a = f"no {kind}s" if others else f"no {kind}"
        warn(self.name, f"{self._first_place}{more} {a}; taken as missing")
        if len(self._words) <= MOST_WORDS:
            form = self.sample.format
            words = tuple(sorted({*form.missing, *self._words}))
            self.sample = replace(self.sample, format=replace(form, missing=words))

    @property
    def present(self) -> int:
        """The number of rows with a value."""
        return self.rows - self.missing

    @cached_property
    def cells(self) -> Cells:
        """The values of the sample, or others if it has none; those that are counted, each with its rows."""
        if self.values is not None and self.present:
            counted = self.values.frame()
            value = counted["value"].rename(self.name)
            if self._order.whole:
                value = value.cast(self.sample.typed.dtype, strict=False)
            text = counted["text"] if is_text(self.sample.raw) else value
            return Cells(value, text.rename(self.name), self.sample.format, counted["rows"])
        if self.sample.typed.count() or self._some is None:
            return self.sample
        return Cells(self._some, self._some, self.sample.format)

    @property
    def distinct(self) -> int:
        """The number of different values; an estimate if there are 65,536 or more, see ``Distinct``."""
        number = self._distinct.number
        if self.kind == NUMBERS and self.present and self._order.increasing:
            return self.present
        if self._distinct.full and number > NEARLY_DIFFERENT * self.present:
            return self.present
        return min(number, self.present)

    @property
    def spread(self) -> Spread:
        """What shows whether it is an identifier."""
        integers = self._order.whole and self.kind == NUMBERS and self.present > 0
        least, greatest = (int(self._order.least), int(self._order.greatest)) if integers else (0, 0)
        text = self.sample.typed.drop_nulls() if self.sample.typed.dtype == polars().String else None
        ordered = integers and self._order.ordered
        return Spread(self.name, self.rows, self.present, self.distinct, integers, least, greatest, ordered, text)

    def reason_to_drop(self) -> str:
        """Why nothing can be learnt from it; "" if something can."""
        dtype = self.sample.typed.dtype
        if reason := unsupported(dtype):
            return reason
        if not self.present or dtype == polars().Null:
            return EMPTY
        if not self.missing and self.distinct == 1:
            assert self._some is not None
            return constant(self._some.cast(dtype) if self._order.whole else self._some, self.sample.format)
        return ""

    def fit(self, categorical: bool, max_categories: int, pieces: int) -> Column:
        """The column with its preprocessing: quantiles from the sample, sums and counts from all rows."""
        if self.values is not None:
            return self._exact(fit_column(self.cells, categorical, max_categories, pieces))
        with without_warnings():  # of the sample; those of all rows have been given
            fitted = fit_column(self.cells, categorical, max_categories, pieces)
        return self._exact(fitted)

    def _exact(self, column: Any) -> Column:
        """The column with what all rows say."""
        column = replace(column, format=self.sample.format, missing=self.missing)
        if isinstance(column, Category) and self.values is not None and not self.values.exact:
            return replace(column, infrequent=max(1, self.distinct - len(column.categories)))
        if isinstance(column, Boolean):
            return replace(column, fill=self.moments.mean > 0.5)
        if isinstance(column, (Number, Date)):
            low, high = self._limits
            filled = self.moments.with_copies(self.missing, float(np.clip(column.median, low, high)))
            if np.isfinite(filled.mean) and np.isfinite(filled.squares):
                column = replace(column, mean=filled.mean, scale=filled.deviation)
        if isinstance(column, Date):
            dates = () if self.kind == TIMES else ("year", "week")
            return replace(column, cycles=(*dates, *(["day"] if self._time_varies else [])))
        return column

    def _far_limits(self) -> tuple[float, float]:
        """The limits to which far numbers are moved, from the sample."""
        if self.kind not in (NUMBERS, DURATIONS):
            return -np.inf, np.inf
        with without_warnings():
            x = numbers(self.sample.typed)
        missing = np.isnan(x)
        if missing.all():
            return -np.inf, np.inf
        low, high = limits(np.where(missing, np.median(x[~missing]), x))
        return (low, high) if low < high else (-np.inf, np.inf)
