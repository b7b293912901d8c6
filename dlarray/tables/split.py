"""The split of rows into training and validation, and into folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dlarray.core.check import count, fraction, whole
from dlarray.core.random import Bits
from dlarray.core.text import quote
from dlarray.datasets import stratified
from dlarray.tables.conversion import DATES, NUMBERS, TIMES, kind_of, numbers
from dlarray.tables.values import UnknownColumnError, as_text, warn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["split"]

BLOCKS = 10  # of consecutive rows that stay together, if rows are split by time


@dataclass(frozen=True)
class SplitOptions:
    """How rows are split: as in ``tables.train``.

    Raises ValueError for a share outside [0, 1), fewer than two folds, or both a group and a time.
    """

    validation: float = 0.2
    folds: int | None = None
    group: str | None = None
    time: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        fraction("validation", self.validation)
        if self.folds is not None:
            whole("folds", self.folds, 2)
        if self.group is not None and self.time is not None:
            raise ValueError(
                f"rows are split by group or by time, not both: got group {self.group!r} and time {self.time!r}"
            )

    def check(self, target: str, test: object) -> None:
        """Raises ValueError if the target is to split the rows, or if both folds and a test table are to measure."""
        for name, column in {"group": self.group, "time": self.time}.items():
            if column == target:
                raise ValueError(f"the target {quote(target)} cannot be the {name}: rows are split by another column")
        if self.folds is not None and test is not None:
            raise ValueError("metrics are measured by folds or on a test table: give folds or test, not both")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that decide the split."""
        return tuple(name for name in (self.group, self.time) if name is not None)

    def of(self, frame: pl.DataFrame) -> Split:
        """The split of a table's rows. Raises ``UnknownColumnError``, and ValueError for a column without an order."""
        for name in self.columns:
            if name not in frame.columns:
                raise UnknownColumnError(name, frame.columns)
        if self.group is not None:
            return Split(self, groups=_group_numbers(frame[self.group]))
        if self.time is not None:
            return Split(self, times=time_numbers(frame[self.time]))
        return Split(self)


@dataclass(frozen=True)
class Split:
    """The options, and for each row the number of its group or its time, if rows are split by it."""

    options: SplitOptions
    groups: np.ndarray | None = None
    times: np.ndarray | None = None

    def rows(self, mask: np.ndarray) -> Split:
        """The split of these rows alone."""
        groups = None if self.groups is None else self.groups[mask]
        return Split(self.options, groups, None if self.times is None else self.times[mask])

    def held_out(self, t: np.ndarray) -> np.ndarray:
        """A boolean mask of the rows that are held out for validation, given the encoded targets."""
        share, seed = self.options.validation, self.options.seed
        if not share or (self.groups is None and self.times is None):
            return split(t, share, seed)
        if self.groups is not None:
            return _split_groups(self.groups, share, seed)
        assert self.times is not None
        return _split_latest(self.times, share)

    def folds(self, t: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """The masks of the rows that each fold trains on, and of those that it is measured on.

        By time a fold trains only on rows that are earlier than those that it is measured on.
        Raises ValueError if there are too few rows, groups or times.
        """
        number, seed = self.options.folds or 2, self.options.seed
        if self.times is not None:
            if (different := len(np.unique(self.times))) <= number:
                raise ValueError(f"{number} folds by time need at least {number + 1} different times, got {different}")
            blocks = _blocks(self.times, number + 1)
            return [(blocks < k, blocks == k) for k in range(1, int(blocks.max()) + 1)]
        fold = stratified_folds(t, number, seed) if self.groups is None else group_folds(self.groups, number, seed)
        return [(fold != k, fold == k) for k in range(number)]

    @property
    def together(self) -> np.ndarray | None:
        """Integers: rows with the same number are never on two sides of a split. None if any split is good.

        By time these are blocks of consecutive rows.
        """
        return self.groups if self.times is None else _blocks(self.times, BLOCKS)

    @property
    def description(self) -> str:
        """How rows are chosen, such as "whole groups of 'customer', seed 0"; "" for the ordinary random split."""
        if self.options.group is not None:
            return f"whole groups of {self.options.group!r}, seed {self.options.seed}"
        return "" if self.options.time is None else f"the latest by {self.options.time!r}"


def split(t: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A boolean mask of the rows that are held out for validation: this share of them, at random by the seed.

    Class labels (integers) are stratified: this share of each class is held out, at least one row if the class has two,
    and at least one row stays. Raises ValueError for a share outside [0, 1), and if one of the parts would be empty.
    """
    if not fraction("validation", share):
        return np.zeros(len(t), dtype=bool)
    labels = t if t.dtype.kind == "i" else np.zeros(len(t), dtype=np.int32)
    held_out = stratified(labels, share, seed, "validation")
    if not held_out.any():
        reason = "there is only one row" if len(t) == 1 else "every class has only one row"
        raise ValueError(f"no row can be held out for validation, because {reason}: give more rows, or validation 0")
    return held_out


def _split_groups(groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A mask of whole groups, at random, that have about this share of the rows. Raises ValueError for one group."""
    sizes = np.bincount(groups)
    if len(sizes) < 2:
        raise ValueError("all rows are of one group: give another group, or validation 0")
    order = Bits(seed, "validation groups").permutation(len(sizes))
    rows = np.cumsum(sizes[order])
    last = int(np.argmin(np.abs(rows[:-1] - share * len(groups))))
    return np.isin(groups, order[: last + 1])


def _split_latest(times: np.ndarray, share: float) -> np.ndarray:
    """A mask of the latest rows, about this share; rows of one time stay together. Raises ValueError for one time."""
    known = np.sort(times)
    first = known[min(len(known) - 1, round((1 - share) * len(known)))]
    held_out = times >= first
    if held_out.all():
        held_out = times > first
    if not held_out.any():
        raise ValueError("all rows have the same time: give another column for the time, or validation 0")
    return held_out


def stratified_folds(t: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Fold numbers at random, the same number of rows of each class in each fold up to one."""
    if len(t) < number:
        raise ValueError(f"{number} folds need at least {number} rows, got {len(t)}")
    order = Bits(seed, "folds").permutation(len(t))
    if t.dtype.kind == "i":
        order = order[np.argsort(t[order], kind="stable")]
    fold = np.empty(len(t), dtype=np.int64)
    fold[order] = np.arange(len(t)) % number
    return fold


def group_folds(groups: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Fold numbers of whole groups: the largest groups first, each into the fold that has the fewest rows so far."""
    sizes = np.bincount(groups)
    if len(sizes) < number:
        raise ValueError(f"{number} folds need at least {number} groups, got {len(sizes)}")
    order = Bits(seed, "folds").permutation(len(sizes))
    rows, fold = np.zeros(number, dtype=np.int64), np.empty(len(sizes), dtype=np.int64)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold[group] = np.argmin(rows)
        rows[fold[group]] += sizes[group]
    return fold[groups]


def _group_numbers(values: pl.Series) -> np.ndarray:
    """The number of each row's group, from 0; rows without a value are one group."""
    texts = as_text(values).fill_null("\0").to_numpy()
    return np.unique(texts, return_inverse=True)[1].astype(np.int64)


def time_numbers(values: pl.Series) -> np.ndarray:
    """Times as numbers that have their order; -∞ if missing, with a ``TableWarning``. Raises ValueError for text."""
    kind = kind_of(values)
    if kind not in (NUMBERS, DATES, TIMES):
        remedy = f"a column of dates or numbers is needed; --date {values.name} reads it as dates"
        raise ValueError(f"rows cannot be ordered by {values.name!r}, a column of {kind}: {remedy}")
    times = numbers(values) if kind == NUMBERS else numbers(values.to_physical())
    if missing := int(np.isnan(times).sum()):
        warn(values.name, f"{count(missing, 'row')} without a time, taken as earlier than all others")
    return np.where(np.isnan(times), -np.inf, times)


def _blocks(times: np.ndarray, number: int) -> np.ndarray:
    """The number of each row's block: ``number`` blocks of about equal size by time; rows of one time stay together."""
    ordered = np.sort(times)
    edges = ordered[[len(times) * k // number for k in range(1, number)]]
    return np.unique(np.searchsorted(edges, times, side="right"), return_inverse=True)[1].astype(np.int64)
