"""Ranks that are processes of MPI, by mpi4py.

Every call is a non-blocking collective that is tested until it is complete, with pauses, so that more ranks than cores
make progress, and so that a rank that waits notices when another one has failed. A rank that fails sends a message on a
communicator of its own (``notices``), with the number of collectives that it has started: only later ones cannot be
completed.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from dlarray.core.array import Array, array_namespace, device
from dlarray.core.ranks import RankError, Ranks
from dlarray.device import device_of
from dlarray.device.backend import of
from dlarray.parallel.notices import KEPT, notices, poll

__all__ = ["MPIRanks", "is_communicator", "library", "world"]

BLOCK = 512
"""The bytes of the first message of an exchange: small objects need no second one."""
MARK = int.from_bytes(b"exchange", "little")
"""The first number of such a message. Other numbers are those of another collective."""
HEAD = 16
"""The bytes of the mark and of the length of what follows."""
MAX_MESSAGE = 2000


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
        self._unfinished: dict[int, tuple[Any, Any]] = {}
        self._failed = False
        if self.size == 1:
            return
        self._comm: Any = None
        self._notices = notices(comm)
        self._session = self._notices.begin()
        try:
            if reason := self._notices.broken:
                raise RuntimeError(f"this communicator cannot be used again: {reason}; start the processes again")
            if self._notices.left is not None:
                left, self._notices.left = self._notices.left, None
                left.Free()
            self._comm, request = comm.Idup()
            self.started(request)()
        except BaseException as error:
            self.fail(error)
            raise

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
                self._notices.uncount(self._session)  # the others wait for another collective
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
        if not (isinstance(error, RankError) and error.rank != self.rank):  # that rank sends its own
            with suppress(Exception):
                self._notices.fail(self._session, text)
        if self._unfinished:
            KEPT.append(self)
            self._notices.broken = str(error) if isinstance(error, RankError) else f"rank {self.rank} {text}"
        elif not self._notices.broken:
            self._notices.left = self._comm  # it is freed by all ranks at the same place: the next session

    def close(self) -> None:
        if self.size > 1 and not self._failed:
            self._notices.finish(self._session)
            self._comm.Free()

    def _sum(self, x: Array) -> Array:
        send = _numbers(x)
        receive, result = _new(x, tuple(x.shape), send.dtype)
        self._do(self._comm.Iallreduce, send, receive)
        return result()

    def _start_sum(self, x: Array) -> Callable[[], None]:
        numbers = of(x).to_numpy(x)  # a view: plans for the host alone start sums
        return self._start(self._comm.Iallreduce, _mpi().IN_PLACE, numbers)

    def _start_gather(self, x: Array) -> Callable[[], None]:
        numbers = of(x).to_numpy(x)
        counts = np.diff(self.bounds(x.shape[0])) * (numbers.size // max(x.shape[0], 1))
        return self._start(self._comm.Iallgatherv, _mpi().IN_PLACE, [numbers, counts])

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
        self._start(collective, *arguments)()

    def _start(self, collective: Callable[..., Any], *arguments: Any) -> Callable[[], None]:
        """Start a collective, and return the function that waits for it. Raises RuntimeError after a failure."""
        if self._failed:
            raise RuntimeError(
                "after a failure the ranks cannot compute anything together: not all of them may be here"
            )
        return self.started(collective(*arguments), *arguments)

    def started(self, request: Any, *memory: Any) -> Callable[[], None]:
        """The function that waits for a request, by which all ranks have started one collective.

        ``memory`` is what the request reads and writes: it is kept until the request is complete, even after a failure.
        """
        number = self._notices.count(self._session)
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
        poll(complete, lambda: self._notices.check(self._session, number))

    def count_collective(self) -> None:
        self._notices.count(self._session)


def _text(error: BaseException) -> str:
    words = ""
    with suppress(Exception):
        words = str(error)
    return f"failed: {type(error).__name__}: {words}"[:MAX_MESSAGE]


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
