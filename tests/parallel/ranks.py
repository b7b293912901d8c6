"""Programs on real ranks: ``start`` runs one under mpiexec on this machine, and keeps what each rank has printed.

``run_checks`` starts a module of checks. A check is a function ``check_…(comm)`` that every rank runs with a
communicator of its own; it asserts, and may return numbers and texts. One start runs all checks of a module, because
starting costs seconds. This file is also the program that the ranks run: ``python -m tests.parallel.ranks``.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.metadata
import importlib.util
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.process import ROOT

__all__ = ["Job", "Outcome", "check_names", "run_checks", "start", "unavailable"]

CHECK = "check_"
OF_ONE_CHECK = 60  # seconds until the ranks print where they are, and the job ends
OF_A_START = 240
LAUNCHERS = ("PMI", "PMIX", "OMPI", "MPI_LOCAL", "HYD", "SLURM")


def unavailable() -> str:
    """Why no ranks can be started here; "" if they can."""
    if importlib.util.find_spec("mpi4py") is None:
        return 'mpi4py is not installed: pip install "dlarray[mpi]"'
    if launcher() is None:
        return "there is no mpiexec: pip install mpich"
    return ""


def launcher() -> Path | None:
    """The mpiexec of the package mpich, or else the one that a shell finds."""
    if (own := _of_the_package("mpiexec")) is not None:
        return own
    found = shutil.which("mpiexec")
    return None if found is None else Path(found)


def _of_the_package(name: str) -> Path | None:
    try:
        files = importlib.metadata.files("mpich") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(os.path.realpath(file.locate())) for file in files if file.name == name), None)


def environment(**variables: str) -> dict[str, str]:
    """That of the tests, without a launcher's variables and dlarray's own, with one thread for each rank."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DLARRAY", *LAUNCHERS))}
    kept |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    kept |= {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "backends"))), "PYTHONWARNINGS": "error"}
    if (library := _of_the_package("libmpi.so.12")) is not None:
        kept["MPI4PY_LIBMPI"] = str(library)  # the library that belongs to this mpiexec
    return kept | variables


@dataclass
class Job:
    """A program that runs on several ranks. Each rank's output is a file, so that no launcher's format matters."""

    size: int
    folder: Path
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)

    def out(self, rank: int) -> str:
        """What this rank has written to stdout so far."""
        return self._text(f"rank{rank}.out")

    def err(self, rank: int) -> str:
        """What this rank has written to stderr so far."""
        return self._text(f"rank{rank}.err")

    @property
    def words(self) -> str:
        """Everything that has been printed, for the message of a failed test."""
        parts = [("mpiexec", self._text("mpiexec.txt"))]
        for rank in range(self.size):
            parts += [(f"rank {rank}, stdout", self.out(rank)), (f"rank {rank}, stderr", self.err(rank))]
        return "\n".join(f"--- {name}\n{text}" for name, text in parts if text)

    def _text(self, name: str) -> str:
        file = self.folder / name
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""

    def pid(self, rank: int, timeout: float = 60) -> int:
        """The process of this rank, as soon as it has begun."""
        file = self.folder / f"rank{rank}.pid"
        self.until(lambda: file.is_file() and file.read_text(), timeout, f"rank {rank} to begin")
        return int(file.read_text())

    def until(self, is_true: Callable[[], Any], timeout: float, what: str) -> None:
        """Wait for something. AssertionError with everything that was printed if it does not happen."""
        last = time.monotonic() + timeout
        while not is_true():
            assert time.monotonic() < last, f"waited {timeout:g} s for {what}\n{self.words}"
            assert self.process.poll() is None, f"ended before {what}\n{self.words}"
            time.sleep(0.01)

    def end(self, timeout: float = OF_A_START) -> int:
        """Wait for the job and return the exit code of mpiexec. A job that hangs is killed: AssertionError."""
        try:
            return self.process.wait(max(0.0, self.started + timeout - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the ranks did not end within {timeout:g} s\n{self.words}") from None

    def kill(self) -> None:
        """End what still runs of this job."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for file in self.folder.glob("rank*.pid"):  # each rank has a session of its own
            pid = int(file.read_text() or 0)
            if pid and _is_of(pid, self.folder):
                os.kill(pid, signal.SIGKILL)


def _is_of(pid: int, folder: Path) -> bool:
    """Whether the process is a rank of this folder, and no later one with the same number."""
    try:
        return str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def start(
    size: int,
    words: Sequence[str],
    folder: Path,
    cwd: Path | None = None,
    starter: Sequence[str] | None = None,
    **variables: str,
) -> Job:
    """Start ``python words…`` on so many ranks; "-m" and a module, or a file. ``folder`` is for the ranks' output.

    ``starter`` are the words of another program that starts the ranks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = [sys.executable, "-m", "tests.parallel.ranks", str(folder), *words]
    command = [*([str(launcher()), "-n", str(size)] if starter is None else starter), *program]
    with (folder / "mpiexec.txt").open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Job(size, folder, process)


@dataclass(frozen=True)
class Outcome:
    """What each rank has returned from a check, in order, and the failure of the first rank that failed, or ""."""

    values: tuple[Any, ...]
    failure: str

    def passed(self) -> tuple[Any, ...]:
        """The values. AssertionError with the failure if a rank has failed."""
        assert not self.failure, self.failure
        return self.values


def check_names(module: ModuleType) -> list[str]:
    """The checks of a module, in their order, without ``check_``."""
    return [name.removeprefix(CHECK) for name in vars(module) if name.startswith(CHECK)]


def run_checks(
    module: ModuleType, size: int, folder: Path, starter: Sequence[str] | None = None, **variables: str
) -> Mapping[str, Outcome]:
    """Run all checks of a module in one start, and return the outcome of each by its name."""
    job = start(size, ["-m", module.__name__], folder, starter=starter, **variables)
    try:
        job.end()
        hung = ""
    except AssertionError as error:
        hung = str(error)
    of_ranks = [_lines(folder / f"rank{rank}.jsonl") for rank in range(size)]
    return {name: _outcome(name, [lines.get(name) for lines in of_ranks], hung, job) for name in check_names(module)}


def _outcome(name: str, lines: Sequence[dict[str, Any] | None], hung: str, job: Job) -> Outcome:
    for rank, line in enumerate(lines):
        if line is not None and line["failure"]:
            return Outcome((), f"rank {rank}: {line['failure']}")
    for rank, line in enumerate(lines):
        if line is None:
            return Outcome((), f"rank {rank} has no result of {name}\n{hung or job.words}")
    return Outcome(tuple(line["value"] for line in lines if line is not None), "")


def _lines(file: Path) -> dict[str, dict[str, Any]]:
    if not file.is_file():
        return {}
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {line["check"]: line for line in lines}


def _main(folder: Path, words: list[str]) -> None:
    """What each rank runs: its output goes to files, then ``python words…``, or the checks of a module."""
    from dlarray.core.launcher import launched

    rank, size, _ = launched() or (0, 1, "")
    for handle, name in ((1, "out"), (2, "err")):
        file = os.open(folder / f"rank{rank}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, handle)
    (folder / f"rank{rank}.pid").write_text(str(os.getpid()))
    faulthandler.enable()
    if words[0] != "-m":
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
        return
    sys.argv = words[1:]
    module = importlib.import_module(words[1])
    if names := check_names(module):
        _check(module, names, folder / f"rank{rank}.jsonl", size)
    else:
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)


def _check(module: ModuleType, names: Sequence[str], file: Path, size: int) -> None:
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    assert world.size == size, f"mpiexec has started {size} ranks, and mpi4py knows {world.size}"
    with file.open("w", encoding="utf-8") as results:
        for name in names:
            faulthandler.dump_traceback_later(OF_ONE_CHECK + 2 * (world.rank == 0), exit=world.rank == 0)
            comm = world.Dup()  # what a failed check has left unfinished stays away from the others
            began = time.monotonic()
            line: dict[str, Any] = {"check": name, "value": None, "failure": ""}
            try:
                line["value"] = getattr(module, CHECK + name)(comm)
            except (Exception, pytest.fail.Exception):
                line["failure"] = traceback.format_exc()
            line["seconds"] = round(time.monotonic() - began, 2)
            results.write(json.dumps(line) + "\n")
            results.flush()
            world.barrier()
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2:])
