"""Names of columns: each one present and different, and columns without name and values dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dlarray.core.text import quote_all
from dlarray.tables.text_encoding import note
from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["UNNAMED", "choose_names", "renamed", "with_names"]

UNNAMED = "(unnamed)"  # the index that pandas and R write as the first column


def with_names(file: str, frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """The frame with these names, by position; later columns without a name are dropped if they have no value.

    A ``TableWarning`` reports names that were made up or changed.
    """
    return renamed(frame, choose_names(file, frame, names))


def choose_names(file: str, frame: pl.DataFrame, names: Sequence[str]) -> dict[int, str]:
    """The name of each column by its position, without those that are dropped. Warns as ``with_names``."""
    pl = polars()
    given = [name.strip() for name in names]
    empty: set[int] = set()
    for i, (name, values) in enumerate(zip(given, frame, strict=True)):
        if not name and i:
            text = values.str.strip_chars() if values.dtype == pl.String else values
            if (text.is_null() | (text == "") if text.dtype == pl.String else text.is_null()).all():
                empty.add(i)
    kept = [(i, name) for i, name in enumerate(given) if i not in empty]
    return {i: new for (i, _), new in zip(kept, _unique(file, kept), strict=True)}


def renamed(frame: pl.DataFrame, names: Mapping[int, str]) -> pl.DataFrame:
    """The columns at these positions, with these names."""
    return polars().DataFrame([frame.to_series(i).alias(name) for i, name in names.items()])


def _unique(file: str, columns: list[tuple[int, str]]) -> list[str]:
    taken = {name for _, name in columns}
    seen: set[str] = set()
    found: list[str] = []
    unnamed: list[str] = []
    renamed: list[str] = []
    counts = Counter(name for _, name in columns)
    for i, name in columns:
        new = name or (UNNAMED if i == 0 else f"column_{i + 1}")
        if new in seen or (not name and new in taken):
            number = next(n for n in range(2, len(columns) + 3) if f"{new}_{n}" not in taken | seen)
            new = f"{new}_{number}"
        if not name and i:
            unnamed.append(new)
        elif name and counts[name] > 1 and new != name:
            renamed.append(new)
        seen.add(new)
        found.append(new)
    if unnamed:
        note(file, f"columns without a name are called {quote_all(unnamed, 5)}")
    if renamed:
        note(file, f"repeated names of columns are changed to {quote_all(renamed, 5)}")
    return found
