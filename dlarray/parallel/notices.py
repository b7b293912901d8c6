"""What the ranks of a communicator tell each other outside of collectives: that one has failed or that it ends.

Each communicator that trains has one ``Notices``, kept as its attribute, with a communicator of its own for messages.
So these reach a rank that waits for any later work with ranks, which is counted: ``session`` is the number of a piece
of work (a call of ``fit``), the same on all ranks, and a place in it is the number of collectives it has started.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

import numpy as np

from dlarray.core.ranks import RankError

__all__ = ["KEPT", "Notices", "notices", "poll"]

KEPT: list[Any] = []
"""What MPI may still write to after a failure: requests that are incomplete, and their memory."""

SPINS = 2000
"""So often an incomplete collective is tested without a pause, for about 3 ms; then pauses grow to a millisecond."""
CHECKS = 100
"""So many of these tests are followed by a look at whether another rank has failed."""
INTERRUPTED = ("failed: KeyboardInterrupt:", "failed: Interrupted:")
_FAILED, _ENDS = 1, 2
"""The tags of the messages."""
PATIENCE = 5.0
"""The time in seconds that a rank waits at exit for the others, so that they can report their errors."""
NAME = 8
"""Bytes of the random name of each rank in each communicator of messages."""

_yield: Callable[[], None] = getattr(os, "sched_yield", lambda: sleep(0))
"""Lets another process run. ``sleep(0)`` takes 60 µs and more on Linux before Python 3.14."""
_all: list[Notices] = []
_key: list[int] = []
"""MPI's key of the attribute, as soon as it has been made."""


def notices(comm: Any) -> Notices:
    """Those of a communicator of at least two ranks. All ranks ask at the same time."""
    from mpi4py import MPI

    if not _key:
        _key.append(MPI.Comm.Create_keyval(delete_fn=lambda comm, key, own: own.close()))
        atexit.register(_end)  # before mpi4py ends MPI: the last registered is the first called
    found = comm.Get_attr(_key[0])
    if found is None:
        comm.Set_attr(_key[0], found := Notices(comm))
        _all.append(found)
    return found


class Notices:
    """The messages of a communicator, and what is known of its other ranks."""

    def __init__(self, comm: Any) -> None:
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.broken = ""
        """Why the communicator cannot be used again: there is a collective that not all ranks have started."""
        self.left: Any = None
        """The duplicate that a failed session has left, without collectives that are incomplete."""
        self._session = 0
        self._started: dict[int, int] = {}
        """The number of collectives started, of each session that has not ended without a failure."""
        self._failures: list[tuple[int, int, int, str]] = []
        self._ended: dict[int, tuple[int, dict[int, int]]] = {}
        self._sent: list[Any] = []
        self._messages, request = comm.Idup()
        poll(request.Test)
        own = np.frombuffer(os.urandom(NAME), np.uint8)
        self._names = np.empty((self.size, NAME), np.uint8)
        """MPI gives the number of a freed communicator to a new one, which could receive messages of the old one."""
        poll(self._messages.Iallgather(own, self._names).Test)

    def begin(self) -> int:
        """The number of a new session."""
        self._session += 1
        self._started[self._session] = 0
        return self._session

    def count(self, session: int) -> int:
        """Count a collective that is started, and return its number."""
        self._started[session] += 1
        return self._started[session]

    def uncount(self, session: int) -> None:
        """Take the last one back: the others do not take part in it."""
        self._started[session] -= 1

    def finish(self, session: int) -> None:
        """End a session without a failure."""
        del self._started[session]

    def fail(self, session: int, text: str) -> None:
        """Tell the others that this rank has failed. It does not wait."""
        self._send(_FAILED, (session, self._started[session], self.rank, text))

    def check(self, session: int, number: int | None = None) -> None:
        """Raise RankError if a rank has failed, or ended, before it has started the collective of this number.

        The number is that of the last collective by default.
        """
        self._receive()
        number = self._started.get(session, 0) if number is None else number
        for their_session, started, rank, text in self._failures:
            if their_session == session and started < number:
                error = RankError(rank, self.size, text)
                if text.startswith(INTERRUPTED):  # Ctrl-C may reach the ranks one after the other
                    raise KeyboardInterrupt from error
                raise error
        for rank, (last, started) in self._ended.items():
            if session > last or started.get(session, number) < number:
                raise RankError(
                    rank, self.size, "has ended, and this rank waits for it: every rank must call fit the same times"
                )

    def end(self) -> None:
        """Tell the others that this program ends."""
        self._send(_ENDS, (self.rank, self._session, self._started))

    def wait_for_others(self, until: float) -> None:
        """Wait until the others end too, or until this time.

        Then end a job that cannot be completed: MPI would wait for ever for the collectives that were started.
        """
        while len(self._ended) < self.size - 1 and monotonic() < until:
            self._receive()
            sleep(1e-3)
        if self.broken:
            self._messages.Abort(1)

    def close(self) -> None:
        """Free what this holds, before the communicator of the user is freed."""
        if self.broken:
            return  # the job is ended at exit
        _all.remove(self)
        if self.left is not None:
            self.left.Free()
        self._messages.Free()

    def _send(self, tag: int, message: Any) -> None:
        others = [other for other in range(self.size) if other != self.rank]
        self._sent = [request for request in self._sent if not request.Test()]
        name = self._names[self.rank].tobytes()
        self._sent += [self._messages.isend((name, message), other, tag=tag) for other in others]

    def _receive(self) -> None:
        ended = self._received(_ENDS)  # first: then no message of a failure before it is missed
        self._failures = [
            failure
            for failure in self._failures + self._received(_FAILED)
            if failure[0] in self._started or failure[0] > self._session
        ]
        self._ended |= {rank: (last, started) for rank, last, started in ended}

    def _received(self, tag: int) -> list[Any]:
        from mpi4py import MPI

        found: list[Any] = []
        status: Any = MPI.Status()
        while (message := self._messages.improbe(tag=tag, status=status)) is not None:
            name, content = message.recv()
            if name == self._names[status.Get_source()].tobytes():
                found.append(content)
        return found


def poll(complete: Callable[[], bool], check: Callable[[], None] = lambda: None) -> None:
    """Call ``complete`` until it is true, with pauses, and ``check`` now and then."""
    tests = 0
    while not complete():
        tests += 1
        if tests > SPINS or not tests % CHECKS:
            check()
        if tests > SPINS:
            sleep(min(1e-3, 1e-5 * (tests - SPINS)))
        else:
            _yield()  # another rank may need this core


def _end() -> None:
    """At exit: all messages first, so that no rank waits for one that waits in another communicator."""
    from mpi4py import MPI

    if MPI.Is_finalized():
        return
    for stream in (sys.stdout, sys.stderr):  # a job that is ended loses what they hold
        with suppress(Exception):
            stream.flush()
    for own in _all:
        with suppress(Exception):
            own.end()
    until = monotonic() + PATIENCE
    for own in _all:
        with suppress(Exception):
            own.wait_for_others(until)
