"""Ranks that each have a GPU, and add up arrays by NVIDIA's NCCL without the host.

Collectives are queued on a stream of their own: events order them after what writes their operands, and what reads a
result after them. The program only queues work, so the sum of one layer's gradient runs beside the layers below it.
Small Python data, and the message of a rank that fails, go through MPI.

A GPU that waits for a rank that has failed waits for ever, and so does a program that waits for that GPU. So where
dlarray reads from the GPU it first asks again and again whether the work is done, NCCL has an error, or a rank has
failed. Then it aborts NCCL's communicator, which ends the GPU's work, and raises RankError.

Source: NVIDIA's documentation of NCCL 2. Tested on emulated GPUs with an NCCL that was written from that documentation;
it has not run on several real GPUs yet.
"""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from time import monotonic, sleep
from typing import Any

from dlarray.core.array import Array
from dlarray.core.ranks import RankError, Ranks

__all__ = ["NCCLRanks", "wait_for_ranks"]

GROUP = 2**20
"""Bytes: smaller sums of ``sum_beside`` wait for others, and begin as one call. Not measured on a GPU yet."""
GRACE = 2.0
"""After an error of NCCL the message of the rank that has caused it is waited for, for so many seconds."""

_SUMMED = ("float16", "float32", "float64", "int8", "uint8", "int32", "uint32", "int64", "uint64")

_open: dict[int, NCCLRanks] = {}
"""The ranks that work on each GPU of this process, by its number."""


def wait_for_ranks(device: Any, event: Any = None) -> None:
    """Wait until a GPU's queued work is done, or an event, if it may wait for other ranks.

    Raises RankError if one of them has failed. Does nothing where a GPU has no other ranks.
    """
    if (ranks := _open.get(device.id)) is not None:
        ranks.wait(event)


class NCCLRanks(Ranks):
    """The ranks of ``host``, each with a GPU of its own. All of them make it at the same time.

    ``host``, ranks of MPI, exchanges small Python data and tells of failures. Raises on every rank: ImportError if NCCL
    is missing on one of them, ValueError if two have the same GPU or other versions of NCCL, RankError if they cannot
    be connected.
    """

    def __init__(self, host: Ranks, handle: Any) -> None:
        import cupy

        self._cupy, self._host, self._handle = cupy, host, handle
        self.rank, self.size = host.rank, host.size
        self._comm: Any = None
        self._ended = ""
        name = self._meet()
        with handle:
            self._stream = cupy.cuda.Stream(non_blocking=True)
            try:
                self._comm = self._nccl.NcclCommunicator(self.size, name, self.rank)
            except self._nccl.NcclError as error:
                raise RankError(
                    self.rank, self.size, f"cannot be connected by NCCL, and NCCL_DEBUG=WARN shows why: {error}"
                ) from error
        self._waiting: list[tuple[Array, Array]] = []
        self._read: list[Array] = []
        _open[handle.id] = self

    def _meet(self) -> bytes:
        """The unique id of rank 0, after a look at whether all ranks can be connected."""
        problem, version, name = "", 0, b""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # CuPy says there what is said here
            nccl: Any = import_module("cupy.cuda.nccl")
        self._nccl = nccl
        if not nccl.available:
            problem = "CuPy finds no NCCL: pip install nvidia-nccl-cu12, or cu13, by the CUDA version of CuPy"
        else:
            version = nccl.get_version()
            name = nccl.get_unique_id() if self.rank == 0 else b""
        bus = self._cupy.cuda.runtime.deviceGetPCIBusId(self._handle.id)
        place = f"GPU {bus} of {platform.node()}"
        everyone = self._host.exchange((problem, version, place, name))
        seen: dict[str, int] = {}
        for rank, (their_problem, their_version, their_place, _) in enumerate(everyone):
            if their_problem:
                raise ImportError(f"rank {rank} of {self.size} cannot add up arrays of CuPy: {their_problem}")
            if their_version != everyone[0][1]:
                raise ValueError(
                    f"rank 0 has NCCL {everyone[0][1]} and rank {rank} has {their_version}: install the same version"
                )
            if (first := seen.setdefault(their_place, rank)) != rank:
                raise ValueError(
                    f"ranks {first} and {rank} both train on {their_place}, and NCCL needs a GPU for each rank: start "
                    f"no more ranks on a machine than it has GPUs, and give device='cuda', which is the GPU of the "
                    f"rank's number on its machine"
                )
        return everyone[0][3]

    # What ``Ranks`` asks for

    def exchange(self, value: Any) -> list[Any]:
        return self._host.exchange(value)

    def broadcast(self, x: Array) -> Array:
        source = self._rows(x)
        result = self._cupy.empty_like(source)
        self._launch("broadcast", (source, result), source.nbytes, self._nccl.NCCL_UINT8, 0)
        return result

    def _sum(self, x: Array) -> Array:
        source = self._rows(x)
        result = self._cupy.empty_like(source)
        self._launch("allReduce", (source, result), source.size, self._type(source), self._nccl.NCCL_SUM)
        return result

    def _sum_beside(self, x: Array) -> Array:
        source = self._rows(x)
        result = self._cupy.empty_like(source)
        self._type(source)
        self._waiting.append((source, result))
        if sum(a.nbytes for a, _ in self._waiting) >= GROUP:
            self._start_waiting()
        return result

    def join_sums(self) -> None:
        self._start_waiting()
        self._cupy.cuda.get_current_stream().wait_event(self._stream.record())
        self._read = []

    def _start_sum(self, x: Array) -> Callable[[], None]:
        if not x.flags.c_contiguous:
            raise ValueError("start_sum adds up a contiguous array in place, got one that is not contiguous")
        started = self._queue("allReduce", [((x, x), x.size, self._type(x), self._nccl.NCCL_SUM)])

        def wait() -> None:
            self._cupy.cuda.get_current_stream().wait_event(started)

        return wait

    def _scatter_sum(self, x: Array) -> Array:
        source = self._padded(x) if x.shape[0] % self.size else self._rows(x)
        rows = source.shape[0] // self.size
        result = self._cupy.empty((rows, *x.shape[1:]), x.dtype)
        self._launch("reduceScatter", (source, result), result.size, self._type(x), self._nccl.NCCL_SUM)
        first, last = self.bounds(x.shape[0])[self.rank : self.rank + 2]
        return result[: last - first]

    def _gather(self, piece: Array, length: int) -> Array:
        rows = -(-length // self.size)
        source = self._rows(piece)
        if piece.shape[0] != rows:
            source = self._cupy.zeros((rows, *piece.shape[1:]), piece.dtype)
            source[: piece.shape[0]] = piece
        result = self._cupy.empty((rows * self.size, *piece.shape[1:]), piece.dtype)
        self._launch("allGather", (source, result), source.nbytes, self._nccl.NCCL_UINT8)
        if length % self.size == 0:
            return result
        whole = self._cupy.empty((length, *piece.shape[1:]), piece.dtype)
        bounds = self.bounds(length)
        for i, first in enumerate(bounds[:-1]):
            n = bounds[i + 1] - first
            whole[first : first + n] = result[i * rows : i * rows + n]
        return whole

    def fail(self, error: BaseException) -> None:
        self._host.fail(error)  # before the others' GPUs lose this one
        if not self._ended:
            with suppress(Exception), self._handle:  # what all ranks have queued may still be computed
                event, until = self._event(), monotonic() + GRACE
                while not self._is_done(event) and monotonic() < until:
                    sleep(1e-3)
        self._abort(f"rank {self.rank} of {self.size} has failed: {type(error).__name__}: {error}")

    def close(self) -> None:
        self.wait()
        with self._handle:
            self._comm.destroy()
        self._leave("the ranks have been closed")

    # Calls

    def _rows(self, x: Array) -> Array:
        """The array itself, or a copy of it whose numbers lie in order."""
        return x if x.flags.c_contiguous else self._cupy.array(x, order="C")

    def _padded(self, x: Array) -> Array:
        """The pieces of x, each with rows of zeros after it, as many as it lacks: NCCL takes equal pieces only."""
        rows = -(-x.shape[0] // self.size)
        padded = self._cupy.zeros((rows * self.size, *x.shape[1:]), x.dtype)
        bounds = self.bounds(x.shape[0])
        for i, first in enumerate(bounds[:-1]):
            n = bounds[i + 1] - first
            padded[i * rows : i * rows + n] = x[first : first + n]
        return padded

    def _type(self, x: Array) -> int:
        if x.dtype.name not in _SUMMED:
            raise TypeError(f"NCCL adds up {', '.join(_SUMMED)}, got an array of {x.dtype.name}")
        return getattr(self._nccl, f"NCCL_{x.dtype.name.upper()}")

    def _start_waiting(self) -> None:
        """Begin the sums that wait, as one call. Their operands are kept until the current stream waits for it."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._read += [source for source, _ in waiting]
            add = self._nccl.NCCL_SUM
            self._queue("allReduce", [((x, y), x.size, self._type(x), add) for x, y in waiting])

    def _launch(self, name: str, arrays: tuple[Array, Array], *arguments: Any) -> None:
        """Queue a call between two arrays, before all that is queued on the current stream from now on."""
        done = self._queue(name, [(arrays, *arguments)])
        self._cupy.cuda.get_current_stream().wait_event(done)

    def _queue(self, name: str, calls: list[tuple[Any, ...]]) -> Any:
        """Queue calls of NCCL as a group, after all that is queued on the current stream, and return their event."""
        self._check()
        with self._handle:
            self._stream.wait_event(self._cupy.cuda.get_current_stream().record())
            call = getattr(self._comm, name)
            try:
                if len(calls) > 1:
                    self._nccl.groupStart()
                for (source, target), *arguments in calls:
                    call(source.data.ptr, target.data.ptr, *arguments, self._stream.ptr)
                if len(calls) > 1:
                    self._nccl.groupEnd()
            except self._nccl.NcclError as error:
                self._raise(error)
            self._host.count_collective()
            return self._stream.record()

    # Waiting and failures

    def wait(self, event: Any = None) -> None:
        """Wait until an event has happened, by default all that the current stream has queued.

        Raises RankError if it waits for a rank that has failed.
        """
        self._check()
        with self._handle:
            what = self._event() if event is None else event
            try:
                self._host.wait_until(lambda: self._is_done(what))
            except self._nccl.NcclError as error:
                self._raise(error)
            except BaseException as error:
                self._abort(str(error))
                raise

    def _event(self) -> Any:
        return self._cupy.cuda.get_current_stream().record(self._cupy.cuda.Event(disable_timing=True))

    def _is_done(self, event: Any) -> bool:
        self._comm.check_async_error()
        return event.done

    def _raise(self, error: Exception) -> None:
        """Raise RankError for an error of NCCL: that of the rank that has failed, if its message comes."""
        until = monotonic() + GRACE
        try:
            self._host.wait_until(lambda: monotonic() > until)
            raise RankError(
                self.rank, self.size, f"has lost the others: {error}; NCCL_DEBUG=WARN shows what NCCL says"
            ) from error
        except RankError as found:
            self._abort(str(found))
            raise

    def _check(self) -> None:
        if self._ended:
            raise RuntimeError(f"these ranks cannot be used again: {self._ended}; start the processes again")

    def _abort(self, why: str) -> None:
        """End what the GPU waits for. Its results are undefined."""
        if not self._ended:
            with self._handle:
                self._comm.abort()
            self._leave(why)

    def _leave(self, why: str) -> None:
        self._ended = why
        if _open.get(self._handle.id) is self:
            del _open[self._handle.id]
