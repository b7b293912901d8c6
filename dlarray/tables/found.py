"""What the inference of types finds for a column, and how values that do not fit it are reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dlarray.core.text import quote
from dlarray.tables.numerals import SAMPLE
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.text_format import TextFormat
from dlarray.tables.values import warn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["MAJORITY", "NEARLY_ALL", "POSSIBLE", "Found", "Place", "sample_of", "share_read", "text_format"]

NEARLY_ALL = 0.95  # the share of a column's values that its type fits; the others are missing
MAJORITY = 0.5  # the same for a type that the user has chosen
POSSIBLE = 0.4  # the same for a sample, which decides only whether all values are tried
MOST_WORDS = 100  # so many different values that do not fit are saved as words for missing values

Place = Callable[[int], str]
"""Where a row is: "line 82"."""


@dataclass(frozen=True)
class Found:
    """A column by its type, from ``text`` in this ``format``."""

    text: pl.Series
    values: pl.Series
    format: TextFormat

    def reported(self, what: str, place: Place) -> Found:
        """The column with the values that do not fit as words for missing values; a ``TableWarning`` reports them."""
        unread = (self.values.is_null() & self.text.is_not_null()).arg_true()
        if not len(unread):
            return self
        first, others = int(unread[0]), len(unread) - 1
        which = f"{quote(self.text[first])} in {place(first)}"
        if others:
            message = f"{which} and {others:,} other value{'' if others == 1 else 's'} are no {what}s; taken as missing"
        else:
            message = f"{which} is no {what}; taken as missing"
        warn(self.text.name, message)
        words: list[str] = self.text.gather(unread).unique().sort().to_list()
        if len(words) > MOST_WORDS:
            return self
        return replace(self, format=replace(self.format, missing=(*self.format.missing, *words)))


def sample_of(text: pl.Series) -> pl.Series:
    """Present values from the start and from all parts of a column."""
    present = text.drop_nulls()
    if len(present) <= SAMPLE:
        return present
    half = SAMPLE // 2
    return present.head(half).append(present.gather_every(len(present) // half).head(half))


def share_read(
    read: Callable[[pl.Series], pl.Series], text: pl.Series, sample: pl.Series, share: float
) -> pl.Series | None:
    """The values, if this share of those that are present can be read; else None, for most columns by the sample."""
    if read(sample).count() < POSSIBLE * len(sample):
        return None
    values = read(text)
    return values if values.count() >= share * text.count() else None


def text_format(options: ReadOptions, known: str) -> TextFormat:
    """The format of a column with this list of words for missing values, before its values are known."""
    return TextFormat(known, tuple(options.missing), tuple(options.not_missing), match_case=options.match_case)
