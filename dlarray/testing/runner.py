"""Runs checks on a column: what they need first, and each once."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter

from dlarray.testing import contract
from dlarray.testing.check import Check, Deviation, NotApplicable, Result
from dlarray.testing.columns import Column

__all__ = ["Expected", "Runner", "run"]

LONGEST = 400
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
REWRITTEN = re.compile(r"^assert ", re.MULTILINE)
Expected = Mapping[tuple[str, str], str]
"""The reasons why checks are expected to fail, by part and name."""


def run(
    column: Column,
    checks: Sequence[Check],
    expected: Expected | None = None,
    begins: Callable[[Check], object] = lambda check: None,
) -> list[Result]:
    """The results of the checks on this column, in their order.

    Checks of the contract that they need run too. ``begins`` is called before each check that runs.
    Raises ValueError if a check needs one that does not exist.
    """
    runner = Runner(column, [*contract.checks(), *checks], expected, begins)
    return [runner.result(check) for check in checks]


class Runner:
    """Checks on one column; ``checks`` has all that they need from the contract."""

    def __init__(
        self,
        column: Column,
        checks: Sequence[Check],
        expected: Expected | None = None,
        begins: Callable[[Check], object] = lambda check: None,
    ) -> None:
        self.column = column
        self._contract = {check.name: check for check in checks if check.part == "contract"}
        self._expected = expected or {}
        self._begins = begins
        self._done: dict[tuple[str, str], Result] = {}

    def result(self, check: Check) -> Result:
        """The result of a check, which runs at the first call."""
        key = (check.part, check.name)
        if key not in self._done:
            self._done[key] = self._why_not(check) or self._judged(check)
        return self._done[key]

    def _why_not(self, check: Check) -> Result | None:
        """The result of a check that cannot run, because one that it needs has not passed."""
        for name in check.needs:
            if name not in self._contract:
                raise ValueError(f"the check {check.name!r} needs {name!r}, which is not a check of the contract")
            needed = self.result(self._contract[name])
            if needed.outcome == "skip":
                return Result(check.part, check.name, "skip", reason=needed.reason)
            if needed.outcome not in ("pass", "xpass"):
                return Result(check.part, check.name, "blocked", reason=f"needs “{name}” of the contract")
        return None

    def _judged(self, check: Check) -> Result:
        self._begins(check)
        began = perf_counter()
        ulp, why, outcome = None, "", "pass"
        try:
            with warnings.catch_warnings(), self.column.context():
                warnings.simplefilter("ignore")  # a library's deprecations say nothing about its numbers
                found = check.run(self.column)
            ulp, why = (None, found) if isinstance(found, str) else (found, "")
            if ulp is not None and check.limit is not None and not ulp <= check.limit:
                outcome, why = "fail", f"{_where(ulp)}off by {ulp:.4g} ulp, allowed {check.limit:g}"
        except NotApplicable as error:
            outcome, why = "skip", str(error)
        except AssertionError as error:
            outcome, why = "fail", _line(error) or "the assertion failed"
        except Exception as error:
            outcome, why = "fail", f"{type(error).__name__}: {_line(error)}"
        expected = self._expected.get((check.part, check.name))
        if expected is not None and outcome in ("pass", "fail"):
            known = not expected.startswith(why)  # else the file repeats what was measured
            outcome, why = f"x{outcome}", f"{why} ({expected})" if known and expected else expected or why
        measured = None if ulp is None else float(ulp)
        return Result(check.part, check.name, outcome, measured, why, perf_counter() - began)


def _where(ulp: float) -> str:
    return f"{ulp.where}: " if isinstance(ulp, Deviation) and ulp.where else ""


def _line(error: BaseException) -> str:
    """An error's message in one line, of at most ``LONGEST`` characters, without addresses, which differ in each run.

    pytest adds to the message of an ``assert`` what the expression was.
    """
    text = REWRITTEN.split(str(error))[0] if isinstance(error, AssertionError) else str(error)
    text = ADDRESS.sub("", " ".join(text.split()))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
