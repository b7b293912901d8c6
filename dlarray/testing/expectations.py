"""Files of expected failures, which live with the backend: what is known, so that a change is seen.

    # Comments and empty lines are skipped.
    functions: xp.take(x, labels, axis=0)   # indices must be int64: issue 12 of mylibrary

    [*-float32]
    activations: *   # exp is accurate to 40 ulp in float32

A line is a part, a check's name or ``*`` for all, and the reason after " #". A line in brackets is a pattern of
columns, for the lines that follow; before the first one they are for all columns of the backend.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from glob import escape
from pathlib import Path

from dlarray.core.check import did_you_mean
from dlarray.device.search import tested
from dlarray.testing.check import Check
from dlarray.testing.columns import Column
from dlarray.testing.report import Report

__all__ = ["Expectation", "expected_on", "file_of", "read", "unmatched", "written"]


@dataclass(frozen=True)
class Expectation:
    """A line of a file: checks that are expected to fail on some columns, and why."""

    columns: str
    part: str
    name: str
    reason: str


def file_of(device: str) -> Path | None:
    """The file of a device's backend: ``<name>.xfails`` in the folder of its module; None if there is none."""
    try:
        backend = tested(device, f"device={device!r}").backend
    except Exception:  # nothing of it can be run
        return None
    module = sys.modules[type(backend).__module__]
    path = Path(module.__file__ or "").parent / f"{backend.name}.xfails"
    return path if module.__file__ and path.is_file() else None


def read(path: Path, checks: Iterable[Check]) -> list[Expectation]:
    """The lines of a file. Raises ValueError for a line that is not one, or that names no check, and OSError."""
    names: dict[str, list[str]] = {}
    for check in checks:
        names.setdefault(check.part, []).append(check.name)
    found: list[Expectation] = []
    pattern = "*"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text, _, reason = line.strip().partition(" #") if not line.lstrip().startswith("#") else ("", "", "")
        if section := re.fullmatch(r"\[(.+)\]", text.strip()):
            pattern = section[1]
        elif text:
            part, _, name = text.strip().partition(": ")
            try:
                _refuse_unknown(part, name, names)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            found.append(Expectation(pattern, part, name, reason.strip()))
    return found


def expected_on(column: Column, listed: Iterable[Expectation], checks: Iterable[Check]) -> dict[tuple[str, str], str]:
    """The reasons of the checks that are expected to fail on a column, by part and name."""
    here = [line for line in listed if fnmatch(column.name, line.columns)]
    return {
        (check.part, check.name): line.reason
        for check in checks
        for line in here
        if line.part == check.part and line.name in ("*", check.name)
    }


def unmatched(listed: Iterable[Expectation], columns: Sequence[str]) -> list[str]:
    """The patterns of these lines that match none of the columns."""
    patterns = dict.fromkeys(line.columns for line in listed)
    return [pattern for pattern in patterns if not any(fnmatch(name, pattern) for name in columns)]


def written(report: Report) -> str:
    """The file in which all checks that fail in this report are expected to, with the reasons that it has."""
    failing = [
        {(r.part, r.name): r.reason for r in column.results if r.outcome in ("fail", "xfail")}
        for column in report.columns
    ]
    everywhere = [check for check in failing[0] if all(check in found for found in failing)] if failing else []
    lines = [_line(check, failing[0][check]) for check in everywhere]
    for column, found in zip(report.columns, failing, strict=True):
        if own := [_line(check, reason) for check, reason in found.items() if check not in everywhere]:
            lines += ["", f"[{escape(column.column.name)}]", *own]
    return "".join(f"{line}\n" for line in lines)


def _line(check: tuple[str, str], reason: str) -> str:
    return f"{check[0]}: {check[1]}" + (f"  # {reason}" if reason else "")


def _refuse_unknown(part: str, name: str, names: dict[str, Sequence[str]] | dict[str, list[str]]) -> None:
    if not name:
        raise ValueError(f"expected “part: name” and perhaps a reason after “ #”, got {part!r}")
    if part not in names:
        raise ValueError(f"there is no part {part!r}{did_you_mean(part, list(names))}")
    if name != "*" and name not in names[part]:
        raise ValueError(f"{part} has no check {name!r}{did_you_mean(name, names[part])}")
