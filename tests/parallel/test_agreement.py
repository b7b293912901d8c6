"""What ranks agree on, and what they refuse: arguments, stops, θ, failures, and runs that are resumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.core.ranks import ALONE
from dlarray.parallel import RankError
from tests.parallel.test_equality import MODEL, WEIGHT, N, X, Y, check_equal, train
from tests.support.thread_ranks import on_ranks


@dataclass(frozen=True)
class StopAt(dlarray.Callback):
    step: int

    def on_step(self, run: Any) -> None:
        if run.steps == self.step:
            run.stop(f"rank {run.ranks.rank} at step {self.step}")


@dataclass(frozen=True)
class Raise(dlarray.Callback):
    where: str
    error: type[BaseException] = ZeroDivisionError

    def __post_init__(self) -> None:
        def hook(run: Any) -> None:
            raise self.error("on purpose")

        object.__setattr__(self, self.where, hook)

    def on_step(self, run: Any) -> None:
        pass


def test_a_stop_on_one_rank_stops_all_after_the_same_step():
    found = on_ranks(3, lambda ranks: train(ranks, callbacks=[StopAt(5)] if ranks.rank == 1 else []))
    assert [(len(t.history.steps), t.history.stopped) for t in found] == [(5, "rank 1 at step 5")] * 3


def test_the_reason_is_that_of_the_first_rank_that_stops():
    found = on_ranks(3, lambda ranks: train(ranks, callbacks=[StopAt(3)] if ranks.rank else []))
    assert {t.history.stopped for t in found} == {"rank 1 at step 3"}


def test_a_time_limit_stops_all_ranks():
    found = on_ranks(2, lambda ranks: train(ranks, max_time=1e-9))
    assert [len(t.history.steps) for t in found] == [1, 1]


def test_early_stopping_decides_alike():
    stop = dlarray.EarlyStopping("validation_loss", patience=1)
    options: dict[str, Any] = {"validation": 0.3, "epochs": 40, "optimizer": dlarray.Adam(0.3), "callbacks": [stop]}
    check_equal(on_ranks(3, lambda ranks: train(ranks, **options)), train(**options), 1e-9)


def test_a_rate_that_falls_on_a_plateau_falls_on_all_ranks():
    fall = dlarray.ReduceLROnPlateau("validation_loss", patience=1)
    options: dict[str, Any] = {"validation": 0.3, "epochs": 12, "optimizer": dlarray.Adam(0.3), "callbacks": [fall]}
    check_equal(on_ranks(2, lambda ranks: train(ranks, shard=True, **options)), train(**options), 1e-9)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"seed": 1}, "seed rank 0 has 0, rank 1 has 1"),
        ({"epochs": 2}, "epochs rank 0 has 3, rank 1 has 2"),
        ({"batch_size": 8}, "batch_size rank 0 has 16, rank 1 has 8"),
        ({"optimizer": "momentum"}, "optimizer"),
        ({"model": dlarray.mlp(6, 4, 3)}, "model"),
        ({"x": X[:50], "y": Y[:50]}, "examples rank 0 has 53, rank 1 has 50"),
        ({"x": X + 1}, "digest of some rows"),
        ({"weight": WEIGHT}, "weight"),
        ({"shard": True}, "shard"),
        ({"max_steps": 3}, "max_steps rank 0 has None, rank 1 has 3"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arguments_that_differ_are_named_before_training(own, message):
    found = on_ranks(3, lambda ranks: train(ranks, **(own if ranks.rank == 1 else {})), errors=True)
    for error in found:
        assert isinstance(error, RankError)
        assert str(error).startswith("rank 1 of 3 has other arguments than rank 0: ")
        assert message in str(error)
        assert error.rank == 1


def test_all_ranks_start_from_rank_0s_parameters():
    theta = MODEL.init(0, dtype="float64")
    moved = tuple(v + 1 for v in theta)
    found = on_ranks(2, lambda ranks: train(ranks, theta=moved if ranks.rank else theta))
    check_equal(found, train(theta=theta))


@dataclass(frozen=True)
class Change(dlarray.Callback):
    ranks: tuple[int, ...]

    def on_epoch(self, run: Any) -> None:
        if run.epoch == 1 and run.ranks.rank in self.ranks:
            run.replace(tuple(v * (1 + 1e-15) for v in run.theta))


def test_a_theta_that_differs_is_noticed_in_the_next_epoch():
    for error in on_ranks(3, lambda ranks: train(ranks, callbacks=[Change((2,))]), errors=True):
        assert isinstance(error, RankError)
        assert str(error).startswith("rank 2 of 3 has other parameters than most ranks")
        assert len(error.trained.history.epochs) == 1
    with_rank_0 = on_ranks(3, lambda ranks: train(ranks, callbacks=[Change((0,))]), errors=True)
    assert {error.rank for error in with_rank_0} == {0}


@pytest.mark.parametrize("where", ["on_start", "on_step", "on_epoch"])
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_on_one_rank_ends_all(where, error):
    found = on_ranks(3, lambda r: train(r, callbacks=[Raise(where, error)] if r.rank == 1 else []), errors=True)
    assert isinstance(found[1], error)
    for other in (found[0], found[2]):
        assert isinstance(other, RankError)
        assert str(other) == f"rank 1 of 3 failed: {error.__name__}: on purpose"
        assert isinstance(other.trained, dlarray.Trained)


def test_an_argument_that_is_wrong_on_one_rank_ends_all():
    found = on_ranks(2, lambda ranks: train(ranks, loss="nothing" if ranks.rank else None), errors=True)
    assert isinstance(found[1], ValueError)
    assert str(found[0]).startswith("rank 1 of 2 failed: ValueError: unknown loss 'nothing'")


def test_an_error_on_all_ranks_is_raised_as_without_ranks():
    for error in on_ranks(2, lambda ranks: train(ranks, optimizer=dlarray.GradientDescent(1e300)), errors=True):
        assert isinstance(error, dlarray.DivergedError)
    for error in on_ranks(2, lambda ranks: train(ranks, epochs=0), errors=True):
        assert isinstance(error, ValueError)


@pytest.mark.parametrize("shard", [False, True])
@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 1), (1, 2), (4, 4)])
def test_a_run_is_resumed_on_any_number_of_ranks(tmp_path, before, after, shard):
    def run(size: int, **options: Any) -> list[dlarray.Trained]:
        options |= {"shard": shard, "callbacks": [dlarray.Checkpoint(tmp_path / "run", steps=5)]}
        return on_ranks(size, lambda ranks: train(ranks, **options)) if size > 1 else [train(**options)]

    run(before, max_steps=6)
    check_equal(run(after, resume=tmp_path / "run"), train())


def test_only_rank_0_writes(tmp_path):
    written: list[int] = []

    class Look(dlarray.Callback):
        def on_epoch(self, run: Any) -> None:
            written.extend([run.ranks.rank] if run.writes else [])

    on_ranks(3, lambda ranks: train(ranks, epochs=1, callbacks=[Look()]))
    assert written == [0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"loss": "root_mean_squared_error", "model": dlarray.mlp(6, 2), "y": X[:, :2]},
            "RootMeanSquaredError is no sum",
        ),
        ({"shard": True, "optimizer": "lamb"}, "LAMB needs more than a number's own gradient"),
        ({"shard": True, "optimizer": "muon"}, "Muon needs more"),
        ({"shard": True, "optimizer": dlarray.BFloat16State(dlarray.Adam())}, "BFloat16State needs more"),
        ({"shard": True, "optimizer": dlarray.Clipped(dlarray.Adam(), lambda gs, limit: gs, 1.0)}, "clips by value or"),
        ({"shard": True, "device": "jax", "dtype": "float32"}, "needs θ in one vector"),
        ({"compile": True, "device": "jax", "dtype": "float32"}, "compiles no steps with sums over ranks"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_ranks_cannot_do_is_refused(options, message):
    for error in on_ranks(2, lambda ranks: train(ranks, **options), errors=True):
        assert isinstance(error, ValueError)
        assert message in str(error)


@pytest.mark.parametrize(("given", "kind"), [("slurm", ValueError), (3, TypeError)])
def test_parallel_must_be_a_communicator(given, kind):
    with pytest.raises(kind, match="parallel must be 'mpi'"):
        train(given)


def test_one_rank_alone_changes_nothing():
    assert train(ALONE, shard=True).theta[0].tobytes() == train().theta[0].tobytes()
    x = np.arange(N)
    assert ALONE.bounds(N) == [0, N]
    for same in (ALONE.sum(x), ALONE.scatter_sum(x), ALONE.gather(x, N), ALONE.broadcast(x)):
        assert same is x
    assert ALONE.exchange("a") == ["a"]


def test_without_communication_a_rank_has_its_own_numbers():
    def work(ranks: Any) -> tuple[Any, ...]:
        x = np.arange(7.0) * (ranks.rank + 1)
        with ranks.silent():
            y = x.copy()
            ranks.start_sum(y)()
            return ranks.sum(x), y, ranks.scatter_sum(x), ranks.gather(ranks.piece(x), 7)

    for rank, (total, y, piece, whole) in enumerate(on_ranks(2, work)):
        x, own = np.arange(7.0) * (rank + 1), slice(3 * rank, 3 + 4 * rank)
        assert np.array_equal(total, x)
        assert np.array_equal(y, x)
        assert np.array_equal(piece, x[own])
        assert np.array_equal(whole[own], x[own])
        assert not np.delete(whole, np.arange(7)[own]).any()
