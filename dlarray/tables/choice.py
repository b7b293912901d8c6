"""The choice between classification and regression, from the target column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlarray.core.check import one_of
from dlarray.tables.reading import Cells
from dlarray.tables.targets import ClassificationTarget, RegressionTarget, Target
from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["choose_target"]

FEW = 20  # integers with at most so many distinct values are classes


def choose_target(values: pl.Series | Cells, task: str | None = None) -> tuple[Target, str]:
    """A classification or regression target, and the reason in words. ``task`` decides if given, else the values.

    Text, booleans, and integers with at most 20 distinct values are classes. Other numbers are regression targets.
    Raises ValueError for an unknown task, and for a column that is constant, has no values or does not fit the task.
    """
    pl = polars()
    if task is not None:
        one_of("task", task, ("classification", "regression"))
    cells = Cells.of(values)
    values = cells.typed
    present = values.drop_nulls()
    if not len(present):
        raise ValueError(f"the target {values.name!r} is missing in every row")
    if values.dtype in (pl.Date, pl.Datetime, pl.Time) or values.dtype.is_nested() or values.dtype == pl.Binary:
        raise ValueError(f"the target {values.name!r} is of type {values.dtype}: it must be numbers, text or booleans")
    if task is not None:
        return (ClassificationTarget if task == "classification" else RegressionTarget).fit(cells), "as requested"
    distinct = present.n_unique()
    if present.dtype.is_numeric():
        integers = present.dtype.is_integer() or bool((present == present.round()).all())
        reason = f"{'integers' if integers else 'numbers'} with {distinct:,} distinct values"
        return (ClassificationTarget if integers and distinct <= FEW else RegressionTarget).fit(cells), reason
    if values.dtype == pl.Duration:
        return RegressionTarget.fit(cells), "durations, in seconds"
    if distinct > max(FEW, len(present) / 2):
        raise ValueError(
            f"the target {values.name!r} is text with {distinct:,} distinct values in {len(present):,} rows: it looks "
            "like an identifier; to train on it all the same, use --task classification (task='classification')"
        )
    return ClassificationTarget.fit(cells), "booleans" if values.dtype == pl.Boolean else "text"
