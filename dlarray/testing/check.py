"""A check of the kit, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from dlarray.testing.columns import Column

__all__ = ["OUTCOMES", "Check", "Deviation", "NotApplicable", "Result"]

OUTCOMES = ("pass", "fail", "blocked", "skip", "xfail", "xpass")
"""What can come of a check. "blocked": a check that it needs failed. "xfail": it failed, as was expected; "xpass": it
was expected to fail and passed."""


class NotApplicable(Exception):  # noqa: N818  it is not an error
    """The check says nothing about this column; the message is the reason. The outcome is "skip"."""


class Deviation(float):
    """A deviation in ulp, and where it was found."""

    where: str

    def __new__(cls, ulp: float = 0.0, where: str = "") -> Self:
        made = super().__new__(cls, ulp)
        made.where = where
        return made


@dataclass(frozen=True)
class Check:
    """One question about a column.

    ``run`` returns the largest deviation in ulp, or None where yes or no is the answer, or a measurement in words: the
    table shows what is before its first comma. It raises AssertionError with the reason if the answer is no, and
    NotApplicable if the question makes no sense for this column.
    """

    part: str
    """The group in the report, such as "contract" or "functions"."""
    name: str
    """Unique in its part."""
    run: Callable[[Column], float | str | None]
    needs: tuple[str, ...] = ()
    """Names of checks of the contract. If one of them fails, this check is blocked and does not run."""
    limit: float | None = None
    """The largest deviation in ulp that passes; None: any."""


@dataclass(frozen=True)
class Result:
    """What has come of a check on a column."""

    part: str
    name: str
    outcome: str
    """One of ``OUTCOMES``."""
    ulp: float | None = None
    """The largest deviation in ulp, if it was measured."""
    reason: str = ""
    """Why the outcome is not "pass"; of one that passed, what it measured, in words."""
    seconds: float = 0.0
