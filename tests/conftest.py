"""The test matrix: every test that asks for ``on`` runs once on each device.

``pytest --device NAME`` or DLARRAY_TEST_DEVICES=NAME,NAME choose devices; a name of which no row can be used is an
error. By default all usable devices run. The table at the end shows what ran where, and why the others did not.

Where there is no GPU, ``tests/cuda_on_cpu`` emulates two for CuPy; ``--emulated`` does it also where there is one.
"""

from __future__ import annotations

import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

import pytest

from tests import cuda_on_cpu as emulator
from tests.support import gpu_choice
from tests.support.matrix import On, selected

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # before SciPy is imported: scikit-learn's checks of arrays ask for it

MISSING = pytest.StashKey[dict[str, str]]()
"""The devices of the matrix that cannot be used here, each with the reason."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        default=os.environ.get("DLARRAY_TEST_DEVICES", ""),
        help="devices to test, comma-separated: a name of the matrix, or a backend's for all of its rows",
    )
    parser.addoption("--emulated", action="store_true", help="emulate GPUs for CuPy even where there is a real one")


def pytest_configure(config: pytest.Config) -> None:
    forced = config.getoption("--emulated")
    given = getattr(config, "workerinput", {}).get("gpus")  # by the process that has started this one
    choice = config.stash[gpu_choice.CHOICE] = gpu_choice.use(given or gpu_choice.choose(forced))
    if forced and choice != gpu_choice.EMULATED:
        raise pytest.UsageError(f"--emulated: no GPU can be emulated: {choice}")
    asked = config.getoption("--device")
    try:
        chosen = selected(asked)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    missing = config.stash[MISSING] = {on.name: why for on in chosen if (why := on.missing())}
    for on in chosen:
        if on.cupy and on.name in missing and choice not in (gpu_choice.REAL, gpu_choice.EMULATED):
            missing[on.name] += f"; not emulated: {choice.splitlines()[0]}"
    for word in filter(None, map(str.strip, asked.split(","))):
        rows = [on.name for on in selected(word)]
        if all(name in missing for name in rows):
            raise pytest.UsageError(f"the device {word} cannot be used: {missing[rows[0]]}")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Called by pytest-xdist for each process that it starts."""
    node.workerinput["gpus"] = node.config.stash[gpu_choice.CHOICE]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "on" in metafunc.fixturenames:
        config = metafunc.config
        usable = [on for on in selected(config.getoption("--device")) if on.name not in config.stash[MISSING]]
        metafunc.parametrize("on", usable, indirect=True, ids=lambda on: on.name)


@pytest.fixture
def on(request: pytest.FixtureRequest) -> Iterator[On]:
    """A device of the matrix."""
    case: On = request.param
    with case.context():
        yield case


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """CuPy finds no GPU, if it is installed; no device has been tested."""
    monkeypatch.setattr("dlarray.device.search._working", {})
    if emulator.installed():
        with emulator.devices(0):
            yield
        return
    with suppress(ImportError):
        runtime = import_module("cupy").cuda.runtime

        def none() -> int:
            raise runtime.CUDARuntimeError(100)  # cudaErrorNoDevice

        monkeypatch.setattr(runtime, "getDeviceCount", none)
    yield


@pytest.fixture(params=["late", "main", 1, 2])
def gpu_order(request: pytest.FixtureRequest) -> Iterator[str | int]:
    """The emulated GPU does queued work in one of the orders that CUDA allows; see ``cuda_on_cpu.order``."""
    if not emulator.installed():
        pytest.skip("a real GPU, or none: the order of its work can be chosen on an emulated one only")
    with emulator.order(request.param):
        yield request.param


@pytest.fixture
def without_native(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """NumPy's steps run as ufuncs: a test of many small networks would spend its time compiling."""
    monkeypatch.setattr("dlarray.planner.native.executor.available", lambda: False)
    forget_kept_steps()
    yield
    forget_kept_steps()


def forget_kept_steps() -> None:
    """The estimators keep compiled steps, which have chosen their executor."""
    if "dlarray.estimators.step_pool" in sys.modules:
        sys.modules["dlarray.estimators.step_pool"].pool.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    case = item.callspec.params.get("on") if hasattr(item, "callspec") else None
    if case is not None:
        report.user_properties.append(("device", case.name))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Device by folder of tests: passed, failed, skipped and why."""
    table: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    reasons: dict[str, set[str]] = defaultdict(set)
    emulated = {on.name for on in selected("") if on.cupy and config.stash[gpu_choice.CHOICE] == gpu_choice.EMULATED}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            device = dict(getattr(report, "user_properties", [])).get("device")
            if device is None:
                continue
            device += " emulated" * (device in emulated)
            folder = report.nodeid.partition("::")[0].rpartition("/")[0].removeprefix("tests/")
            table[device][folder]["failed" if outcome == "error" else outcome] += 1
            if outcome == "skipped" and isinstance(report.longrepr, tuple):
                reasons[device].add(report.longrepr[2].removeprefix("Skipped: "))
    if not table:
        return
    folders = sorted({folder for row in table.values() for folder in row})
    widths = [max(11, len(folder)) for folder in folders]
    first = max(map(len, table))
    terminalreporter.section("devices (passed/failed/skipped)")
    terminalreporter.line(" " * first + "".join(f"  {f:>{w}}" for f, w in zip(folders, widths, strict=True)))
    for device, row in table.items():
        cells = [
            "/".join(str(row[f][o]) for o in ("passed", "failed", "skipped")) if f in row else "-" for f in folders
        ]
        terminalreporter.line(f"{device:<{first}}" + "".join(f"  {c:>{w}}" for c, w in zip(cells, widths, strict=True)))
    for device, why in config.stash[MISSING].items():
        terminalreporter.line(f"{device}: not run, {why}")
    for device, why in reasons.items():
        for reason in sorted(why):
            terminalreporter.line(f"{device}: {reason}")
