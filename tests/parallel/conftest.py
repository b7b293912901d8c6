"""Fixtures that start real ranks. Where that is not possible their tests are skipped, with the reason."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.parallel.ranks import OF_A_START, Job, Outcome, run_checks, start, unavailable
from tests.support.gpu_ranks import four_gpus

Checks = Callable[..., Mapping[str, Outcome]]


@pytest.fixture(scope="session")
def mpiexec() -> None:
    """Skip the test where no ranks can be started; ``python -m tests.parallel`` is an error there, in CI too."""
    if reason := unavailable():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def checks(mpiexec: None, tmp_path_factory: pytest.TempPathFactory) -> Checks:
    """Run a module of checks on so many ranks: one start for all tests, also for those of pytest-xdist's workers."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "ranks"
    known: dict[Path, Mapping[str, Outcome]] = {}

    def of(module: ModuleType, size: int, **variables: str) -> Mapping[str, Outcome]:
        folder = root / "-".join([module.__name__, str(size), *variables.values()])
        if folder not in known:
            known[folder] = _once(folder, lambda: run_checks(module, size, folder, **variables))
        return known[folder]

    return of


def _once(folder: Path, run: Callable[[], Mapping[str, Outcome]]) -> Mapping[str, Outcome]:
    """The outcomes of the process that makes the folder first; the others wait and read them."""
    import pickle

    file = folder / "outcomes"
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        last = time.monotonic() + 2 * OF_A_START
        while not file.is_file():
            assert time.monotonic() < last, f"another process of the tests has not written {file}"
            time.sleep(0.05)
        return pickle.loads(file.read_bytes())
    found = run()
    written = folder / "outcomes.part"
    written.write_bytes(pickle.dumps(found))
    written.rename(file)
    return found


@pytest.fixture
def ranks(mpiexec: None, tmp_path: Path) -> Iterator[Callable[..., Job]]:
    """``ranks(size, words…)`` starts ``python words…`` on so many ranks in the test's folder."""
    jobs: list[Job] = []

    def begin(size: int, *words: str, **options: Any) -> Job:
        folder = tmp_path / f"ranks{len(jobs)}"
        jobs.append(start(size, words, folder, **{"cwd": tmp_path, **options}))
        return jobs[-1]

    yield begin
    for job in jobs:
        job.kill()


@pytest.fixture
def cupy() -> Iterator[Any]:
    """CuPy on four emulated GPUs."""
    with four_gpus() as found:
        yield found
