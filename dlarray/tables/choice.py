"""The choice between classification and regression, from the target column."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from dlarray.core.check import one_of
from dlarray.core.text import escape, quote
from dlarray.tables.conversion import BOOLEANS, DATES, TEXT
from dlarray.tables.identifiers import UNNAMED
from dlarray.tables.reading import Cells, Table
from dlarray.tables.targets import ClassificationTarget, RegressionTarget, Target
from dlarray.tables.values import is_text, polars, warn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["choose_target"]

FEW = 20  # integers with at most so many distinct values can be classes
ROWS = 5  # a class has so many rows or more,
NEARLY_ALL = 0.95  # for this share of the rows
FREQUENT = 0.01  # a word for missing values in this share of the rows could be a class


def choose_target(values: pl.Series | Cells, task: str | None = None) -> tuple[Target, str]:
    """A classification or regression target, and the reason in words. ``task`` decides if given, else the values.

    Text and booleans are classes. Integers are classes if they have two distinct values, or at most 20 of which those
    with five rows or more make up 95 % of the rows; not if every row has another value. Other numbers, dates and
    durations are regression targets. Raises ValueError for an unknown task, and for a column that is constant, has no
    values or does not fit the task.
    """
    pl = polars()
    if task is not None:
        one_of("task", task, ("classification", "regression"))
    cells = Cells.of(values)
    values = cells.typed
    counts = cells.count(values)
    present, rows = counts["value"], int(counts["rows"].sum())
    if not len(present):
        raise ValueError(f"the target {quote(values.name)} is missing in every row")
    if values.dtype == pl.Time or values.dtype.is_nested() or values.dtype == pl.Binary:
        raise ValueError(
            f"the target {quote(values.name)} is of type {values.dtype}: it must be numbers, dates, text or booleans"
        )
    if task is not None:
        return (ClassificationTarget if task == "classification" else RegressionTarget).fit(cells), "as requested"
    if present.dtype.is_numeric():
        kind, reason = _by_numbers(present, counts["rows"])
        return kind.fit(cells), reason
    if values.dtype == pl.Duration:
        return RegressionTarget.fit(cells), "durations, in seconds"
    if cells.kind == DATES:
        return RegressionTarget.fit(cells), "dates, errors in days"
    distinct = len(present)
    if distinct > max(FEW, rows / 2) or distinct == rows > 2:
        raise ValueError(
            f"the target {quote(values.name)} is text with {distinct:,} distinct values in {rows:,} rows: it "
            "looks like an identifier; to train on it all the same, use --task classification (task='classification')"
        )
    return ClassificationTarget.fit(cells), "booleans" if values.dtype == pl.Boolean else "text"


def _by_numbers(present: pl.Series, rows: pl.Series) -> tuple[type[ClassificationTarget | RegressionTarget], str]:
    """The kind of a target of these different numbers, each in so many rows, and the reason."""
    distinct, total = len(present), int(rows.sum())
    if not (present.dtype.is_integer() or bool((present == present.round()).all())):
        return RegressionTarget, f"numbers with {distinct:,} distinct values"
    reason = f"integers with {distinct:,} distinct values"
    if distinct > FEW:
        return RegressionTarget, reason
    few = distinct > 2 and rows.filter(rows >= ROWS).sum() < NEARLY_ALL * total
    if few or distinct == total > 1:
        return RegressionTarget, f"{reason}, {len(rows.filter(rows < ROWS)):,} of them in fewer than {ROWS} rows"
    return ClassificationTarget, reason


def check_missing_classes(table: Table, target: str) -> None:
    """Raise ValueError if a word for missing values could be a class of a target of text or booleans, such as "None".

    It could be one if it has 1 % of the rows or more. Only the user knows, so the message has both remedies. If the
    file shows that the word is a missing value, it is one, with a ``TableWarning``: a column of numbers, booleans or
    dates has it too, or it is NA in a file that R has written with the names or numbers of the rows.
    """
    cells = table[target]
    if cells.kind not in (TEXT, BOOLEANS) or not is_text(cells.raw):
        return
    raw = _stripped(cells.raw)
    words = raw.filter(cells.typed.is_null() & raw.str.contains(r"\pL")).rename("word").value_counts(sort=True)
    given = {word.lower() for word in table.options.missing}
    for word, rows in words.iter_rows():
        if word.lower() in given or not FREQUENT * len(raw) <= rows < len(raw):
            continue
        keep = f"--not-missing {shlex.quote(escape(word))}"
        if evidence := _evidence(word, table.drop(target)):
            warn(target, f"{quote(word)} is a missing value, {evidence}; to make it a class, use {keep}")
            continue
        shown, python = shlex.quote(escape(word)), f"[{quote(word)}]"
        raise ValueError(
            f"the target {quote(target)} holds {quote(word)} in {rows:,} of {len(raw):,} rows: to make it a class, use "
            f"{keep} (ReadOptions(not_missing={python})); to drop these rows, use --missing {shown} "
            f"(ReadOptions(missing={python}))"
        )


def _evidence(word: str, table: Table) -> str:
    """What else in a file shows that a word is a missing value there; "" if nothing does."""
    for name in table.columns:
        cells = table[name]
        if cells.kind != TEXT and is_text(cells.raw) and (_stripped(cells.raw) == word).any():
            return f"as in column {quote(name)}"
    first = table.columns[0] if table.columns else ""
    if word == "NA" and UNNAMED.search(first) and str(table.raw[first][0]).strip() != "0":  # pandas counts from 0
        return "as R writes it"
    return ""


def _stripped(raw: pl.Series) -> pl.Series:
    return raw.cast(polars().String).str.strip_chars()
