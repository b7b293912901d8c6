"""How many different values a column has, and how often each stands there, from parts of the column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Distinct", "ValueCounts"]

LEAST_HASHES = 2**16
PENDING = 2**16
HASHES = 2.0**64


class Distinct:
    """The number of different values: exact below 65,536, then estimated to about 0.4 %.

    Only the 65,536 smallest hashes are kept. If the largest of them is the share p of all possible ones, there are
    65,535 / p different values. Source: Bar-Yossef et al. 2002, "Counting distinct elements in a data stream".
    """

    def __init__(self) -> None:
        self._hashes = np.empty(0, dtype=np.uint64)

    def add(self, values: pl.Series) -> None:
        """Add values, nulls left out."""
        found = values.drop_nulls().unique().hash(seed=0).to_numpy()
        if self.full:
            found = found[found < self._hashes[-1]]
        self._hashes = np.unique(np.concatenate([self._hashes, found]))[:LEAST_HASHES]

    @property
    def full(self) -> bool:
        """Whether the number is an estimate."""
        return len(self._hashes) == LEAST_HASHES

    @property
    def number(self) -> int:
        """The number of different values."""
        if not self.full:
            return len(self._hashes)
        return round((LEAST_HASHES - 1) / ((float(self._hashes[-1]) + 1) / HASHES))


class ValueCounts:
    """In how many rows each pair of a value and its text stands: exact for at most ``most`` pairs.

    Of more pairs the rarer half is forgotten, and counted anew if they come again; so a frequent one may lack a few
    rows. Source: Manku and Motwani 2002, "Approximate frequency counts over data streams".
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._counted: pl.DataFrame | None = None
        self._pending: list[pl.DataFrame] = []
        self.exact = True

    def add(self, values: pl.Series, text: pl.Series) -> None:
        """Add values with their text, of which nulls are left out."""
        pl = polars()
        frame = pl.DataFrame({"value": values, "text": text}).drop_nulls()
        self._pending.append(frame.group_by("value", "text").agg(pl.len().cast(pl.Int64).alias("rows")))
        if sum(part.height for part in self._pending) > max(
            PENDING, 0 if self._counted is None else len(self._counted)
        ):
            self._merge()

    def frame(self) -> pl.DataFrame:
        """Columns ``value``, ``text`` and ``rows``, in the order of the values."""
        self._merge()
        assert self._counted is not None
        return self._counted.sort("value", "text")

    def _merge(self) -> None:
        pl = polars()
        parts = [*([] if self._counted is None else [self._counted]), *self._pending]
        counted = pl.concat(parts, how="vertical_relaxed").group_by("value", "text").agg(pl.col("rows").sum())
        if counted.height > self._most:
            counted = counted.sort("rows", descending=True).head(self._most // 2)
            self.exact = False
        self._counted, self._pending = counted, []
