"""Which rows of a large table are held out: each row decides by itself, so no list of rows is needed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dlarray.tables.conversion import typed_values
from dlarray.tables.kept_rows import row_numbers_as_uniform
from dlarray.tables.large.sample import Sample
from dlarray.tables.split import SplitOptions, time_numbers
from dlarray.tables.text_format import TextFormat
from dlarray.tables.values import UnknownColumnError, as_text, without_warnings

if TYPE_CHECKING:
    import polars as pl

__all__ = ["RowSplit"]


@dataclass(frozen=True)
class RowSplit:
    """The rows that are held out: this ``share`` of them, by random numbers of the rows or of their groups.

    If rows are split by time, those from the time ``first`` on.
    """

    options: SplitOptions
    share: float
    first: float = np.inf
    kind: str = ""
    format: TextFormat = TextFormat()

    @classmethod
    def of(cls, options: SplitOptions, sample: Sample, most: int, rows: int) -> RowSplit:
        """Hold out the share that the options say, but not many more than ``most`` of so many ``rows``.

        By time the whole share is held out; the first time is a quantile of the sample. Raises like
        ``SplitOptions.of``, and ValueError if the sample has one time or one group.
        """
        for name in options.columns:
            if name not in sample.table.columns:
                raise UnknownColumnError(name, sample.table.columns)
        share = options.validation
        if options.time is None:
            return cls(options, min(share, most / max(1, rows)))
        cells = sample.table[options.time]
        times = np.sort(time_numbers(typed_values(cells.raw, cells.kind, cells.format)))
        first = np.inf if not share else times[min(len(times) - 1, round((1 - share) * len(times)))]
        if share and first == times[0]:
            later = times[times > first]
            if not len(later):
                raise ValueError("all rows have the same time: give another column for the time, or validation 0")
            first = later[0]
        return cls(options, share, float(first), cells.kind, cells.format)

    def held_out(self, frame: pl.DataFrame, numbers: np.ndarray) -> np.ndarray:
        """A mask of the rows of a frame that are held out; ``numbers`` are those of its rows."""
        if not self.share:
            return np.zeros(frame.height, dtype=bool)
        if self.options.time is not None:
            with without_warnings():
                return time_numbers(typed_values(frame[self.options.time], self.kind, self.format)) >= self.first
        if self.options.group is not None:
            return _of_groups(frame[self.options.group], self.options.seed) < self.share
        return row_numbers_as_uniform(numbers, self.options.seed, "validation") < self.share


def _of_groups(values: pl.Series, seed: int) -> np.ndarray:
    """For each row a number in [0, 1) that its group decides; rows without a value are one group."""
    groups, which = np.unique(as_text(values).fill_null("\0").to_numpy(), return_inverse=True)
    digests = [hashlib.blake2b(f"{seed}/{group}".encode(), digest_size=8).digest() for group in groups]
    return (np.frombuffer(b"".join(digests), dtype="<u8").astype(np.float64) / 2.0**64)[which]
