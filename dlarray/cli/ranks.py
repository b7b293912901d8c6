"""``mpiexec -n 4 dlarray train …``: the processes that a launcher has started train together, and rank 0 reports."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import TextIOBase
from typing import TypeVar

import typer

from dlarray.cli.output import FAILURES, UsageError, visible
from dlarray.core.launcher import launched
from dlarray.core.ranks import ALONE, RankError, Ranks
from dlarray.parallel.mpi import MPIRanks, library, world

__all__ = ["CommandRanks", "command_ranks", "mute_other_ranks"]

T = TypeVar("T")


class _Nowhere(TextIOBase):
    """A text stream that forgets what is written."""

    def write(self, s: str, /) -> int:
        return len(s)


def mute_other_ranks() -> None:
    """Let this process print nothing, unless it is rank 0 or was not started as one of several."""
    found = launched()
    if found is not None and found.rank > 0:
        sys.stdout = sys.stderr = _Nowhere()


class CommandRanks:
    """The ranks of a command. They wait for each other before the training and at the end."""

    def __init__(self, ranks: Ranks) -> None:
        self.rank = ranks.rank
        self.size = ranks.size
        self._ranks = ranks
        self._failed = False

    def wait(self) -> None:
        """Wait until all ranks are here. Raises RankError if one of them has failed."""
        self.from_first(None)

    def from_first(self, value: T) -> T:
        """Rank 0's value, on every rank. Raises RankError if a rank has failed."""
        found = self._ranks.exchange(("", value))
        for rank, (failure, _) in enumerate(found):
            if failure:
                self._failed = True
                raise RankError(rank, self.size, f"failed: {failure}")
        return found[0][1]

    def end_with(self, error: BaseException) -> bool:
        """Let the other ranks end too. Returns whether rank 0 reports this error, or that this rank has failed."""
        if self._failed:
            return True
        alike = isinstance(error, (typer.Exit, KeyboardInterrupt, RankError))  # the others end in the same way
        own = "" if alike else f"{type(error).__name__}: {error}"
        first, _ = self._ranks.exchange((own, None))[0]
        return alike or first in ("", own)


@contextmanager
def command_ranks(debug: bool) -> Generator[CommandRanks]:
    """The ranks of this command, or one rank alone. At the end of the block all wait for each other.

    If one rank fails, all end, and each failure is reported once, by rank 0 if possible. Raises ImportError if mpi4py
    is missing, and UsageError if the launcher belongs to another MPI library than mpi4py.
    """
    ranks = CommandRanks(_launched_ranks())
    try:
        yield ranks
        ranks.wait()  # the others end with rank 0, which may fail to write a file
    except BaseException as error:
        reported = True
        with suppress(Exception):
            reported = ranks.end_with(error)
        if ranks.rank > 0 and not reported:
            _report(ranks.rank, error, debug or not isinstance(error, FAILURES))
        raise


def _launched_ranks() -> Ranks:
    found = launched()
    if found is None or found.size == 1:
        return ALONE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # mpi4py's own warning of what is an error below
            comm = world()
    except ImportError as error:
        raise ImportError(f"{found.launcher} has started {found.size} processes, to train together: {error}") from None
    if (known := comm.Get_size()) != found.size:
        raise UsageError(
            f"{found.launcher} has started {found.size} processes, but mpi4py, which uses {library()}, knows {known}: "
            f"this mpiexec belongs to another MPI library. Use the mpiexec of mpi4py's library; with "
            f"`pip install mpi4py mpich` it lies beside the command dlarray"
        )
    return MPIRanks(comm)


def _report(rank: int, error: BaseException, with_traceback: bool) -> None:
    """Print the failure of this rank to the real stderr."""
    text = "".join(traceback.format_exception(error)) if with_traceback else f"error: {visible(str(error))}\n"
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"rank {rank}: {text}")
        sys.__stderr__.flush()
