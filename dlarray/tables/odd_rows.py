"""Rows that may be no observations: a last row of totals, and targets far from all others."""

from __future__ import annotations

import shlex

import numpy as np

from dlarray.core.check import count
from dlarray.core.text import escape, quote
from dlarray.tables.conversion import DATES, days, numbers
from dlarray.tables.reading import Cells, Table
from dlarray.tables.values import is_text, warn

__all__ = ["report_far_extremes", "report_far_targets", "report_totals"]

TOTALS = ("total", "totals", "grand total", "subtotal", "sum", "average", "mean")
REPEATED = 0.01  # the share of the rows from which a far value counts as repeated
LEAST_REPEATED = 3
LEAST_ROWS = 10
FAR = 10  # times the range of all other values


def report_totals(table: Table) -> None:
    """A ``TableWarning`` if the last row has a word such as Total in a column of text that has it nowhere else."""
    for values in table.raw:
        if not is_text(values) or not isinstance(last := values[-1], str):
            continue
        word = last.strip().rstrip(":").lower()
        if word in TOTALS and (values == last).sum() == 1:
            warn(values.name, f"the last row has {quote(last)}: if it is no observation, remove it from the table")
            return


def report_far_targets(target: Cells) -> None:
    """A ``TableWarning`` about numbers or dates far from the others: one that many rows have, or a single one.

    A repeated value is far if it lies outside of the 1st and 99th percentile of the others by more than their distance;
    a single one, if its distance from the next value is more than ten times the range of the others.
    """
    t = _quarters(target)
    if len(t) < LEAST_ROWS:
        return
    values, counts = np.unique(t, return_counts=True)
    for value in values[counts >= max(LEAST_REPEATED, REPEATED * len(t))]:
        low, high = np.quantile(t[t != value], (0.01, 0.99)) if len(values) > 1 else (value, value)
        if low < high and max(low - value, value - high) > high - low:
            rows = t == value
            shown, remedy = _shown(target, rows)
            are = f"{count(int(rows.sum()), 'row')} are exactly {shown}, far from the others"
            warn(target.name, f"{are}: if that means missing, {remedy}")
            return
    ordered = np.sort(t)
    for far, near, end in ((ordered[-1], ordered[-2], ordered[0]), (ordered[0], ordered[1], ordered[-1])):
        if abs(far - near) / FAR > abs(near - end) > 0:
            shown, remedy = _shown(target, t == far)
            alone = f"one row is {shown}, far from all others, and decides the metrics"
            warn(target.name, f"{alone}: if it is wrong, correct it; if it means missing, {remedy}")
            return


def report_far_extremes(sample: Cells, least: float, greatest: float) -> None:
    """A ``TableWarning`` if the least or the greatest target of all rows is far from those of a sample.

    It is far if its distance is more than ten times the range of the sample.
    """
    t = _quarters(sample)
    if len(t) < LEAST_ROWS:
        return
    low, high = float(np.min(t)), float(np.max(t))
    for far, distance in ((greatest, greatest / 4 - high), (least, low - least / 4)):
        if distance / FAR > high - low > 0:
            shown = f"{far:.15g}" if sample.kind != DATES else str(np.datetime64(round(far), "D"))
            alone = f"a row is {shown}, far from those of a sample, and decides the metrics"
            warn(sample.name, f"{alone}: if it is wrong, correct it; if it means missing, use --missing {shown}")
            return


def _quarters(target: Cells) -> np.ndarray:
    """A quarter of each number, or of the days of each date, so that no difference overflows."""
    return np.asarray((days if target.kind == DATES else numbers)(target.typed), dtype=np.float64) / 4


def _shown(target: Cells, rows: np.ndarray) -> tuple[str, str]:
    """The value of these rows as the table writes it, and how to read it as missing."""
    shown = escape(str(target.raw.filter(rows)[0]).strip())
    return shown, f"use --missing {shlex.quote(shown)}" if is_text(target.raw) else "make it null"
