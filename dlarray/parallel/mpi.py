"""Ranks that are processes of MPI, by mpi4py.

Every call is a non-blocking collective that is tested until it is complete, with pauses, so that more ranks than cores
make progress, and so that a rank that waits notices when another one has failed. A rank that fails sends a message on a
communicator of its own, with the number of collectives that it has started: only later ones cannot be completed.
"""

from __future__ import annotations

import atexit
import pickle
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

import numpy as np

from dlarray.core.array import Array, array_namespace, device
from dlarray.core.ranks import RankError, Ranks
from dlarray.device import device_of
from dlarray.device.backend import of

__all__ = ["MPIRanks", "is_communicator", "library", "world"]

BLOCK = 512
"""The bytes of the first message of an exchange: small objects need no second one."""
MARK = int.from_bytes(b"exchange", "little")
"""The first number of such a message. Other numbers are those of another collective."""
HEAD = 16
"""The bytes of the mark and of the length of what follows."""
SPINS = 200
"""So often an incomplete collective is tested without a pause; then the pauses grow to a millisecond."""
MAX_MESSAGE = 2000
INTERRUPTED = ("failed: KeyboardInterrupt:", "failed: Interrupted:")
_FAILED, _DONE = 1, 2
"""The tags of messages about errors: a rank has failed, and a rank that has failed ends."""
PATIENCE = 5.0
"""The time in seconds that a rank waits at exit for the others to report their errors."""

_broken: dict[int, str] = {}
"""Communicators with a collective that not all ranks have started, by their handle, and the reason."""


def world() -> Any:
    """The communicator of all processes that mpiexec has started. Raises ImportError without mpi4py or MPI."""
    return _mpi().COMM_WORLD


def library() -> str:
    """The MPI library of mpi4py and its version, such as "MPICH 5.0.2"."""
    name, version = _mpi().get_vendor()
    return f"{name} {'.'.join(map(str, version))}"


def is_communicator(x: Any) -> bool:
    """Whether x is a communicator of mpi4py."""
    return callable(getattr(x, "Iallreduce", None)) and callable(getattr(x, "Idup", None))


def _mpi() -> Any:
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError(f'MPI needs mpi4py and its library: pip install "dlarray[mpi]"; {error}') from error
    except RuntimeError as error:  # its lines are all the places where it has looked
        reason = str(error).partition("\n")[0]
        raise ImportError(
            f"mpi4py finds no library of MPI: pip install mpich, or load your cluster's; {reason}"
        ) from error
    return MPI


class MPIRanks(Ranks):
    """The processes of a communicator of mpi4py. All of them make it at the same time.

    Arrays of NumPy, and of PyTorch on the CPU, are sent and received without a copy; those of other libraries and
    devices go through the host. The communicator is duplicated, so the program's own messages are not affected. It
    cannot be used again after a failure on one rank: then ``MPIRanks`` raises RuntimeError.
    """

    def __init__(self, comm: Any) -> None:
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self._handle: int = comm.handle
        if (reason := _broken.get(self._handle)) is not None:
            raise RuntimeError(f"this communicator cannot be used again: {reason}; start the processes again")
        self._started = 0
        self._unfinished: dict[int, tuple[Any, Any]] = {}
        self._failures: list[tuple[int, int, str]] = []
        self._done: set[int] = set()
        self._sent: list[Any] = []
        self._failed = False
        if self.size > 1:
            self._errors = _duplicate(comm)  # first: a rank that waits for the second one notices a failure
            self._comm = _duplicate(comm)

    # What ``Ranks`` asks for

    def exchange(self, value: Any) -> list[Any]:
        if self.size == 1:
            return [value]
        data = pickle.dumps(value)
        head = np.zeros(BLOCK, dtype=np.uint8)
        head[:HEAD].view(np.int64)[:] = MARK, len(data)
        head[HEAD : HEAD + len(data)] = np.frombuffer(data[: BLOCK - HEAD], dtype=np.uint8)
        heads = np.zeros((self.size, BLOCK), dtype=np.uint8)
        self._do(self._comm.Iallgather, head, heads)
        marks, sizes = zip(*(map(int, own[:HEAD].view(np.int64)) for own in heads), strict=True)
        for rank, mark in enumerate(marks):
            if mark != MARK:
                self._started -= 1  # the others wait for another collective, which this rank has not started
                raise RuntimeError(  # not RankError: that rank does not know
                    f"rank {rank} of {self.size} is at another place of the program: every rank must draw as many "
                    f"batches, and do alike what the ranks do together, such as reading run.optimizer_state of shares"
                )
        rests = [max(0, n - BLOCK + HEAD) for n in sizes]
        found = np.empty(sum(rests), dtype=np.uint8)
        if sum(rests):
            self._do(self._comm.Iallgatherv, np.frombuffer(data[BLOCK - HEAD :], dtype=np.uint8), [found, rests])
        parts = np.split(found, np.cumsum(rests)[:-1])
        return [
            pickle.loads(own[HEAD : HEAD + n].tobytes() + rest.tobytes())
            for own, n, rest in zip(heads, sizes, parts, strict=True)
        ]

    def broadcast(self, x: Array) -> Array:
        if self.size == 1:
            return x
        numbers = np.array(of(x).to_numpy(x), order="C")
        self._do(self._comm.Ibcast, numbers)
        return device_of(x).asarray(numbers)

    def fail(self, error: BaseException) -> None:
        if self.size == 1 or self._failed:
            return
        self._failed = True
        text = _text(error)
        if self._unfinished:
            _broken[self._handle] = str(error) if isinstance(error, RankError) else f"rank {self.rank} {text}"
        if not isinstance(error, RankError):  # the others have the message of the rank that it names
            with suppress(Exception):
                self._sent += [
                    self._errors.isend((self._started, self.rank, text), other, tag=_FAILED)
                    for other in range(self.size)
                    if other != self.rank
                ]
        atexit.register(self._leave)

    def close(self) -> None:
        if self.size > 1:
            self._comm.Free()
            self._errors.Free()

    def _sum(self, x: Array) -> Array:
        send = _numbers(x)
        receive, result = _new(x, tuple(x.shape), send.dtype)
        self._do(self._comm.Iallreduce, send, receive)
        return result()

    def _start_sum(self, x: Array) -> Callable[[], None]:
        numbers = of(x).to_numpy(x)  # a view: plans for the host alone start sums
        return self.started(self._comm.Iallreduce(_mpi().IN_PLACE, numbers), numbers)

    def _start_gather(self, x: Array) -> Callable[[], None]:
        numbers = of(x).to_numpy(x)
        counts = np.diff(self.bounds(x.shape[0])) * (numbers.size // max(x.shape[0], 1))
        return self.started(self._comm.Iallgatherv(_mpi().IN_PLACE, [numbers, counts]), numbers)

    def _scatter_sum(self, x: Array) -> Array:
        counts = np.diff(self.bounds(x.shape[0]))
        send = _numbers(x)
        receive, result = _new(x, (int(counts[self.rank]),), send.dtype)
        self._do(self._comm.Ireduce_scatter, send, receive, counts)
        return result()

    def _gather(self, piece: Array, length: int) -> Array:
        send = _numbers(piece)
        receive, result = _new(piece, (length, *piece.shape[1:]), send.dtype)
        counts = np.diff(self.bounds(length)) * (receive.size // max(length, 1))
        self._do(self._comm.Iallgatherv, send, [receive, counts])
        return result()

    # Waiting

    def _do(self, collective: Callable[..., Any], *arguments: Any) -> None:
        self.started(collective(*arguments), *arguments)()

    def started(self, request: Any, *memory: Any) -> Callable[[], None]:
        """The function that waits for a request, by which all ranks have started one collective.

        ``memory`` is what the request reads and writes: it is kept until the request is complete, even after a failure.
        """
        self._started += 1
        number = self._started
        self._unfinished[number] = request, memory
        return lambda: self._wait(number)

    def _wait(self, number: int) -> None:
        """Wait for a collective by its number. Raises RankError if another rank has failed before it started it."""
        request = self._unfinished[number][0]
        self.wait_until(request.Test, number)
        del self._unfinished[number]

    def wait_until(self, complete: Callable[[], bool], number: int | None = None) -> None:
        """Wait until this is true, with pauses. Raises RankError if another rank has failed.

        ``number`` counts the collectives up to the one that is waited for: a rank that has failed after it had started
        that one does not matter.
        """
        _poll(complete, lambda: self._raise_failure(self._started if number is None else number))

    def count_collective(self) -> None:
        self._started += 1

    def _raise_failure(self, number: int) -> None:
        self._receive()
        for started, rank, text in self._failures:
            if started < number:
                error = RankError(rank, self.size, text)
                if text.startswith(INTERRUPTED):  # Ctrl-C may reach the ranks one after the other
                    raise KeyboardInterrupt from error
                raise error

    def _receive(self) -> None:
        """Receive the messages that have come about failures and about ranks that end."""
        while (message := self._errors.improbe(tag=_FAILED)) is not None:
            self._failures.append(message.recv())
        while (message := self._errors.improbe(tag=_DONE)) is not None:
            self._done.add(message.recv())

    def _listen(self, complete: Callable[[], bool]) -> None:
        """Receive messages until this is true, for some seconds at most."""
        until = monotonic() + PATIENCE
        self._receive()
        while not complete() and monotonic() < until:
            sleep(0.01)
            self._receive()

    def _leave(self) -> None:
        """At exit after a failure: let the others report their errors too, then end a job that cannot be completed.

        MPI would wait for ever for the collectives that were started.
        """
        with suppress(Exception):
            others = [other for other in range(self.size) if other != self.rank]
            self._sent += [self._errors.isend(self.rank, other, tag=_DONE) for other in others]
            self._listen(lambda: self._done.issuperset(others))
        if self._unfinished:
            self._comm.Abort(1)


def _text(error: BaseException) -> str:
    return f"failed: {type(error).__name__}: {error}"[:MAX_MESSAGE]


def _duplicate(comm: Any) -> Any:
    new, request = comm.Idup()
    _poll(request.Test)
    return new


def _poll(complete: Callable[[], bool], check: Callable[[], None] = lambda: None) -> None:
    """Call ``complete`` until it is true, and ``check`` in each pause between."""
    tests = 0
    while not complete():
        tests += 1
        if tests < SPINS:
            sleep(0)  # another rank may need this core
        else:
            check()
            sleep(min(1e-3, 1e-5 * (tests - SPINS + 1)))


def _numbers(x: Array) -> np.ndarray:
    """The numbers of an array as a contiguous array on the host: the same memory, where it is one."""
    return np.asarray(of(x).to_numpy(x), order="C")


def _new(x: Array, shape: tuple[int, ...], dtype: Any) -> tuple[np.ndarray, Callable[[], Array]]:
    """Memory on the host for an array of x's library, and a function that gives it as an array on x's device."""
    backend = of(x)
    if backend.shares_host_memory and not backend.uses_numpy_arrays and device_of(x).name.rpartition(":")[-1] == "cpu":
        new = array_namespace(x).empty(shape, dtype=x.dtype, device=device(x))
        return backend.to_numpy(new), lambda: new
    host = np.empty(shape, dtype=dtype)
    return host, (lambda: host) if backend.uses_numpy_arrays else (lambda: device_of(x).asarray(host))
