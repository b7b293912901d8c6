"""The checks as tests of pytest: ``pytest --pyargs dlarray.testing --dlarray-device mine``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dlarray.device import DeviceError
from dlarray.testing.check import Check
from dlarray.testing.columns import DTYPES
from dlarray.testing.runner import Runner
from dlarray.testing.suite import all_checks, plan

__all__ = ["pytest_generate_tests", "test_device"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each check on each column of the devices that ``--dlarray-device`` names. Called by pytest."""
    devices = _words(metafunc, "device")
    if not devices:
        skip = pytest.mark.skip(reason="nothing to check: give --dlarray-device NAME")
        metafunc.parametrize(("runner", "check"), [pytest.param(None, None, marks=skip)], ids=["no device"])
        return
    try:
        metafunc.parametrize(("runner", "check"), list(_cases(metafunc, devices)))
    except (DeviceError, ValueError, OSError) as error:
        raise pytest.UsageError(str(error)) from None


def test_device(runner: Runner, check: Check, record_property: Callable[[str, object], None]) -> None:
    """A check passes; it is skipped if it is not applicable, or needs a part of the contract that has failed."""
    found = runner.result(check)
    record_property("ulp", found.ulp)
    if found.outcome in ("skip", "blocked"):
        pytest.skip(found.reason)
    if found.outcome == "fail":
        pytest.fail(found.reason, pytrace=False)


def _words(metafunc: pytest.Metafunc, option: str) -> list[str]:
    return [word for word in str(metafunc.config.getoption(f"--dlarray-{option}")).split(",") if word.strip()]


def _cases(metafunc: pytest.Metafunc, devices: list[str]) -> Iterator[Any]:
    checks = all_checks()
    path = metafunc.config.getoption("--dlarray-expected")
    able, missing = plan(devices, _words(metafunc, "dtype") or DTYPES, Path(path) if path else None)
    for column, expected in able:
        runner = Runner(column, checks)
        for check in checks:
            reason = expected.get((check.part, check.name))
            marks = [] if reason is None else [pytest.mark.xfail(reason=reason)]
            yield pytest.param(runner, check, marks=marks, id=f"{column.name}-{check.part}: {check.name}")
    for column, why in missing:
        yield pytest.param(None, None, marks=pytest.mark.skip(reason=why), id=column.name)
