"""Columns of tables in a graph: from an input to what the column's formulas take, and samples for the check.

Text becomes categories as in a new file: without white space at its ends, a word for missing values is missing, and
upper and lower case are the same unless training has distinguished them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.core.array import Array, array_namespace
from dlarray.core.text import quote
from dlarray.onnx.program import ExportError
from dlarray.tables.columns import Boolean, Category, Column, Date, Number
from dlarray.tables.columns.category import MISSING, UNKNOWN
from dlarray.tables.conversion import (
    BOOLEANS,
    DATES,
    DURATIONS,
    MICROSECONDS_A_DAY,
    NUMBERS,
    TEXT,
    TIMES,
    booleans,
    day_fractions,
    days,
    numbers,
)
from dlarray.tables.text_format import spellings
from dlarray.tables.values import as_text, is_text, polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["column_input", "described_column", "is_text_input", "read_input", "sample_values"]

SPACE = "[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*"
"""White space at the ends of text, as polars strips it."""
READERS = {NUMBERS: numbers, DURATIONS: numbers, BOOLEANS: booleans, DATES: days, TIMES: day_fractions}
UNITS = {DATES: "days since 1970-01-01", TIMES: "parts of a day", DURATIONS: "seconds", BOOLEANS: "0 or 1"}


def is_text_input(column: Column) -> bool:
    """Whether the input of a column is text; others are float64."""
    return isinstance(column, Category) and column.value_kind == TEXT


def described_column(column: Column) -> str:
    """What the input of a column holds, in words."""
    if isinstance(column, Date):
        return UNITS[TIMES if column.is_time else DATES]
    if isinstance(column, Boolean):
        return UNITS[BOOLEANS]
    if isinstance(column, Category):
        return "text" if column.value_kind == TEXT else UNITS.get(column.value_kind, "a number")
    return f"a number in {column.format.unit}" if column.format.unit else "a number"


def read_input(column: Column, x: Array) -> Array:
    """What ``column.encode`` takes, (n,), from an input of the graph, (n, 1)."""
    xp = array_namespace(x)
    if isinstance(column, Category):
        if is_text_input(column):
            found = xp.concat([xp.matches(x, pattern) for pattern in _patterns(column)], axis=1)
            missing = xp.matches(x, _missing_pattern(column))
        else:
            found = x == xp.asarray(_label_values(column), dtype=x.dtype)
            missing = xp.isnan(x)
        places = xp.arange(len(column.categories), dtype=xp.int32)
        index = xp.max(xp.where(found, places, UNKNOWN), axis=1)
        return xp.where(xp.reshape(missing, (-1,)), MISSING, index)
    x = xp.reshape(x, (-1,))
    usable = ((x == 0) | (x == 1)) if isinstance(column, Boolean) else ~xp.isinf(x)
    return xp.where(usable, x, xp.nan)


def column_input(column: Column, values: pl.Series) -> np.ndarray:
    """The input of the graph, (n, 1), for values of a new table, which are read as the model reads them."""
    if is_text_input(column):
        text = (values.cast(polars().String) if is_text(values) else as_text(values, column.format)).fill_null("")
        return np.asarray(text.to_list(), dtype=object).reshape(-1, 1)
    x = column.read(values)
    if isinstance(column, Category):
        known = np.append(_label_values(column), [np.nan, np.inf])  # at MISSING and at UNKNOWN
        x = known[x]
    return x.astype(np.float64).reshape(-1, 1)


def _patterns(column: Category) -> list[str]:
    """A regular expression for the spellings of each category."""
    lower = Counter(c.lower() for c in column.categories)
    alike = [not column.format.match_case and lower[c.lower()] == 1 for c in column.categories]
    return [
        f"{SPACE}{'(?i:' if any_case else '(?:'}{re.escape(c)}){SPACE}"
        for c, any_case in zip(column.categories, alike, strict=True)
    ]


def _missing_pattern(column: Column) -> str:
    """A regular expression for the words of missing values."""
    words = defaultdict[str, list[str]](list)
    for word in sorted(spellings(column.format)):
        words[word.lower()].append(word)
    parts = [_spelled(lower, group) for lower, group in words.items()]
    return f"{SPACE}(?:{'|'.join(parts)}){SPACE}"


def _spelled(lower: str, words: list[str]) -> str:
    """A regular expression for spellings of one word, which are few or those in any mixture of cases."""
    mixtures = 2 ** sum(map(str.isalpha, lower))
    return f"(?i:{re.escape(lower)})" if len(words) == mixtures > 1 else "|".join(map(re.escape, words))


def _label_values(column: Category) -> np.ndarray:
    """The categories as numbers, float64: for columns whose values are not text."""
    labels = polars().Series(column.name, column.categories)
    values = READERS[column.value_kind](labels, column.format)
    if np.isnan(values).any() or len(np.unique(values)) < len(values):
        raise ExportError(
            f"the categories of column {quote(column.name)} are {column.value_kind} that float64 does not tell apart: "
            "train with this column as text, tables.ReadOptions(text=[…])"
        )
    return values


# Samples


def sample_values(column: Column, n: int) -> pl.Series:
    """Values of a column for the check: ordinary, extreme, unknown and missing ones, drawn at random."""
    random = np.random.default_rng(n)
    pl = polars()
    if isinstance(column, Category):
        return _sample_categories(column, random, n)
    if isinstance(column, Boolean):
        return pl.Series(column.name, [(True, False, None)[i] for i in random.integers(0, 3, n)], dtype=pl.Boolean)
    x = random.choice(_numbers(column, random), n)
    if isinstance(column, Number):
        return pl.Series(column.name, x)
    if not isinstance(column, Date):
        raise ExportError(f"columns of the class {type(column).__name__} cannot be exported: {quote(column.name)}")
    x = np.remainder(x, 1) if column.is_time else x
    microseconds = pl.Series(column.name, np.round(x * MICROSECONDS_A_DAY), nan_to_null=True).cast(pl.Int64)
    return (microseconds * 1000).cast(pl.Time) if column.is_time else microseconds.cast(pl.Datetime("us"))


def _numbers(column: Any, random: np.random.Generator) -> np.ndarray:
    """Numbers around the mean of a column, and its special values."""
    ordinary = column.mean + column.scale * random.normal(size=64)
    special = [column.median, column.mean, *getattr(column, "knots", ()), np.nan]
    far = [column.mean + sign * 20 * column.scale for sign in (-1, 1)] if isinstance(column, Number) else []
    return np.asarray([*ordinary, *special, *far])


def _sample_categories(column: Category, random: np.random.Generator, n: int) -> pl.Series:
    pl = polars()
    if column.value_kind != TEXT:
        known = [*_label_values(column).tolist(), None]
        values = pl.Series(column.name, [known[i] for i in random.integers(0, len(known), n)], dtype=pl.Float64)
        if column.value_kind == BOOLEANS:
            return values.cast(pl.Boolean)
        if column.value_kind == DATES:
            return (values * MICROSECONDS_A_DAY).round().cast(pl.Int64).cast(pl.Datetime("us"))
        if column.value_kind == TIMES:
            return (values * MICROSECONDS_A_DAY * 1e3).round().cast(pl.Int64).cast(pl.Time)
        return values
    words: list[str | None] = [w for c in column.categories for w in (c, c.upper(), f"  {c.title()}\t")]
    words += [None, "", "NA", " na ", "no category of this column"]
    return pl.Series(column.name, [words[i] for i in random.integers(0, len(words), n)], dtype=pl.String)
