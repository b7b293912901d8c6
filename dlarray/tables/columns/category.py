"""Columns of categories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dlarray.core.array import Array, array_namespace, one_hot
from dlarray.core.check import count
from dlarray.core.text import quote
from dlarray.tables.columns.base import Column
from dlarray.tables.conversion import TEXT, label_indices
from dlarray.tables.reading import Cells
from dlarray.tables.values import as_text, warn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Category"]

UNKNOWN, MISSING = -1, -2  # instead of the index of a category


@dataclass(frozen=True)
class Category(Column):
    """One-hot: one feature for each category, 1 if the value is this category; all 0 for an unknown category.

    The rarest categories, ``infrequent`` of them, share the feature "other"; unknown categories have it too, if it
    exists. Categories keep the text of the file. Categories whose ``value_kind`` is not text, such as numbers that are
    names, also match by value: 1 is 1.0.
    Source: scikit-learn's OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=…).
    """

    categories: tuple[str, ...]
    infrequent: int
    value_kind: str = TEXT

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "categories", tuple(self.categories))
        if not all(isinstance(c, str) for c in self.categories):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"categories must be text, got {self.categories!r}")

    @classmethod
    def fit(cls, cells: Cells, max_categories: int) -> Category:
        """The column fitted to the training part, with at most this many features for its categories."""
        text = cells.text
        counts: dict[str, int] = dict(cells.count(text).iter_rows())
        frequent = sorted(counts, key=lambda c: (-counts[c], c))
        own = frequent if len(frequent) <= max_categories else frequent[: max_categories - 1]
        infrequent = len(frequent) - len(own)
        kind = cells.kind or TEXT
        missing = text.null_count() if cells.rows is None else int(cells.rows.filter(text.is_null()).sum())
        return cls(cells.name, missing, tuple(sorted(own)), infrequent, kind, format=cells.format)

    @property
    def features(self) -> tuple[str, ...]:
        named = [f"{self.name}={c}" for c in self.categories]
        return self.with_indicator(*named, *([f"{self.name} other"] if self.infrequent else []))

    @property
    def description(self) -> str:
        n = len(self.categories)
        text = f"{n:,} categor{'y' if n == 1 else 'ies'}, one-hot"
        if self.infrequent:
            text += f'; the {self.infrequent:,} rarest share "other"'
        return text + self.describe_missing("encoded as another category")

    def read(self, values: pl.Series) -> np.ndarray:
        """The index of each category, int32: ``UNKNOWN`` for an unknown one, ``MISSING`` for a missing value."""
        found = label_indices(values, self.categories, self.value_kind, self.format)
        indices = found.fill_null(MISSING).to_numpy()
        unknown = indices == UNKNOWN
        if not self.infrequent and unknown.any():
            names = as_text(values, self.format).filter(unknown).unique().sort().to_list()
            more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
            examples = f"{', '.join(map(quote, names[:3]))}{more}"
            warn(self.name, f"{count(int(unknown.sum()), 'unknown value')} ({examples}), encoded as no category")
        self.warn_missing(int((indices == MISSING).sum()))
        return indices

    def encode(self, x: Array) -> Array:
        known = one_hot(x, len(self.categories), array_namespace(x).float32)
        return self.add_indicator([known, *([x == UNKNOWN] if self.infrequent else [])], x == MISSING)
