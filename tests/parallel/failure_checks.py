"""Failures of one rank: its own error there, and on the others an error that names it. None waits for ever."""

from __future__ import annotations

import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray import layers
from dlarray.core.ranks import RankError
from tests.parallel.option_checks import INPUTS, MLP, NUMBERS, N, T, X, Y, shared_folder, train


class Broken(Exception):
    """Raised on purpose."""


def fails_on_each_rank(comm: Any, of_rank: Callable[[Any, int], Any], error: type[Exception] = Broken) -> None:
    """On each rank once: ``of_rank(comm, rank)`` fails there with this error, and with a RankError on the others."""
    for rank in range(comm.size):
        own = comm.Dup()  # a communicator cannot be used again after a failure
        with pytest.raises(error if comm.rank == rank else RankError) as caught:
            of_rank(own, rank)
        assert len(caught.value.trained.history.epochs) <= 3  # type: ignore[attr-defined]
        if comm.rank != rank:
            assert caught.value.rank == rank  # type: ignore[attr-defined]
            assert str(caught.value).startswith(f"rank {rank} of {comm.size} failed: {error.__name__}: ")
        comm.barrier()


class Raises(dl.Callback):
    """Raises on one rank, in the hook of this name."""

    def __init__(self, hook: str, here: bool) -> None:
        def raising(run: dl.Run) -> None:
            if here and (hook != "on_step" or run.steps == 3):
                raise Broken(hook)

        setattr(self, hook, raising)

    def on_start(self, run: dl.Run) -> None:
        pass

    def on_step(self, run: dl.Run) -> None:
        pass


def check_callback(comm: Any) -> None:
    for hook in ("on_start", "on_step", "on_epoch"):
        fails_on_each_rank(
            comm, lambda own, rank, h=hook: train(callbacks=[Raises(h, comm.rank == rank)], parallel=own)
        )


def check_iterable(comm: Any) -> None:
    def batches(rank: int) -> Iterator[Any]:
        for i in range(0, N, 8):
            if i == 24 and comm.rank == rank:
                raise Broken("the iterable")
            yield X[i : i + 8], Y[i : i + 8]

    fails_on_each_rank(comm, lambda own, rank: train(x=lambda: batches(rank), y=None, model=MLP, parallel=own))


def check_layer(comm: Any) -> None:
    calls = [0]

    def of_rank(own: Any, rank: int) -> None:
        calls[0] = 0

        class Failing(dl.Activation):
            abstract = True

            def forward(self, z: Any) -> Any:
                calls[0] += 1
                if comm.rank == rank and calls[0] == 3:
                    raise Broken("a layer")
                return z, z

            def backward(self, z: Any, da: Any) -> Any:
                return da + 0

        model = dl.MLP(INPUTS, [layers.Dense(4), Failing(), layers.Dense(3)])
        train(model=model, parallel=own)

    fails_on_each_rank(comm, of_rank)


def check_metric(comm: Any) -> None:
    def of_rank(own: Any, rank: int) -> None:
        def metric(t: Any, p: Any) -> Any:
            if comm.rank == rank:
                raise Broken("a metric")
            return np.asarray(1.0)

        train(metrics=[metric], parallel=own)

    fails_on_each_rank(comm, of_rank)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow over a few bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def check_full_disk(comm: Any) -> None:
    """Rank 0 cannot write the checkpoint of the second epoch: all ranks end, and that of the first remains."""
    with shared_folder(comm) as folder:
        path = folder / "run.safetensors"
        own = comm.Dup()

        class FillsDisk(dl.Callback):
            def on_epoch(self, run: dl.Run) -> None:
                if run.epoch == 2 and run.writes:
                    run.memory(self)["_disk"] = disk = full_disk()
                    disk.__enter__()

            def on_end(self, run: dl.Run) -> None:
                if (disk := run.memory(self).get("_disk")) is not None:
                    disk.__exit__(None, None, None)

        with pytest.raises(OSError if comm.rank == 0 else RankError) as caught:
            train(epochs=4, callbacks=[FillsDisk(), dl.Checkpoint(path)], parallel=own)
        if comm.rank == 0:
            assert caught.value.filename == str(path)  # type: ignore[attr-defined]
        else:
            assert str(caught.value).startswith(f"rank 0 of {comm.size} failed: OSError: ")
        comm.barrier()
        assert len(dl.load(path, "cpu").history.epochs) == 1


def refused(comm: Any, words: str, **options: Any) -> None:
    """All ranks raise a RankError with these words, and before the first step."""
    own = comm.Dup()
    with pytest.raises(RankError, match=re.escape(words)):
        train(parallel=own, **options)
    comm.barrier()


def check_other_arguments(comm: Any) -> None:
    last = comm.rank == comm.size - 1
    name = f"rank {comm.size - 1} has"
    refused(comm, "seed", seed=5 if last else 6)
    refused(comm, name, batch_size=4 if last else 8)
    refused(comm, name, optimizer="sgd" if last else "adam")
    refused(comm, name, optimizer=dl.Adam(0.1 if last else 0.2))
    refused(comm, name, epochs=3 if last else 4)
    refused(comm, name, max_steps=3 if last else 4)
    refused(comm, name, shuffle=last)
    refused(comm, name, accumulate=2 if last else 1, model=MLP)
    refused(comm, name, shard=last)
    refused(comm, name, clip_norm=1.0 if last else None)
    refused(comm, name, metrics=["accuracy"] if last else ["accuracy", "f1"])
    refused(comm, name, validation=0.3 if last else 0.2)
    refused(comm, name, class_weight="balanced" if last else None)
    refused(comm, name, model=dl.mlp(INPUTS, 4 if last else 5, 3))
    refused(comm, name, dtype="float32" if last else "float64")
    refused(comm, name, loss=dl.SparseCategoricalCrossEntropy(label_smoothing=0.1 if last else 0.0))


def check_other_data(comm: Any) -> None:
    last = comm.rank == comm.size - 1
    name = f"rank {comm.size - 1}"
    refused(comm, name, x=X[:-1] if last else X, y=Y[:-1] if last else Y)
    refused(comm, name, x=X + (1e-9 if last else 0))
    refused(comm, name, y=np.roll(Y, 1) if last else Y)
    refused(comm, name, weight=np.where(np.arange(N) == 0, 2.0 if last else 1.0, 1.0))


def check_other_batches(comm: Any) -> None:
    """An iterable with other batches on a rank is found, in place of ranks that wait for ever or train on less."""
    last = comm.size - 1
    name = f"rank {last} of {comm.size} has other batches than rank 0: batch"

    def refused_batches(words: str, x: Any, width: int = 4) -> None:
        refused(comm, f"{name} {words}", x=x, y=None, model=dl.mlp(INPUTS, width, 3))

    def cut(first: int, end: int, size: int) -> list[Any]:
        return [(X[i : i + size], Y[i : i + size]) for i in range(first, end, size)]

    for width in (4, 300):  # small and large messages
        refused_batches("3 of epoch 1 is missing", cut(0, 16 if comm.rank == last else 32, 8), width)
    refused_batches("1 of epoch 1 is x (4, 6), y (4,)", cut(0, 16, 4 if comm.rank == last else 8))
    refused_batches("1 of epoch 1 is x (8, 6), y (8,)", cut(8 if comm.rank == last else 0, 32, 8))
    weights = np.ones(8), np.arange(1.0, 9.0)
    refused_batches("1 of epoch 1", [(X[:8], Y[:8], weights[int(comm.rank == last)])])
    refused_batches("1 of epoch 1", [(X[:8], Y[:8], weights[1])[: 2 + (comm.rank == last)]])


def check_state_read_on_one_rank(comm: Any) -> None:
    """What all ranks must do together, done by one alone, is an error with that reason."""

    class Reads(dl.Callback):
        def on_epoch(self, run: dl.Run) -> None:
            if run.ranks.rank == 0:
                assert run.optimizer_state

    own = comm.Dup()
    with pytest.raises(RuntimeError, match="is at another place of the program"):
        train(model=MLP, optimizer="adam", shard=True, callbacks=[Reads()], parallel=own)
    comm.barrier()


def check_same_error_on_all_ranks(comm: Any) -> None:
    """What is wrong on every rank is raised as without ranks."""
    for options, error in (({"epochs": 0}, ValueError), ({"x": X[:, :2]}, ValueError), ({"theta": 1.0}, Exception)):
        with pytest.raises(error) as alone:
            train(**options)
        with pytest.raises(type(alone.value), match=re.escape(str(alone.value))):
            train(parallel=comm, **options)


def check_process_that_was_left_out(comm: Any) -> None:
    """``Split`` gives COMM_NULL to those without a color."""
    from mpi4py import MPI

    part = comm.Split(0 if comm.rank == 0 else MPI.UNDEFINED)
    if comm.rank == 0:
        train(parallel=part)
    else:
        with pytest.raises(ValueError, match="no part of the communicator and must not call fit"):
            train(parallel=part)


def check_divergence(comm: Any) -> None:
    """A loss that becomes infinite is a DivergedError on every rank, with the step of one rank."""
    options = {"optimizer": dl.GradientDescent(1e80), "model": NUMBERS, "y": T, "epochs": 9}
    with pytest.raises(dl.DivergedError) as alone:
        train(**options)
    with pytest.raises(dl.DivergedError) as together:
        train(**options, parallel=comm)
    assert together.value.step == alone.value.step


def check_other_theta(comm: Any) -> None:
    """A callback that changes θ on one rank is found at the end of the epoch."""

    class Changes(dl.Callback):
        def on_step(self, run: dl.Run) -> None:
            if comm.rank == comm.size - 1 and run.steps == 2:
                run.replace(tuple(v * 1.5 for v in run.state["theta"]))

    refused(comm, f"rank {comm.size - 1}" if comm.size > 2 else "rank", callbacks=[Changes()])


def check_optimizers_that_cannot_be_spread(comm: Any) -> None:
    """Refused by name, on all ranks alike."""
    for options, words in (
        ({"optimizer": "lamb", "shard": True}, "LAMB"),
        ({"optimizer": "muon", "shard": True}, "Muon"),
        ({"model": dl.mlp(INPUTS, 4, 2), "y": np.sin(X[:, :2]), "loss": "rmse"}, "additive"),
    ):
        with pytest.raises(ValueError, match=words):
            train(parallel=comm, **options)
