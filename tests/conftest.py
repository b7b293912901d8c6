"""The test matrix: every test that asks for ``on`` runs once on each device.

``pytest --device NAME`` or DLARRAY_TEST_DEVICES=NAME,NAME choose devices; one that was asked for and cannot be used is
an error. By default all run, and one that cannot be used is skipped with its reason. A table at the end says what ran
where.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.matrix import On, selected

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # before SciPy is imported: scikit-learn's checks of arrays ask for it

_why_missing: dict[str, str | None] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        default=os.environ.get("DLARRAY_TEST_DEVICES", ""),
        help="devices to test, comma-separated: a name of the matrix, or a backend's for all of its rows",
    )


def pytest_configure(config: pytest.Config) -> None:
    try:
        chosen = selected(config.getoption("--device"))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    if config.getoption("--device"):
        for on in chosen:
            if why := on.missing():
                raise pytest.UsageError(f"device {on.name} was asked for and cannot be used: {why}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "on" in metafunc.fixturenames:
        chosen = selected(metafunc.config.getoption("--device"))
        metafunc.parametrize("on", chosen, indirect=True, ids=lambda on: on.name)


@pytest.fixture
def on(request: pytest.FixtureRequest) -> Iterator[On]:
    """A device of the matrix."""
    case: On = request.param
    if case.name not in _why_missing:
        _why_missing[case.name] = case.missing()
    if why := _why_missing[case.name]:
        pytest.skip(why)
    with case.context():
        yield case


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where kernels for CUDA are compiled as C++: one for all tests, for many have the same ones."""
    return tmp_path_factory.mktemp("cuda")


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy's steps run as ufuncs: a test of many small networks would spend its time compiling."""
    monkeypatch.setattr("dlarray.planner.numba.executor.available", lambda: False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    case = item.callspec.params.get("on") if hasattr(item, "callspec") else None
    if case is not None:
        report.user_properties.append(("device", case.name))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Device by module: passed, failed, skipped and why."""
    table: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    reasons: dict[str, set[str]] = defaultdict(set)
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            device = dict(getattr(report, "user_properties", [])).get("device")
            if device is None:
                continue
            module = report.nodeid.partition("::")[0].rpartition("/")[2].removeprefix("test_").removesuffix(".py")
            table[device][module]["failed" if outcome == "error" else outcome] += 1
            if outcome == "skipped" and isinstance(report.longrepr, tuple):
                reasons[device].add(report.longrepr[2].removeprefix("Skipped: "))
    if not table:
        return
    modules = sorted({module for row in table.values() for module in row})
    width = max(map(len, table))
    terminalreporter.section("devices (passed/failed/skipped)")
    terminalreporter.line(" " * width + "".join(f"  {m:>11}" for m in modules))
    for device, row in table.items():
        cells = [f"{row[m]['passed']}/{row[m]['failed']}/{row[m]['skipped']}" if m in row else "-" for m in modules]
        columns = [max(11, len(m)) for m in modules]
        terminalreporter.line(
            f"{device:<{width}}" + "".join(f"  {c:>{w}}" for c, w in zip(cells, columns, strict=True))
        )
    for device, why in reasons.items():
        for reason in sorted(why):
            terminalreporter.line(f"{device}: {reason}")
