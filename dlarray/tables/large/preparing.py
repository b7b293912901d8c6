"""Decide how a network is trained on a table that is read in blocks, in one pass over its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from errno import ENOENT, ENOTDIR
from os import strerror
from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.tables.choice import check_missing_classes, choose_target
from dlarray.tables.class_options import weights_by_class, with_threshold
from dlarray.tables.column_options import ColumnOptions
from dlarray.tables.conversion import NUMBERS
from dlarray.tables.kept_rows import KeptRows, row_numbers_as_uniform
from dlarray.tables.large.blocks import TableBlocks
from dlarray.tables.large.column import CountedColumn
from dlarray.tables.large.counting import Counted, count_rows, with_target
from dlarray.tables.large.prepared import LargePrepared, Rows
from dlarray.tables.large.sample import Sample, sample_of
from dlarray.tables.large.split import RowSplit
from dlarray.tables.memory import A_VALUE, Allowed
from dlarray.tables.model import report_without_target
from dlarray.tables.network_plan import NetworkOptions
from dlarray.tables.odd_rows import report_far_extremes, report_far_targets
from dlarray.tables.opening import LargeTable, frames_of
from dlarray.tables.preprocessing import MOST_FEATURES, PIECES, Preprocessing
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.split import SplitOptions
from dlarray.tables.targets import ClassificationTarget, RegressionTarget, Target
from dlarray.tables.targets.regression import check_not_far
from dlarray.tables.values import UnknownColumnError, without_warnings

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TargetOptions", "prepare_large"]

SAMPLE_ROWS = 100_000
LEAST_ROWS = 1000
OF_A_SAMPLE = 1 / 16
"""The part of the allowed memory that a sample of rows may take: for types, to validate and to compare with."""


@dataclass(frozen=True)
class TargetOptions:
    """The target and what belongs to it: as in ``tables.prepare``."""

    name: str
    task: str | None = None
    threshold: float | None = None
    class_weight: str | Mapping[Any, float] | None = None
    explicit_weights: bool = False


def prepare_large(
    large: LargeTable,
    own: TargetOptions,
    columns: ColumnOptions,
    splitting: SplitOptions,
    network: NetworkOptions,
    test: Any = None,
) -> LargePrepared:
    """Decide everything that ``tables.prepare`` decides. Raises like it, and ValueError for what needs all rows.

    One pass counts all rows: missing values, categories, classes, means and deviations, ranges and order. Types,
    formats and quantiles come from a sample of up to 100,000 rows from 64 parts of the table.
    """
    _check(splitting, network)
    table, allowed = large.blocks, large.allowed
    most = int(np.clip(allowed.bytes * OF_A_SAMPLE / (A_VALUE * len(table.columns)), LEAST_ROWS, SAMPLE_ROWS))
    sample = sample_of(table, most)
    check_missing_classes(sample.table, own.name)
    cells = sample.table[own.name]
    present = with_target(cells, sample.table.raw)
    if not present.any():
        raise ValueError(f"the target {own.name!r} is missing in every row of a sample of {len(present):,} rows")
    sample = sample.rows(present)
    split = RowSplit.of(splitting, sample, most, sample.whole)
    counted = count_rows(table, sample, own.name, split, set(columns.categorical), allowed.bytes, most)
    _check_rows(counted, splitting, own.name)
    target, reason = _target(counted, sample, own)
    numbers = sum(column.kind == NUMBERS for column in counted.columns.values())

    def fit(drop: list[str], keep: tuple[str, ...]) -> Preprocessing:
        pieces = min(PIECES, MOST_FEATURES // max(1, numbers))
        return Preprocessing.choose(counted.columns, pieces, columns.max_categories, columns.categorical, drop, keep)

    preprocessing = columns.fit_by(fit, list(counted.columns), own.name, splitting.columns)
    weights = weights_by_class(own.class_weight, target, explicit=own.explicit_weights)
    network = replace(network, class_weight=weights)
    training_cells = sample.table[own.name]
    blocks = TableBlocks(table, preprocessing, target, training_cells, split, counted.lengths, allowed.bytes)

    def encoded(frame: pl.DataFrame) -> Rows:
        with without_warnings():
            return preprocessing.transform(frame), target.encode(frame[own.name])

    counts = None
    if isinstance(target, ClassificationTarget):
        counts = _class_counts(target, counted.training_target)
    prepared = LargePrepared(
        blocks,
        reason,
        split,
        counted.held_out,
        counts,
        None if counted.validation is None or not counted.validation.height else encoded(counted.validation),
        encoded(counted.training),
        network,
        large.way,
        len(sample.table),
    )
    return prepared if test is None else _with_test(prepared, test, table.options, allowed, most)


def _check(splitting: SplitOptions, network: NetworkOptions) -> None:
    """Raise ValueError for options that would read a large table many times, OSError without the folder for the cache.

    All of it before the table is read, which can take hours.
    """
    if network.cache is not None and not network.cache.is_dir():
        code = ENOTDIR if network.cache.exists() else ENOENT
        raise OSError(code, strerror(code), str(network.cache))
    if splitting.folds is not None:
        raise ValueError(
            "folds are for tables that fit into memory, and this one is read in blocks: the rows that are held out "
            "are enough to measure it; or let the table take more memory (memory= or --memory)"
        )
    if network.seeds is not None and network.seeds > 1:
        raise ValueError(
            f"{network.seeds} networks would read the table {network.seeds} times, and it is read in blocks: leave "
            "out seeds, or let the table take more memory (memory= or --memory)"
        )
    if network.jobs > 1:
        raise ValueError(
            f"{network.jobs} jobs train several networks, and a table that is read in blocks has one: leave out jobs, "
            "or let the table take more memory (memory= or --memory)"
        )


def _check_rows(counted: Counted, splitting: SplitOptions, target: str) -> None:
    """Warn of rows without a target. Raises ValueError if no row is left on one side of the split."""
    training = sum(counted.lengths)
    report_without_target(counted.without_target, training + counted.held_out + counted.without_target, target)
    if not training:
        raise ValueError("all rows are held out for validation: give a smaller share, or another column to split by")
    if splitting.validation and not counted.held_out:
        raise ValueError("no row is held out for validation: give a larger share, or validation 0")


def _target(counted: Counted, sample: Sample, own: TargetOptions) -> tuple[Target, str]:
    """The target, with the statistics of all training rows, and the reason for its task."""
    column = counted.target
    target, reason = choose_target(column.cells, own.task)
    target = replace(target, format=column.sample.format)
    if isinstance(target, RegressionTarget):
        least, greatest = column.moments.least, column.moments.greatest
        check_not_far(own.name, max(greatest, -least, key=abs))
        report_far_targets(sample.table[own.name])
        report_far_extremes(sample.table[own.name], least, greatest)
        moments = counted.training_target.moments
        target = replace(target, mean=moments.mean, scale=moments.deviation)
    if own.threshold is not None:
        target = with_threshold(target, own.threshold)
    return target, reason


def _class_counts(target: ClassificationTarget, column: CountedColumn) -> np.ndarray:
    """The number of training rows of each class."""
    cells = column.cells
    assert cells.rows is not None
    with without_warnings():
        classes = target.encode(cells.typed)
    return np.bincount(classes, weights=cells.rows.to_numpy(), minlength=target.outputs).astype(np.int64)


def _with_test(prepared: LargePrepared, test: Any, reading: ReadOptions, allowed: Allowed, most: int) -> LargePrepared:
    """With a second table for the measurement; of a large one some rows, chosen at random."""
    target, kept, rows = prepared.target, KeptRows(most), 0
    for frame in frames_of(test, reading, allowed):
        if target.name not in frame.columns:
            raise UnknownColumnError(target.name, frame.columns)
        prepared.preprocessing.check(frame)
        numbers = rows + np.arange(frame.height)
        has_target = target.is_present(frame[target.name]).to_numpy()
        kept.add(frame.filter(has_target), row_numbers_as_uniform(numbers[has_target], 0, "test rows"))
        rows += frame.height
    frame = kept.frame()
    report_without_target(rows - kept.rows, rows, target.name)
    assert frame is not None
    x, t = prepared.preprocessing.transform(frame), target.encode(frame[target.name])
    return replace(prepared, test=(x, t), test_rows=kept.rows)
