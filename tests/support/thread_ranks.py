"""Ranks that are threads of this process, for tests without MPI. They watch that all of them exchange the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from dlarray.core.array import array_namespace, copy_array
from dlarray.core.ranks import RankError, Ranks

__all__ = ["ThreadRanks", "on_ranks"]

SECONDS = 120.0
"""How long a rank waits for the others."""

Entry = tuple[str, tuple[int, ...]]
"""What a rank has given to an exchange: the exchange's name and the shape."""


class _Meeting:
    """What the ranks have given so far, and the first failure."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.given: list[dict[int, tuple[Entry, Any]]] = []
        """For each exchange what each rank has given."""
        self.failure: tuple[int, str] | None = None
        self.changed = threading.Condition()

    def give(self, rank: int, number: int, entry: Entry, value: Any) -> None:
        with self.changed:
            if number == len(self.given):
                self.given.append({})
            self.given[number][rank] = entry, value
            self.changed.notify_all()

    def take(self, number: int) -> list[Any]:
        """The values of all ranks for an exchange, when they are there."""
        found = self.given[number]
        with self.changed:
            done = self.changed.wait_for(lambda: self.failure or len(found) == self.size, SECONDS)
            assert done, f"exchange {number}: only ranks {sorted(found)} have come"
            if len(found) < self.size and self.failure is not None:
                raise RankError(self.failure[0], self.size, self.failure[1])
        entries = {entry if entry[0] != "gather" else "gather" for entry, _ in found.values()}
        assert len(entries) == 1, f"exchange {number} differs between the ranks: {entries}"
        return [found[rank][1] for rank in range(self.size)]


class ThreadRanks(Ranks):
    """One rank. ``log`` has what it has exchanged, in order.

    Between the start of a sum and its end the array has wrong numbers, so that who reads it too early is found, and who
    writes it too.
    """

    def __init__(self, rank: int, meeting: _Meeting) -> None:
        self.rank, self.size, self._meeting = rank, meeting.size, meeting
        self.log: list[Entry] = []

    def _start(self, name: str, value: Any) -> Callable[[], list[Any]]:
        number, entry = len(self.log), (name, tuple(getattr(value, "shape", ())))
        self.log.append(entry)
        self._meeting.give(self.rank, number, entry, value)
        return lambda: self._meeting.take(number)

    def exchange(self, value: Any) -> list[Any]:
        return self._start("exchange", value)()

    def broadcast(self, x: Any) -> Any:
        return copy_array(self._start("broadcast", copy_array(x))()[0])

    def fail(self, error: BaseException) -> None:
        with self._meeting.changed:
            self._meeting.failure = self._meeting.failure or (self.rank, f"failed: {type(error).__name__}: {error}")
            self._meeting.changed.notify_all()

    def _sum(self, x: Any) -> Any:
        xp = array_namespace(x)
        return xp.asarray(reduce(add, self._start("sum", copy_array(x))()), copy=True)

    def _start_sum(self, x: Any) -> Callable[[], None]:
        found = self._start("sum", x.copy())
        wrong = np.full(x.shape, np.nan if x.dtype.kind == "f" else 77).astype(x.dtype)
        np.copyto(x, wrong)

        def wait() -> None:
            np.testing.assert_array_equal(x, wrong, err_msg="written while it is summed")
            np.copyto(x, reduce(add, found()))

        return wait

    def _scatter_sum(self, x: Any) -> Any:
        return copy_array(self.piece(reduce(add, self._start("scatter_sum", copy_array(x))())))

    def _gather(self, piece: Any, length: int) -> Any:
        whole = array_namespace(piece).concat(self._start("gather", copy_array(piece))())
        assert whole.shape[0] == length
        return whole


def on_ranks(size: int, work: Callable[[ThreadRanks], Any], errors: bool = False) -> list[Any]:
    """What ``work(ranks)`` returns on each rank. An error is raised, or with ``errors`` is the rank's result."""
    meeting = _Meeting(size)
    ranks = [ThreadRanks(rank, meeting) for rank in range(size)]
    found: list[Any] = [None] * size

    def run(rank: int) -> None:
        try:
            found[rank] = work(ranks[rank])
        except BaseException as error:
            ranks[rank].fail(error)
            found[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not errors:
        raised = [one for one in found if isinstance(one, BaseException)]
        for error in sorted(raised, key=lambda one: isinstance(one, RankError)):
            raise error
        assert len({len(own.log) for own in ranks}) == 1, "a rank has exchanged more than another one"
    return found
