"""Ranks that each have a GPU, and communicate by NCCL: threads of this process, on emulated GPUs."""

from __future__ import annotations

from importlib import import_module
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from dlarray.core.launcher import local_rank
from dlarray.core.ranks import RankError
from tests import cuda_on_cpu as emulator
from tests.support.gpu_ranks import on_gpus, on_hosts

SUMMED = ["float16", "float32", "float64", "int8", "uint8", "int32", "uint32", "int64", "uint64"]
SIZES = [2, 3]
ORDERS = ["now", "late", "main", 1, 2, 3]


def numbers(rank: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.random.default_rng(rank).integers(0, 9, shape).astype(dtype)


def total(size: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.sum([numbers(rank, shape, dtype) for rank in range(size)], axis=0, dtype=dtype)


# Each collective against NumPy


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", SUMMED)
def test_sums(cupy: Any, size: int, dtype: str) -> None:
    def run(ranks: Any) -> list[np.ndarray]:
        found: list[Any] = []
        for shape in [(), (1,), (7,), (3, 5), (0,), (0, 3)]:
            x = cupy.asarray(numbers(ranks.rank, shape, dtype))
            before = x.copy()
            found += [ranks.sum(x), ranks.sum(x.T), x - before]
            in_place = x.copy()
            ranks.start_sum(in_place)()
            found.append(in_place)
        return [x.get() for x in found]

    for found in on_gpus(size, run):
        for i, shape in enumerate([(), (1,), (7,), (3, 5), (0,), (0, 3)]):
            expected = total(size, shape, dtype)
            for x, y in zip(found[4 * i : 4 * i + 4], [expected, expected.T, expected * 0, expected], strict=True):
                np.testing.assert_array_equal(x, y, strict=True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
def test_pieces_of_a_sum(cupy: Any, size: int, dtype: str) -> None:
    lengths = [12, 7, 2, 1, 0]

    def run(ranks: Any) -> list[Any]:
        found: list[Any] = []
        for n in lengths:
            piece = ranks.scatter_sum(cupy.asarray(numbers(ranks.rank, (n,), dtype)))
            found += [piece.get(), ranks.gather(piece, n).get()]
        return found

    for rank, found in enumerate(on_gpus(size, run)):
        for i, n in enumerate(lengths):
            whole = total(size, (n,), dtype)
            first, last = rank * n // size, (rank + 1) * n // size
            np.testing.assert_array_equal(found[2 * i], whole[first:last], strict=True)
            np.testing.assert_array_equal(found[2 * i + 1], whole, strict=True)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int32", "uint8", "bool", "complex64"])
def test_rows_are_gathered_and_arrays_broadcast(cupy: Any, dtype: str) -> None:
    whole = numbers(0, (7, 3), dtype)

    def run(ranks: Any) -> list[np.ndarray]:
        own = cupy.asarray(ranks.piece(whole))
        other = cupy.asarray(numbers(ranks.rank, (4, 2), dtype))
        scalar = cupy.asarray(numbers(ranks.rank, (), dtype))
        return [x.get() for x in (ranks.gather(own, 7), ranks.broadcast(other), ranks.broadcast(scalar), other)]

    for rank, found in enumerate(on_gpus(3, run)):
        expected = [whole, *(numbers(r, s, dtype) for r, s in ((0, (4, 2)), (0, ()), (rank, (4, 2))))]
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_array_equal(x, y, strict=True)


def test_small_python_data_is_exchanged(cupy: Any) -> None:
    assert on_gpus(3, lambda ranks: ranks.exchange(("rank", ranks.rank))) == [[("rank", i) for i in range(3)]] * 3


def test_what_cannot_be_added_up_is_refused(cupy: Any) -> None:
    def run(ranks: Any) -> None:
        with pytest.raises(TypeError, match="NCCL adds up float16, .*, got an array of bool"):
            ranks.sum(cupy.ones(3, bool))
        with pytest.raises(ValueError, match="not contiguous"):
            ranks.start_sum(cupy.ones((3, 4)).T)

    on_gpus(2, run)


def test_silent_ranks_send_nothing(cupy: Any) -> None:
    def run(ranks: Any) -> list[list[float]]:
        x = cupy.arange(4.0) + ranks.rank
        with ranks.silent():
            ranks.start_sum(x)()
            found = [ranks.sum(x), ranks.sum_beside(x), ranks.scatter_sum(x), ranks.gather(x[:2], 4)]
        return [y.tolist() for y in found]

    first, second = on_gpus(2, run)
    assert first == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1], [0, 1, 0, 0]]
    assert second == [[1, 2, 3, 4], [1, 2, 3, 4], [3, 4], [0, 0, 1, 2]]


# The order of work


@pytest.mark.parametrize("order", ORDERS)
def test_sums_beside_other_work(cupy: Any, order: str | int) -> None:
    def run(ranks: Any) -> list[float]:
        both.wait(60)
        waits = emulator.counts()["waits"]
        x = cupy.full(300_000, ranks.rank + 1.0)
        results: list[Any] = []
        for i in range(4):  # large ones, and small ones that become a group
            x = x * 2
            results += [ranks.sum_beside(x), ranks.sum_beside(x[: i + 1])]
            y = ranks.sum(x[:2])  # is read at once
            x = x + y[0]  # the operand is freed
        ranks.join_sums()
        values = cupy.stack([r[-1] for r in results] + [r[0] for r in results])
        wait = ranks.start_sum(x)
        beside = cupy.ones(3) * 2
        wait()
        last = x[0] + x[-1] + beside[0]
        both.wait(60)
        assert emulator.counts()["waits"] == waits  # the host has only queued work
        both.wait(60)
        return [*values.tolist(), float(last)]

    expected = _beside()
    both = Barrier(2)
    with emulator.order(order):
        assert on_gpus(2, run) == [expected] * 2


def _beside() -> list[float]:
    """The same with NumPy."""
    xs = [np.full(300_000, rank + 1.0) for rank in range(2)]
    results: list[np.ndarray] = []
    for i in range(4):
        xs = [x * 2 for x in xs]
        results += [xs[0] + xs[1], (xs[0] + xs[1])[: i + 1]]
        y = xs[0][0] + xs[1][0]
        xs = [x + y for x in xs]
    last = xs[0] + xs[1]
    return [*(float(r[-1]) for r in results), *(float(r[0]) for r in results), float(last[0] + last[-1] + 2)]


# Failures


@pytest.mark.parametrize("how", ["numbers", "losses", "synchronize"])
def test_a_rank_that_fails_ends_the_others_where_they_read(cupy: Any, how: str) -> None:
    def run(ranks: Any) -> None:
        from dlarray_cupy import backend

        if ranks.rank == 1:
            raise ValueError("on purpose")
        x = ranks.sum(ranks.sum(cupy.ones(5)))  # only queued
        if how == "numbers":
            backend.to_numpy(x)
        elif how == "losses":
            backend.concat_to_numpy([x])
        else:
            backend.synchronize(x.device)

    first, second = on_gpus(2, run, errors=True)
    assert isinstance(first, RankError)
    assert str(first) == "rank 1 of 2 failed: ValueError: on purpose"
    assert first.rank == 1
    assert isinstance(second, ValueError)


@pytest.mark.parametrize("order", ["now", "late"])
def test_calls_that_differ_are_an_error_on_every_rank(cupy: Any, order: str) -> None:
    def run(ranks: Any) -> None:
        from dlarray_cupy import backend

        backend.to_numpy(ranks.sum(cupy.ones(4 + ranks.rank)))

    with emulator.order(order):
        found = on_gpus(2, run, errors=True)
    assert all(isinstance(error, RankError) for error in found)
    assert any("INVALID_USAGE" in str(error) for error in found)


def test_ranks_that_have_ended_cannot_be_used(cupy: Any) -> None:
    kept: list[Any] = []
    on_gpus(2, kept.append)
    with pytest.raises(RuntimeError, match="cannot be used again: the ranks have been closed"):
        kept[0].sum(cupy.ones(2))


def test_two_ranks_on_one_gpu_are_refused(cupy: Any) -> None:
    from dlarray_cupy.nccl import NCCLRanks

    found = on_hosts(2, lambda host: NCCLRanks(host, cupy.cuda.Device(0)))
    assert all(isinstance(error, ValueError) for error in found)
    assert "ranks 0 and 1 both train on GPU" in str(found[0])


def test_a_rank_without_nccl_is_an_error_on_every_rank(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dlarray_cupy.nccl import NCCLRanks

    monkeypatch.setattr(import_module("cupy.cuda.nccl"), "available", False)
    found = on_hosts(2, lambda host: NCCLRanks(host, cupy.cuda.Device(host.rank)))
    assert all(isinstance(error, ImportError) for error in found)
    assert "rank 0 of 2 cannot add up arrays of CuPy: CuPy finds no NCCL: pip install nvidia-nccl" in str(found[1])


def test_a_rank_that_has_gone_without_a_word(cupy: Any) -> None:
    def run(ranks: Any) -> None:
        if ranks.rank == 0:
            import_module("dlarray_cupy").backend.to_numpy(ranks.sum(cupy.ones(4)))

    first, _ = on_gpus(2, run, errors=True)
    assert isinstance(first, RankError)
    assert "rank 0 of 2 has lost the others: NCCL_ERROR_REMOTE_ERROR" in str(first)


def test_other_versions_of_nccl_are_refused(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dlarray_cupy.nccl import NCCLRanks

    versions = iter([22501, 21900])
    monkeypatch.setattr(import_module("cupy.cuda.nccl"), "get_version", lambda: next(versions))
    found = on_hosts(2, lambda host: NCCLRanks(host, cupy.cuda.Device(host.rank)))
    assert all(isinstance(error, ValueError) for error in found)
    assert "install the same version" in str(found[0])


def test_ranks_that_cannot_be_connected(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dlarray_cupy.nccl import NCCLRanks

    nccl = import_module("cupy.cuda.nccl")

    def refuse(*arguments: Any) -> None:
        raise nccl.NcclError(2)

    monkeypatch.setattr(nccl, "NcclCommunicator", refuse)
    found = on_hosts(2, lambda host: NCCLRanks(host, cupy.cuda.Device(host.rank)))
    assert all(isinstance(error, RankError) for error in found)
    assert "cannot be connected by NCCL, and NCCL_DEBUG=WARN shows why: NCCL_ERROR_SYSTEM_ERROR" in str(found[0])


# The GPU of a rank


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, 0),
        ({"OMPI_COMM_WORLD_LOCAL_RANK": "2"}, 2),
        ({"MPI_LOCALRANKID": "1", "SLURM_LOCALID": "0"}, 1),
        ({"SLURM_LOCALID": "3"}, 3),
        ({"SLURM_LOCALID": "many"}, 0),
    ],
)
def test_the_rank_on_a_machine(variables: dict[str, str], expected: int) -> None:
    assert local_rank(variables) == expected


def test_cuda_is_the_gpu_of_the_rank_on_its_machine(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dlarray_cupy import CupyBackend

    backend = CupyBackend()
    assert backend.devices() == ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]
    assert backend.handle("cuda").id == 0
    monkeypatch.setenv("MPI_LOCALRANKID", "2")
    assert backend.devices() == ["cuda:2", "cuda:3", "cuda:0", "cuda:1"]
    assert [backend.handle(name).id for name in ("cuda", "cuda:0", "cuda:3")] == [2, 0, 3]
    with emulator.devices(1):  # a launcher that lets each rank see its own GPU only
        assert backend.handle("cuda").id == 0
