"""Ranks that are threads of this process, each with an emulated GPU; NCCL communicates between them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import import_module
from time import sleep
from typing import Any

import pytest

from dlarray.core.ranks import RankError, Ranks
from tests import cuda_on_cpu as emulator

__all__ = ["Host", "four_gpus", "on_gpus", "on_hosts"]

SECONDS = 60.0
"""How long a rank waits for the others."""


@contextmanager
def four_gpus() -> Generator[Any]:
    """CuPy on four emulated GPUs. The test is skipped where they are not emulated."""
    if not emulator.installed():
        pytest.skip(emulator.missing() or "the tests use a real GPU: --emulated emulates several")
    cupy: Any = import_module("cupy")
    with emulator.devices(4):
        if not _pools:
            _pools.append(cupy.cuda.MemoryPool())
        usual, cupy._default_memory_pool = cupy._default_memory_pool, _pools[0]
        cupy.cuda.set_allocator(_pools[0].malloc)
        try:
            yield cupy
        finally:
            cupy._default_memory_pool = usual
            cupy.cuda.set_allocator(usual.malloc)


_pools: list[Any] = []
"""One in the place of CuPy's own, which was made for the GPUs that there were then. Freeing it would wait for a GPU."""


class _Meeting:
    def __init__(self, size: int) -> None:
        self.size = size
        self.given: list[dict[int, Any]] = []
        """For each exchange the value of each rank that has come to it."""
        self.failed: tuple[int, int, BaseException] | None = None
        """A rank, how many collectives it had started, and its error."""
        self.changed = threading.Condition()


class Host(Ranks):
    """What NCCL's ranks need of MPI: small Python data, and failures. It sends no arrays."""

    def __init__(self, rank: int, meeting: _Meeting) -> None:
        self.rank, self.size, self._meeting = rank, meeting.size, meeting
        self._number = self._started = 0

    def exchange(self, value: Any) -> list[Any]:
        meeting, number = self._meeting, self._number
        self._number += 1
        self.count_collective()
        with meeting.changed:
            meeting.given += [{} for _ in range(number + 1 - len(meeting.given))]
            found = meeting.given[number]
            found[self.rank] = value
            meeting.changed.notify_all()
            assert meeting.changed.wait_for(lambda: len(found) == self.size or meeting.failed is not None, SECONDS)
        if len(found) < self.size:
            self._raise()
        return [found[rank] for rank in range(self.size)]

    def wait_until(self, complete: Callable[[], bool]) -> None:
        while not complete():
            self._raise()
            sleep(1e-4)

    def count_collective(self) -> None:
        self._started += 1

    def _raise(self) -> None:
        if self._meeting.failed is not None:
            rank, started, error = self._meeting.failed
            if rank != self.rank and started < self._started:
                raise RankError(rank, self.size, f"failed: {type(error).__name__}: {error}")

    def fail(self, error: BaseException) -> None:
        with self._meeting.changed:
            if self._meeting.failed is None:
                self._meeting.failed = self.rank, self._started, error
            self._meeting.changed.notify_all()


def on_hosts(size: int, work: Callable[[Host], Any]) -> list[Any]:
    """What ``work(host)`` returns on each rank, or the error that it raises."""
    meeting = _Meeting(size)

    def run(rank: int) -> Any:
        host = Host(rank, meeting)
        try:
            return work(host)
        except Exception as error:
            host.fail(error)
            return error

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(run, range(size)))


def on_gpus(size: int, work: Callable[[Any], Any], errors: bool = False) -> list[Any]:
    """What ``work(ranks)`` returns on each rank, which has the GPU of its number.

    An error is raised, or with ``errors`` is the rank's result.
    """
    nccl_ranks = import_module("dlarray_cupy.nccl").NCCLRanks
    device_of = import_module("cupy").cuda.Device

    def run(host: Host) -> Any:
        with device_of(host.rank):
            ranks = nccl_ranks(host, device_of(host.rank))
            try:
                found = work(ranks)
            except Exception as error:
                ranks.fail(error)
                raise
            with suppress(RankError):
                ranks.close()
            return found

    found = on_hosts(size, run)
    raised = [one for one in found if isinstance(one, Exception)]
    for error in [] if errors else sorted(raised, key=lambda one: isinstance(one, RankError)):
        raise error
    return found
