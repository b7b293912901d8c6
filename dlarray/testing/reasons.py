"""The reasons in a report, each once: checks with the same reasons on the same columns stand together, of all parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dlarray.testing.report import ColumnReport

__all__ = ["WORDS", "Group", "groups"]

WORDS = {
    "fail": ("Failed", "The library or its backend does not do what formulas rely on."),
    "xpass": ("Passed unexpectedly", "A file of expectations lists them as failing: remove their lines."),
    "xfail": ("Failed as expected", "A file of expectations lists them, with the reason."),
    "blocked": ("Blocked", "They need a part of the contract that has failed."),
    "skip": ("Not applicable", "The backend states that it lacks what they test, or the column has none of it."),
}
"""The outcomes that have reasons, the most important first: a title, and what it means."""


@dataclass(frozen=True)
class Group:
    """Checks with one outcome, for the same reasons on the same columns."""

    outcome: str
    reasons: tuple[tuple[str, tuple[str, ...]], ...]
    """Each reason, and the names of the columns that have it."""
    checks: tuple[tuple[str, str], ...]
    """The part and the name of each check."""
    anchor: str
    """Unique in the report."""


def groups(columns: Sequence[ColumnReport]) -> list[Group]:
    """The groups of a report, by outcome as in ``WORDS``, then in the order of the checks."""
    found: dict[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]], list[tuple[str, str]]] = {}
    rows = list(zip(*(column.results for column in columns), strict=True))
    for outcome in WORDS:
        for row in rows:
            here: dict[str, list[str]] = {}
            for column, result in zip(columns, row, strict=True):
                if result.outcome == outcome:
                    here.setdefault(result.reason, []).append(column.column.name)
            if here:
                reasons = tuple((reason, tuple(names)) for reason, names in here.items())
                found.setdefault((outcome, reasons), []).append((row[0].part, row[0].name))
    return [
        Group(outcome, reasons, tuple(checks), f"reason-{number}")
        for number, ((outcome, reasons), checks) in enumerate(found.items(), 1)
    ]
