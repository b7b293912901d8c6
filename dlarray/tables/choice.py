"""Whether a target is classified or predicted as a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlarray.core.check import one_of
from dlarray.tables.reading import Cells
from dlarray.tables.targets import Classes, Quantity, Target
from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["choose_target"]

FEW = 20  # whole numbers with at most so many values are classes


def choose_target(values: pl.Series | Cells, task: str | None = None) -> tuple[Target, str]:
    """Classification or regression, and why, in words: by ``task`` where it is given, else by the column.

    Text, booleans, and whole numbers of at most 20 different values are classes; other numbers are a quantity. Raises
    ValueError for another task, for a column that cannot be its target, that never changes or has no values.
    """
    pl = polars()
    if task is not None:
        one_of("task", task, ("classification", "regression"))
    cells = Cells.of(values)
    values = cells.typed
    known = values.drop_nulls()
    if not len(known):
        raise ValueError(f"the target {values.name!r} is missing in every row")
    if values.dtype in (pl.Date, pl.Datetime, pl.Time) or values.dtype.is_nested() or values.dtype == pl.Binary:
        raise ValueError(f"the target {values.name!r} is of type {values.dtype}: it must be numbers, text or booleans")
    if task is not None:
        return (Classes if task == "classification" else Quantity).learn(cells), "as asked"
    different = known.n_unique()
    if known.dtype.is_numeric():
        whole = known.dtype.is_integer() or bool((known == known.round()).all())
        if whole and different <= FEW:
            return Classes.learn(cells), f"whole numbers of {different} different values"
        return Quantity.learn(cells), f"{'whole numbers' if whole else 'numbers'} of {different:,} different values"
    if values.dtype == pl.Duration:
        return Quantity.learn(cells), "a length of time, in seconds"
    if different > max(FEW, len(known) / 2):
        raise ValueError(
            f"the target {values.name!r} is text with {different:,} different values in {len(known):,} rows: it looks "
            "like an identifier; --task classification (task='classification') learns it all the same"
        )
    return Classes.learn(cells), "true and false" if values.dtype == pl.Boolean else "text"
