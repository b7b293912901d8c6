"""A sample of a large table's rows, from all of its parts, by which types and quantiles are decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dlarray.tables.blocks import BlockedTable
from dlarray.tables.reading import Table
from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Sample", "sample_of"]

BLOCKS = 64  # that a sample is taken from


@dataclass(frozen=True)
class Sample:
    """The rows of a sample as a ``table`` with types, and the ``numbers`` of the rows (``Block.first``).

    ``whole`` is about the number of rows of the whole table: a text has fewer rows than lines if values hold line ends.
    """

    table: Table
    numbers: np.ndarray
    whole: int

    def rows(self, mask: np.ndarray) -> Sample:
        """The rows whose mask is true."""
        return Sample(self.table.rows(mask), self.numbers[mask], self.whole)


def sample_of(table: BlockedTable, most: int) -> Sample:
    """All rows, or about ``most`` of them from 64 blocks in all parts of the table, in their order."""
    pl = polars()
    chosen = np.arange(len(table))
    if table.most_rows > most and len(table) > BLOCKS:
        chosen = np.unique(np.linspace(0, len(table) - 1, BLOCKS).astype(int))
    frames: list[pl.DataFrame] = []
    numbers: list[np.ndarray] = []
    origin: list[tuple[int, np.ndarray]] = []
    height = 0
    for block in map(int, chosen):
        frame = table.read(block)
        height += frame.height
        step = 1 if table.most_rows <= most else max(1, -(-frame.height * len(chosen) // most))
        rows = np.arange(0, frame.height, step)
        frames.append(frame.gather_every(step) if step > 1 else frame)
        numbers.append(table.blocks[block].first + rows)
        origin.append((block, rows))
    ends = np.cumsum([len(rows) for _, rows in origin])

    def place(row: int) -> str:
        part = int(np.searchsorted(ends, row, side="right"))
        block, rows = origin[part]
        return table.place(block, int(rows[row - (ends[part] - len(rows))]))

    raw = pl.concat(frames)
    whole = round(table.most_rows * height / sum(table.blocks[block].most_rows for block in chosen))
    return Sample(Table.of_raw(raw, table.separator, table.options, place), np.concatenate(numbers), whole)
