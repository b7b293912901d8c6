"""Checks that real ranks run: what MPI's ranks exchange, and ``fit`` on them, planned as by default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.parallel import MPIRanks, RankError, Ranks
from tests.parallel.test_equality import DROPPED, NORMALIZED, OPTIONS, WEIGHT, train


def exchange_arrays(ranks: Ranks, *devices: str) -> None:
    x = np.arange(6.0) * (ranks.rank + 1)
    size, total = ranks.size, ranks.size * (ranks.size + 1) / 2
    for name in devices:
        device = dlarray.resolve(name)
        with device.entered():
            own = device.asarray(x.astype(np.float32))
            for result, expected in (
                (ranks.sum(own), np.arange(6.0) * total),
                (ranks.sum(device.asarray(np.float32(2))), np.asarray(2.0 * size)),
                (ranks.gather(ranks.scatter_sum(own), 6), np.arange(6.0) * total),
                (ranks.broadcast(own), np.arange(6.0)),
            ):
                assert type(result) is type(own)
                assert result.dtype == own.dtype
                assert np.array_equal(dlarray.to_numpy(result), expected)
            rows = device.asarray(np.arange(14, dtype=np.float32).reshape(7, 2))
            assert np.array_equal(dlarray.to_numpy(ranks.gather(ranks.piece(rows), 7)), dlarray.to_numpy(rows))
            assert np.array_equal(dlarray.to_numpy(own), x)


def check_exchanges(comm: Any) -> None:
    ranks = MPIRanks(comm)
    x, total = np.arange(6.0) * (ranks.rank + 1), ranks.size * (ranks.size + 1) / 2
    exchange_arrays(ranks, "cpu", "strict")
    first, second = x.copy(), x.copy()
    waits = [ranks.start_sum(first), ranks.start_sum(second)]
    for wait in reversed(waits):
        wait()
    assert np.array_equal(first, np.arange(6.0) * total)
    assert np.array_equal(second, first)
    for value in (ranks.rank, {"a": [ranks.rank, None]}, "long " * 1000 * ranks.rank, b""):
        assert ranks.exchange(value)[ranks.rank] == value
    assert ranks.exchange("x" * (500 + ranks.rank)) == ["x" * (500 + rank) for rank in range(ranks.size)]
    ranks.close()


def check_sums_have_the_same_bits(comm: Any) -> None:
    ranks = MPIRanks(comm)
    for n in (1, 7, 1000, 100_000):
        total = ranks.sum(np.random.default_rng(ranks.rank).normal(size=n))
        assert len(set(ranks.exchange(total.tobytes()))) == 1
    ranks.close()


def compare_fit(comm: Any, tolerance: float = 1e-12, **options: Any) -> None:
    options = {"compile": None} | options
    one, many = train(**options), train(comm, **options)
    np.testing.assert_allclose(many.history.steps, one.history.steps, rtol=tolerance)
    assert many.history.stopped == one.history.stopped
    for row, expected in zip(many.history.epochs, one.history.epochs, strict=True):
        np.testing.assert_allclose(list(row.values()), list(expected.values()), rtol=tolerance, atol=tolerance)


def check_fit(comm: Any) -> None:
    compare_fit(comm, weight=WEIGHT, class_weight="balanced", validation=0.3)


def check_fit_eagerly(comm: Any) -> None:
    compare_fit(comm, compile=False, clip_norm=0.1)


def check_fit_norm(comm: Any) -> None:
    compare_fit(comm, model=NORMALIZED, optimizer="momentum", batch_size=10)


def check_fit_dropout(comm: Any) -> None:
    compare_fit(comm, model=DROPPED)


def check_fit_shard(comm: Any) -> None:
    compare_fit(comm, **OPTIONS["shard and the rest"])


def check_fit_float32(comm: Any) -> None:
    compare_fit(comm, 2e-6, dtype="float32", epochs=2)


def check_a_plan_and_the_eager_step_fit_together(comm: Any) -> None:
    compare_fit(comm, compile=comm.rank == 0, model=NORMALIZED, optimizer="momentum")


def check_fit_over_30_steps(comm: Any) -> None:
    compare_fit(comm, epochs=30, max_steps=30)


def check_equal_errors_leave_the_communicator_as_it_was(comm: Any) -> None:
    with pytest.raises(dlarray.DivergedError):
        train(comm, optimizer=dlarray.GradientDescent(1e300))
    with pytest.raises(ValueError, match="epochs"):
        train(comm, epochs=0)
    compare_fit(comm, epochs=1)


@dataclass(frozen=True)
class _Fail(dlarray.Callback):
    def on_step(self, run: Any) -> None:
        if run.steps == 3:
            raise KeyError("on purpose")


def check_one_failure_ends_all(comm: Any) -> None:
    """The last check: what a rank has begun stays unfinished, so the job ends by MPI's Abort."""
    last = comm.rank == comm.size - 1
    with pytest.raises(KeyError if last else RankError) as caught:
        train(comm, callbacks=[_Fail()] if last else [])
    if not last:
        assert str(caught.value) == f"rank {comm.size - 1} of {comm.size} failed: KeyError: 'on purpose'"
        with pytest.raises(RuntimeError, match="this communicator cannot be used again: rank"):
            train(comm)
