"""Checks of NCCL between processes: MPI exchanges NCCL's unique id, and each rank has the GPU of its number."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from typing import Any

import numpy as np

from tests import cuda_on_cpu as emulator

if not emulator.installed():
    emulator.install()

import dlarray  # what is imported first decides whether CuPy's GPUs are emulated
from dlarray.core.ranks import RankError

X = np.random.default_rng(1).normal(size=(41, 5))
T = np.abs(X[:, :3]).argmax(1)
OPTIONS: dict[str, Any] = {"epochs": 2, "batch_size": 12, "seed": 3, "dtype": "float64", "progress": False}


def model() -> dlarray.MLP:
    return dlarray.MLP(
        5, [dlarray.Dense(7), dlarray.BatchNorm(), dlarray.Tanh(), dlarray.Dropout(0.2), dlarray.Dense(3)]
    )


def check_ranks_train_as_one(comm: Any) -> list[float]:
    trained = dlarray.fit(model(), X, T, device="cuda", parallel=comm, **OPTIONS)
    assert dlarray.device_of(trained.theta[0]).name == ("cuda", "cuda:1")[comm.rank]
    alone = dlarray.fit(model(), X, T, device="cuda", **OPTIONS)
    found, expected = trained.history["loss"], alone.history["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    return [float(x) for x in found]


def check_shards(comm: Any) -> list[float]:
    options: dict[str, Any] = OPTIONS | {"optimizer": "adam"}
    layers = [dlarray.Dense(7), dlarray.ReLU(), dlarray.Dense(3)]
    trained = dlarray.fit(dlarray.MLP(5, layers), X, T, device="cuda", parallel=comm, shard=True, **options)
    alone = dlarray.fit(dlarray.MLP(5, layers), X, T, device="cuda", **options)
    np.testing.assert_allclose(trained.history["loss"], alone.history["loss"], rtol=1e-12)
    return [float(x) for x in trained.history["loss"]]


class Fails(dlarray.Callback):
    """On one rank alone."""

    def on_epoch(self, run: Any) -> None:
        if run.ranks.rank == 1:
            raise ValueError("on purpose")


def check_an_error_on_one_rank_ends_all(comm: Any) -> str:
    try:
        dlarray.fit(model(), X, T, device="cuda", parallel=comm, callbacks=[Fails()], **OPTIONS)
    except (RankError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("no error")


def check_one_gpu_for_two_ranks(comm: Any) -> str:
    with redirect_stderr(io.StringIO()):
        try:
            dlarray.fit(model(), X, T, device="cuda:0", parallel=comm, **OPTIONS)
        except ValueError as error:
            return str(error)
    raise AssertionError("no error")
