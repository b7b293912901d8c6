# SPDX-License-Identifier: BSD-3-Clause
"""NCCL's communication between emulated GPUs: the numbers, the order of work, and what NVIDIA documents as wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from tests import cuda_on_cpu as emulator

ROOT = Path(__file__).resolve().parents[2]
ORDERS = ["now", "late", "main", 1, 2]
TYPES = {
    "int8": "INT8",
    "uint8": "UINT8",
    "int32": "INT32",
    "uint32": "UINT32",
    "int64": "INT64",
    "uint64": "UINT64",
    "float16": "FLOAT16",
    "float32": "FLOAT32",
    "float64": "FLOAT64",
}
REDUCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "SUM": lambda x: x.sum(0, dtype=x.dtype),
    "PROD": lambda x: x.prod(0, dtype=x.dtype),
    "MAX": lambda x: x.max(0),
    "MIN": lambda x: x.min(0),
}


@pytest.fixture
def nccl(cupy: Any) -> Iterator[Any]:
    """CuPy's module, and four GPUs."""
    with emulator.devices(4):
        cupy.cuda.set_allocator(cupy.cuda.MemoryPool().malloc)  # a pool knows the GPUs that there were when it was made
        yield import_module("cupy.cuda.nccl")
        cupy.cuda.set_allocator(cupy.get_default_memory_pool().malloc)


class Rank:
    """A rank that is a thread, with a stream for communication."""

    def __init__(self, cupy: Any, rank: int, size: int, name: bytes) -> None:
        self.rank, self.cupy, self.nccl = rank, cupy, cupy.cuda.nccl
        self.comm = self.nccl.NcclCommunicator(size, name, rank)
        self.stream = cupy.cuda.Stream(non_blocking=True)

    def call(self, name: str, *arguments: Any) -> None:
        """One call, after all that is queued on the current stream; what is queued there later runs after it."""
        self.stream.wait_event(self.cupy.cuda.get_current_stream().record())
        getattr(self.comm, name)(*arguments, self.stream.ptr)
        self.cupy.cuda.get_current_stream().wait_event(self.stream.record())

    def sum(self, x: Any, count: int | None = None) -> Any:
        """The sum of a vector of float32 over the ranks."""
        y = self.cupy.empty_like(x)
        n = x.size if count is None else count
        self.call("allReduce", x.data.ptr, y.data.ptr, n, self.nccl.NCCL_FLOAT32, self.nccl.NCCL_SUM)
        return y

    def error(self) -> str:
        """The asynchronous error; "" if there is none so far."""
        try:
            self.comm.check_async_error()
        except self.nccl.NcclError as error:
            return str(error)
        return ""


def ranks(cupy: Any, size: int, run: Callable[[Rank], Any]) -> list[Any]:
    """What a function returns on each rank."""
    name = cupy.cuda.nccl.get_unique_id()

    def thread(i: int) -> Any:
        with cupy.cuda.Device(i):
            rank = Rank(cupy, i, size, name)
            try:
                return run(rank)
            except BaseException:
                rank.comm.abort()
                raise

    with ThreadPoolExecutor(size) as pool:
        return [job.result() for job in [pool.submit(thread, i) for i in range(size)]]


def numbers(size: int, n: int, dtype: str) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 5, (size, n)).astype(dtype)


@pytest.mark.parametrize("dtype", TYPES)
def test_reductions(nccl: Any, cupy: Any, dtype: str) -> None:
    x, kind = numbers(3, 6, dtype), getattr(nccl, f"NCCL_{TYPES[dtype]}")

    def run(rank: Rank) -> list[np.ndarray]:
        own, found = cupy.asarray(x[rank.rank]), list[np.ndarray]()
        for name in REDUCTIONS:
            op = getattr(nccl, f"NCCL_{name}")
            total, root, piece = cupy.empty_like(own), cupy.zeros_like(own), cupy.empty(2, dtype)
            rank.call("allReduce", own.data.ptr, total.data.ptr, 6, kind, op)
            rank.call("reduce", own.data.ptr, root.data.ptr, 6, kind, op, 1)
            rank.call("reduceScatter", own.data.ptr, piece.data.ptr, 2, kind, op)
            found += [total.get(), root.get(), piece.get()]
        return found

    for i, found in enumerate(ranks(cupy, 3, run)):
        for j, reduce in enumerate(REDUCTIONS.values()):
            whole = reduce(x)
            expected = [whole, whole if i == 1 else whole * 0, whole[2 * i : 2 * i + 2]]
            for a, b in zip(found[3 * j : 3 * j + 3], expected, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("order", ORDERS)
def test_copies_in_every_order(nccl: Any, cupy: Any, order: str | int) -> None:
    x = numbers(3, 4, "float32")

    def run(rank: Rank) -> list[list[float]]:
        own = cupy.asarray(x[rank.rank])
        everything, first, sent = cupy.empty(12, "f"), own * 1, cupy.empty(4, "f")
        after, before = (rank.rank + 1) % 3, (rank.rank - 1) % 3
        for _ in range(3):  # each waits for the one before
            own *= 2
            rank.call("allGather", own.data.ptr, everything.data.ptr, 4, nccl.NCCL_FLOAT32)
            rank.call("bcast", first.data.ptr, 4, nccl.NCCL_FLOAT32, 2)
            rank.stream.wait_event(cupy.cuda.get_current_stream().record())
            nccl.groupStart()
            rank.comm.send(own.data.ptr, 4, nccl.NCCL_FLOAT32, after, rank.stream.ptr)
            rank.comm.recv(sent.data.ptr, 4, nccl.NCCL_FLOAT32, before, rank.stream.ptr)
            nccl.groupEnd()
            cupy.cuda.get_current_stream().wait_event(rank.stream.record())
        return [everything.tolist(), first.tolist(), sent.tolist()]

    with emulator.order(order):
        for i, found in enumerate(ranks(cupy, 3, run)):
            assert found == [(8 * x).reshape(-1).tolist(), x[2].tolist(), (8 * x[i - 1]).tolist()]


@pytest.mark.parametrize("order", ORDERS)
def test_the_host_does_not_wait(nccl: Any, cupy: Any, order: str | int) -> None:
    def run(rank: Rank) -> list[float]:
        x = cupy.ones(4, "f") * rank.rank
        before = emulator.counts()["waits"]
        for _ in range(5):
            x = rank.sum(x) + 1
        assert emulator.counts()["waits"] == before
        both.wait(10)  # reading is a wait
        return x.tolist()

    both = Barrier(2)
    with emulator.order(order):
        assert ranks(cupy, 2, run) == [[47.0] * 4] * 2


def test_without_the_event_some_order_shows_the_race(nccl: Any, cupy: Any) -> None:
    def run(rank: Rank) -> float:
        x, y = cupy.ones(1, "f"), cupy.zeros(1, "f")
        cupy.cuda.Device().synchronize()
        x *= 5
        rank.comm.allReduce(
            x.data.ptr, y.data.ptr, 1, nccl.NCCL_FLOAT32, nccl.NCCL_SUM, rank.stream.ptr
        )  # before the product is known
        rank.stream.synchronize()
        return float(y[0])

    with emulator.order("late"):
        assert ranks(cupy, 2, run) == [2.0, 2.0]


def test_one_thread_drives_all_ranks_in_a_group(nccl: Any, cupy: Any) -> None:
    comms = nccl.NcclCommunicator.initAll([1, 0])
    assert [(c.rank_id(), c.device_id(), c.size()) for c in comms] == [(0, 1, 2), (1, 0, 2)]
    x: list[Any] = []
    for comm in comms:
        with cupy.cuda.Device(comm.device_id()):
            x.append(cupy.full(3, comm.rank_id() + 1, "d"))
    nccl.groupStart()
    for _ in range(2):
        for comm, a in zip(comms, x, strict=True):
            comm.allReduce(a.data.ptr, a.data.ptr, 3, nccl.NCCL_FLOAT64, nccl.NCCL_SUM, 0)
    nccl.groupEnd()
    assert [a.tolist() for a in x] == [[6.0] * 3] * 2
    arguments = (3, nccl.NCCL_FLOAT64, nccl.NCCL_SUM, 0)
    comms[0].allReduce(x[0].data.ptr, x[0].data.ptr, *arguments)
    with pytest.raises(nccl.NcclError, match="INVALID_USAGE"):
        comms[1].allReduce(x[1].data.ptr, x[1].data.ptr, *arguments)
    for comm in comms:
        comm.abort()


def test_a_group_with_an_error_does_not_begin(nccl: Any, cupy: Any) -> None:
    [comm] = nccl.NcclCommunicator.initAll([0])
    x = cupy.ones(2, "f")
    nccl.groupStart()
    comm.allReduce(x.data.ptr, x.data.ptr, 2, nccl.NCCL_FLOAT32, nccl.NCCL_SUM, 0)
    with pytest.raises(nccl.NcclError, match="INVALID_ARGUMENT"):
        comm.allReduce(x.data.ptr, x.data.ptr, 2, 99, nccl.NCCL_SUM, 0)
    with pytest.raises(nccl.NcclError, match="INVALID_ARGUMENT"):
        nccl.groupEnd()
    comm.allReduce(x.data.ptr, x.data.ptr, 2, nccl.NCCL_FLOAT32, nccl.NCCL_SUM, 0)
    assert x.tolist() == [1, 1]
    with pytest.raises(nccl.NcclError, match="INVALID_USAGE"):
        nccl.groupEnd()


def wrong_memory(cupy: Any) -> dict[str, Callable[[Any, Any], tuple[int, int]]]:
    host = np.ones(8, np.float32)
    with cupy.cuda.Device(1):
        other = cupy.ones(8, "f")
    return {
        "host": lambda x, y: (host.ctypes.data, y.data.ptr),
        "null": lambda x, y: (0, y.data.ptr),
        "another device": lambda x, y: (x.data.ptr, other.data.ptr),
        "overlap": lambda x, y: (x.data.ptr, x.data.ptr + 4),
    }


@pytest.mark.parametrize("what", ["host", "null", "another device", "overlap"])
def test_wrong_memory_is_refused(nccl: Any, cupy: Any, what: str) -> None:
    [comm] = nccl.NcclCommunicator.initAll([0])
    source, target = wrong_memory(cupy)[what](cupy.ones(8, "f"), cupy.ones(8, "f"))
    with pytest.raises(nccl.NcclError, match="INVALID"):
        comm.allReduce(source, target, 4, nccl.NCCL_FLOAT32, nccl.NCCL_SUM, 0)


def test_a_communicator_that_has_ended_is_refused(nccl: Any, cupy: Any) -> None:
    x = cupy.ones(2, "f")
    for end in ("abort", "destroy"):
        [comm] = nccl.NcclCommunicator.initAll([0])
        getattr(comm, end)()
        with pytest.raises(nccl.NcclError, match="INVALID_ARGUMENT"):
            comm.allReduce(x.data.ptr, x.data.ptr, 2, nccl.NCCL_FLOAT32, nccl.NCCL_SUM, 0)
        with pytest.raises(nccl.NcclError, match="INVALID_ARGUMENT"):
            comm.size()


DIFFERENT: dict[str, Callable[[Rank, Any], Any]] = {
    "count": lambda rank, x: rank.sum(x, 4 - rank.rank),
    "type": lambda rank, x: rank.call("allGather", x.data.ptr, rank.cupy.empty(16, "f").data.ptr, 4, 7 - rank.rank),
    "root": lambda rank, x: rank.call("bcast", x.data.ptr, 4, 7, rank.rank),
    "reduction": lambda rank, x: rank.call("allReduce", x.data.ptr, x.data.ptr, 4, 7, rank.rank),
    "operation": lambda rank, x: rank.sum(x) if rank.rank else rank.call("bcast", x.data.ptr, 4, 7, 0),
}


@pytest.mark.parametrize("what", DIFFERENT)
@pytest.mark.parametrize("order", ["now", "late"])
def test_calls_that_differ_between_ranks_are_an_error(
    nccl: Any, cupy: Any, what: str, order: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def run(rank: Rank) -> str:
        DIFFERENT[what](rank, cupy.ones(4, "f"))
        done = rank.stream.record()
        while not (error := rank.error()):  # as a program has to wait
            assert not done.done
        rank.comm.abort()
        done.synchronize()  # does not hang
        return error

    with emulator.order(order):
        found = ranks(cupy, 2, run)
    assert all("INVALID_USAGE" in error for error in found)
    assert "call 0 differs between ranks" in capfd.readouterr().err


def test_a_rank_that_has_gone_is_an_asynchronous_error(nccl: Any, cupy: Any) -> None:
    def run(rank: Rank) -> tuple[str, float]:
        if rank.rank == 1:
            rank.comm.abort()
            return "", 0.0
        y = rank.sum(cupy.ones(4, "f"))
        while not (error := rank.error()):
            assert not rank.stream.done
        with pytest.raises(nccl.NcclError, match="REMOTE_ERROR"):
            rank.sum(cupy.ones(4, "f"))
        rank.comm.abort()
        return error, float(y[0])

    (error, y), _ = ranks(cupy, 2, run)
    assert "REMOTE_ERROR" in error
    assert np.isnan(y)


def test_two_ranks_on_one_gpu_are_refused(nccl: Any, cupy: Any, capfd: pytest.CaptureFixture[str]) -> None:
    name = nccl.get_unique_id()

    def join(rank: int) -> str:
        with pytest.raises(nccl.NcclError) as error:
            nccl.NcclCommunicator(2, name, rank)
        return str(error.value)

    with ThreadPoolExecutor(2) as pool:
        assert all("INVALID_USAGE" in text for text in pool.map(join, range(2)))
    assert "Duplicate GPU" in capfd.readouterr().err


@pytest.mark.parametrize(("size", "rank"), [(2, 2), (2, -1), (0, 0)])
def test_a_rank_that_there_is_not_is_refused(nccl: Any, size: int, rank: int) -> None:
    with pytest.raises(nccl.NcclError, match="INVALID_ARGUMENT"):
        nccl.NcclCommunicator(size, nccl.get_unique_id(), rank)


PROCESS = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests import cuda_on_cpu as emulator
emulator.install(devices=2)
import cupy
from cupy.cuda import nccl
rank = int(sys.argv[1])
with cupy.cuda.Device(rank):
    if rank == 0:
        print(nccl.get_unique_id().hex(), flush=True)
    comm = nccl.NcclCommunicator(2, bytes.fromhex(input()), rank)
    x, stream = cupy.full(1000, rank + 1, "d"), cupy.cuda.Stream(non_blocking=True)
    stream.wait_event(cupy.cuda.get_current_stream().record())
    for _ in range(20):
        comm.allReduce(x.data.ptr, x.data.ptr, 1000, nccl.NCCL_FLOAT64, nccl.NCCL_SUM, stream.ptr)
    if rank == 1:
        input()  # calls nothing of CUDA: its GPU goes on nevertheless
    stream.synchronize()
    print(float(x.min()), float(x.max()), flush=True)
"""


def test_ranks_that_are_processes(nccl: Any) -> None:
    command = [sys.executable, "-c", PROCESS]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    jobs: list[Any] = [subprocess.Popen([*command, str(i)], **pipes) for i in range(2)]
    with jobs[0] as first, jobs[1] as second:
        name = first.stdout.readline()
        first.stdin.write(name)
        second.stdin.write(name)
        expected = f"{3.0 * 2**19} {3.0 * 2**19}\n"
        assert first.stdout.readline() == expected
        second.stdin.write("\n")
        assert second.stdout.readline() == expected
