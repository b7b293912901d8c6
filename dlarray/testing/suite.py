"""All checks of the kit, and the matrix: these checks on the columns of several devices."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from dlarray.core.check import did_you_mean
from dlarray.device import DeviceError
from dlarray.device.search import cause_of
from dlarray.testing import (
    activations,
    contract,
    extremes,
    functions,
    known_answers,
    layers,
    lazy,
    losses,
    metrics,
    optimizers,
    speed,
    training,
    transfers,
)
from dlarray.testing.check import Check
from dlarray.testing.columns import DTYPES, Column, columns
from dlarray.testing.expectations import Expectation, expected_on, file_of, read, unmatched
from dlarray.testing.report import ColumnReport, Report
from dlarray.testing.runner import Expected, run

__all__ = ["MODULES", "all_checks", "matrix", "plan"]

MODULES = (
    contract,
    functions,
    activations,
    layers,
    losses,
    optimizers,
    metrics,
    known_answers,
    extremes,
    training,
    lazy,
    transfers,
    speed,
)
"""The modules with checks, the contract first. Each has a function ``checks``."""


def all_checks(parts: Sequence[str] = ()) -> list[Check]:
    """The checks of these parts, or all. Raises ValueError for a part that does not exist."""
    found: list[Check] = [check for module in MODULES for check in module.checks()]
    known = list(dict.fromkeys(check.part for check in found))
    for part in parts:
        if part not in known:
            raise ValueError(f"there is no part {part!r}{did_you_mean(part, known)}; the parts are {', '.join(known)}")
    return [check for check in found if not parts or check.part in parts]


def plan(
    devices: Sequence[str], dtypes: Sequence[str] = DTYPES, expected: Path | None = None
) -> tuple[list[tuple[Column, Expected]], list[tuple[Column, str]]]:
    """The columns of these devices, each with the checks that are expected to fail, and those that cannot be run.

    ``expected`` is a file of expected failures for all columns, by default that of each backend. A column cannot be run
    if its library is not installed, or if the device does not have the dtype; each of these has the reason. Raises
    DeviceError for an unknown device, or a backend that cannot be imported, ValueError for a wrong file of expectations
    or dtype, and OSError. A pattern of columns that matches none gives a UserWarning.
    """
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise ValueError(f"the dtypes of columns are {' and '.join(DTYPES)}, got {dtype!r}")
    checks, listed = all_checks(), dict[Path, list[Expectation]]()
    able, missing = list[tuple[Column, Expected]](), list[tuple[Column, str]]()
    for column in [column for device in devices for column in columns(device, dtypes)]:
        if why := _why_not(column):
            missing.append((column, why))
            continue
        path = expected or file_of(column.device)
        if path and path not in listed:
            listed[path] = read(path, checks)
        able.append((column, expected_on(column, listed[path] if path else [], checks)))
    words = [word for device in devices for word in (device, device.partition(":")[0])]
    names = list(dict.fromkeys(column.name for word in words for column in columns(word)))
    for path, lines in listed.items():
        for pattern in unmatched(lines, names):
            warnings.warn(f"{path}: [{pattern}] matches no column; the columns are {', '.join(names)}", stacklevel=3)
    return able, missing


def _why_not(column: Column) -> str | None:
    """Why a column cannot be run; None if it can, or if running it says what is wrong with its backend."""
    try:
        _ = column.target
    except DeviceError:
        raise
    except ImportError as error:
        return cause_of(error)
    except Exception:
        return None
    return column.missing()


def matrix(
    devices: Sequence[str],
    dtypes: Sequence[str] = DTYPES,
    checks: Sequence[Check] | None = None,
    expected: Path | None = None,
    done: Callable[[Report], object] = lambda report: None,
    begins: Callable[[Column, Check], object] = lambda column, check: None,
) -> Report:
    """Run the checks, by default all, on each device in each dtype.

    ``begins`` is called before each check that runs, ``done`` after each column with the report so far. Raises what
    ``plan`` raises.
    """
    chosen = all_checks() if checks is None else checks
    able, missing = plan(devices, dtypes, expected)
    report = Report((), tuple(missing))
    for column, known in able:
        results = run(column, chosen, known, partial(begins, column))
        report = Report((*report.columns, ColumnReport(column, column.library, tuple(results))), report.missing)
        done(report)
    return report
