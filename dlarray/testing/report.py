"""The results of the checks on several columns, as data."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dlarray.core.libraries import version_of
from dlarray.testing.check import OUTCOMES, Result
from dlarray.testing.columns import Column

__all__ = ["ColumnReport", "Report"]


@dataclass(frozen=True)
class ColumnReport:
    """The results of one column, in the order of the checks."""

    column: Column
    library: str
    """The library and its version, such as "torch 2.13.0"."""
    results: tuple[Result, ...]

    @property
    def counts(self) -> dict[str, int]:
        """The number of checks with each outcome."""
        found = Counter(result.outcome for result in self.results)
        return {outcome: found[outcome] for outcome in OUTCOMES}

    @property
    def worst(self) -> Result | None:
        """The result with the largest deviation of those that passed; None if nothing was measured."""
        measured = [r for r in self.results if r.ulp is not None and r.outcome in ("pass", "xpass")]
        return max(measured, key=lambda r: r.ulp or 0.0, default=None)

    @property
    def seconds(self) -> float:
        """The time of all checks."""
        return sum(result.seconds for result in self.results)


@dataclass(frozen=True)
class Report:
    """The columns of a matrix, and those that could not be run, each with the reason."""

    columns: tuple[ColumnReport, ...]
    missing: tuple[tuple[Column, str], ...] = ()

    def faults(self, strict: bool = False) -> int:
        """The number of checks that failed; with ``strict`` those too that passed and were expected to fail."""
        counted = ("fail", "xpass") if strict else ("fail",)
        return sum(column.counts[outcome] for column in self.columns for outcome in counted)

    def data(self) -> dict[str, Any]:
        """The report as JSON has it."""
        own = version_of("dlarray") or "not installed"
        return {
            "versions": {"dlarray": own, "numpy": np.__version__, "python": platform.python_version()},
            "platform": platform.platform(),
            "columns": [
                {
                    **asdict(found.column),
                    "library": found.library,
                    "counts": found.counts,
                    "seconds": found.seconds,
                    "checks": [asdict(result) for result in found.results],
                }
                for found in self.columns
            ],
            "missing": [{**asdict(column), "reason": reason} for column, reason in self.missing],
        }
