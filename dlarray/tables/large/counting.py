"""One pass over a large table: every row is counted in its columns, and some rows are kept for measuring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dlarray.tables.blocks import BlockedTable
from dlarray.tables.conversion import TEXT, typed_values
from dlarray.tables.found import Place
from dlarray.tables.kept_rows import KeptRows, row_numbers_as_uniform
from dlarray.tables.large.column import CountedColumn
from dlarray.tables.large.sample import Sample
from dlarray.tables.large.split import RowSplit
from dlarray.tables.reading import Cells
from dlarray.tables.values import is_present, without_warnings

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Counted", "count_rows", "with_target"]

MOST_VALUES = 2**20  # different values that are counted of a column
A_COUNT = 200  # bytes for each of them
CLASSES = 10_000  # different numbers of a target that are counted


@dataclass(frozen=True)
class Counted:
    """What one pass has counted.

    ``columns`` are those of the training rows, without the target. ``target`` counts all rows that have one,
    ``training_target`` the training rows. ``lengths`` are the training rows of each block. ``validation`` and
    ``training`` are rows as the file holds them, chosen at random: some of those that are held out, and of the others.
    """

    columns: Mapping[str, CountedColumn]
    target: CountedColumn
    training_target: CountedColumn
    lengths: tuple[int, ...]
    held_out: int
    without_target: int
    validation: pl.DataFrame | None
    training: pl.DataFrame


def with_target(cells: Cells, frame: pl.DataFrame) -> np.ndarray:
    """A mask of the rows of a frame that have a target. ``cells`` are those of the target in the sample."""
    typed = typed_values(frame[cells.name], cells.kind, cells.format)
    return is_present(typed, cells.format).to_numpy()


def count_rows(
    table: BlockedTable, sample: Sample, target: str, split: RowSplit, categorical: set[str], memory: int, most: int
) -> Counted:
    """Count all rows. Of a column's values at most as many are counted as fit into the ``memory``.

    ``most`` rows are kept to validate, and as many to compare with. Raises ValueError for a column whose kind in the
    ``sample`` is not that of its values.
    """
    training_sample = sample.table.rows(~split.held_out(sample.table.raw, sample.numbers))
    values = int(np.clip(memory / (8 * A_COUNT * len(table.columns)), CLASSES, MOST_VALUES))
    kinds = table.options.kinds

    def column(name: str, cells: Cells, *, every_value: bool) -> CountedColumn:
        most_values = values if cells.kind == TEXT or name in categorical else CLASSES
        return CountedColumn(cells, every_value, most_values, chosen=name in kinds, limited=name != target)

    inputs = [name for name in table.columns if name != target]
    columns = {
        name: column(name, cells, every_value=name in categorical or cells.kind == TEXT)
        for name, cells in ((name, training_sample[name]) for name in inputs)
    }
    own = sample.table[target]
    target_all = column(target, own, every_value=True)
    target_training = column(target, training_sample[target], every_value=True)
    kept, held = KeptRows(most), KeptRows(most)
    lengths: list[int] = []
    rows = 0
    with without_warnings():
        for number in range(len(table)):
            frame = table.read(number)
            numbers = table.blocks[number].first + np.arange(frame.height)
            has_target = with_target(own, frame)
            rows += frame.height
            index = np.flatnonzero(has_target)
            target_all.add(frame[target], _place(table, number, np.arange(frame.height)))
            frame, numbers = frame.filter(has_target), numbers[has_target]
            out = split.held_out(frame, numbers)
            keys = row_numbers_as_uniform(numbers, split.options.seed, "kept rows")
            held.add(frame.filter(out), keys[out])
            frame, keys, place = frame.filter(~out), keys[~out], _place(table, number, index[~out])
            kept.add(frame, keys)
            lengths.append(frame.height)
            for name, counted in columns.items():
                counted.add(frame[name], place)
            target_training.add(frame[target], place)
    training = kept.frame()
    assert training is not None
    for counted in (*columns.values(), target_all):
        counted.finish()
    return Counted(
        columns, target_all, target_training, tuple(lengths), held.rows, target_all.missing, held.frame(), training
    )


def _place(table: BlockedTable, number: int, rows: np.ndarray) -> Place:
    """Where a row of a part of a block is."""
    return lambda row: table.place(number, int(rows[row]))
