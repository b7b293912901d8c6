"""Every option of ``fit`` on ranks: losses and metrics are those of one rank, which trains beside the others.

The library and the dtype come from the variables RANKS_DEVICE and RANKS_DTYPE.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray import layers
from dlarray.parallel import MPIRanks
from tests.support.short_run import ROUNDING

DEVICE, DTYPE = os.environ.get("RANKS_DEVICE", "cpu"), os.environ.get("RANKS_DTYPE", "float64")
N, INPUTS, CLASSES = 38, 6, 3
OWN = np.random.default_rng(5)
X = OWN.normal(size=(N, INPUTS))
Y = (X[:, :CLASSES] + 0.5 * OWN.normal(size=(N, CLASSES))).argmax(axis=1)
T = np.sin(X[:, :2]) + X[:, 2:4]
W = OWN.uniform(0.1, 3, size=N)
MLP = dl.mlp(INPUTS, 8, CLASSES, activation="tanh")
DEEP = dl.MLP(
    INPUTS,
    [
        layers.Dense(12),
        layers.BatchNorm(),
        dl.ReLU(),
        layers.Dropout(0.3),
        layers.Dense(8),
        dl.GELU(),
        layers.Dense(CLASSES),
    ],
)
NUMBERS = dl.mlp(INPUTS, 8, 2)
BASE: dict[str, Any] = {"epochs": 2, "batch_size": 8, "seed": 1, "progress": False, "compile": False}
BASE["optimizer"] = "nesterov"  # Adam divides what is only rounding, the gradient of a bias before BatchNorm, by 1e-8
Case = dict[str, Any]


def train(**options: Any) -> dl.Trained:
    """One run; "model", "x" and "y" may be among the options."""
    given = BASE | {"device": DEVICE, "dtype": DTYPE} | options
    model, x, y = given.pop("model", DEEP), given.pop("x", X), given.pop("y", Y)
    return dl.fit(model, x, *(() if y is None else (y,)), **given)


def same_on_ranks(comm: Any, cases: list[Case], rounding: float | None = None) -> list[float]:
    """The losses and metrics of these runs on all ranks and on one are equal to rounding. Returns the last losses."""
    found: list[float] = []
    for case in cases:
        alone, together = train(**case), train(**{"parallel": comm} | case)
        compare(alone, together, rounding or ROUNDING[DTYPE], case)
        assert comm.allgather(together.history.steps[-1]) == [together.history.steps[-1]] * comm.size
        found.append(together.history["loss"][-1])
    return found


def compare(alone: dl.Trained, together: dl.Trained, rounding: float, case: Any = "") -> None:
    """AssertionError unless both runs have the same losses, metrics and end."""
    a, b = alone.history, together.history
    assert (a.names, len(a.steps), len(a.epochs), a.stopped) == (b.names, len(b.steps), len(b.epochs), b.stopped), case
    for name, own, others in [("steps", a.steps, b.steps), *((name, a[name], b[name]) for name in a.names)]:
        expected, actual = np.asarray(own), np.asarray(others)
        error = np.max(np.abs(actual - expected) / np.maximum(np.abs(expected), 1))
        assert error <= rounding, f"{case}: {name} differ by {error:.2g}"
    p, q = alone.predict(X), together.predict(X)
    assert np.max(np.abs(p - q)) <= 1e3 * rounding, case


def batches_with_weights() -> Any:
    """Batches of different sizes, one of which is smaller than the number of ranks."""
    for i, j in ((0, 9), (9, 16), (16, 18), (18, N)):
        yield X[i:j], Y[i:j], W[i:j]


class StopsAt(dl.Callback):
    """Stops the run after some steps, on one rank alone."""

    def __init__(self, steps: int, here: bool) -> None:
        self.steps, self.here = steps, here

    def on_step(self, run: dl.Run) -> None:
        if self.here and run.steps == self.steps:
            run.stop("a callback of one rank")


START = train(epochs=1, model=DEEP)

OPTIONS: dict[str, list[Case]] = {
    "model": [{}, {"model": MLP}, {"model": NUMBERS, "y": T}],
    "x": [{"x": X[:3], "y": Y[:3], "batch_size": 3, "model": MLP}, {"x": X[:9], "y": Y[:9], "batch_size": 9}],
    "y": [{"model": dl.mlp(INPUTS, 4, 1), "y": (Y == 1).astype(np.int64)}, {"y": np.asarray(list("abc"))[Y]}],
    "loss": [
        {"model": NUMBERS, "y": T, "loss": "mae"},
        {"loss": dl.SparseCategoricalCrossEntropy(label_smoothing=0.1)},
        {"model": NUMBERS, "y": T, "loss": dl.MeanSquaredError(reduction="sum"), "optimizer": dl.GradientDescent(1e-3)},
    ],
    "optimizer": [
        {"optimizer": name, "model": MLP} for name in ("sgd", "adam", "rmsprop", "adamw", "lamb", "lion", "muon")
    ],
    "epochs": [{"epochs": 4}],
    "max_steps": [{"max_steps": 7}],
    "max_time": [{"max_time": 1e9}],
    "steps_per_epoch": [{"x": batches_with_weights, "y": None, "steps_per_epoch": 3, "model": MLP}],
    "steps_per_execution": [{"steps_per_execution": 4}],
    "batch_size": [{"batch_size": n, "model": MLP} for n in (None, 1, 5)] + [{"batch_size": 12}],
    "shuffle": [{"shuffle": False}],
    "weight": [{"weight": W}, {"weight": np.where(np.arange(N) < 9, 0.0, W), "shuffle": False, "batch_size": 9}],
    "class_weight": [{"class_weight": "balanced"}, {"class_weight": {1: 3.0}, "weight": W}],
    "validation": [{"validation": 0.3}, {"validation": (X[:7], Y[:7]), "metrics": ["accuracy"]}],
    "metrics": [{"metrics": ["accuracy", "log_loss"]}, {"metrics": [], "validation": 0.2}],
    "accumulate": [{"accumulate": 2, "model": MLP}, {"accumulate": 3, "model": MLP, "weight": W, "clip_norm": 0.1}],
    "clip_norm": [{"clip_norm": 0.05}],
    "clip_value": [{"clip_value": 0.01}],
    "callbacks": [
        {"callbacks": ["ema"]},
        {"callbacks": ["swa"], "epochs": 4},
        {"callbacks": [dl.EarlyStopping(patience=1, min_delta=0.02)], "validation": 0.3, "epochs": 12},
        {"callbacks": [dl.ReduceLROnPlateau(patience=1, min_delta=10)], "epochs": 5},
        {"callbacks": ["stop_on_non_finite"]},
    ],
    "seed": [{"seed": 7}],
    "data": [{"data": "host"}],
    "theta": [{"theta": START.theta}],
    "buffers": [{"theta": START.theta, "buffers": START.buffers}],
    "device": [{"device": None}],
    "dtype": [{"dtype": "float64"}],
    "compile": [{"compile": True, "clip_norm": 0.1}, {"compile": lambda step: step}],
    "shard": [
        {"shard": True},
        {"shard": True, "optimizer": "adamw", "clip_norm": 0.05, "weight": W, "model": MLP},
        {"shard": True, "accumulate": 2, "model": MLP},
        {"shard": True, "compile": True},
    ],
}
"""By the name of the option: runs that must be the same on ranks. Options that need more have a function below."""


def check_resume(comm: Any) -> None:
    """What several ranks have written one continues, and the other way round, also in the middle of an epoch."""
    with shared_folder(comm) as folder:
        for shard, steps in ((False, 5), (True, 13)):
            files = {name: folder / f"{name}{shard}.safetensors" for name in ("alone", "together")}
            part = {"max_steps": steps, "epochs": 4, "model": MLP, "optimizer": "adam"}
            if comm.rank == 0:
                train(**part, callbacks=[dl.Checkpoint(files["alone"])])
            train(**part, callbacks=[dl.Checkpoint(files["together"])], parallel=comm, shard=shard)
            comm.barrier()
            rest = part | {"max_steps": None}
            whole = train(**rest)
            compare(whole, train(**rest, resume=files["alone"], parallel=comm, shard=shard), ROUNDING[DTYPE])
            compare(whole, train(**rest, resume=files["together"]), ROUNDING[DTYPE])
            compare(whole, train(**rest, resume=files["together"], parallel=comm), ROUNDING[DTYPE])


def check_progress(comm: Any) -> None:
    """Rank 0 alone draws a bar."""
    with redirect_stderr(io.StringIO()) as drawn:
        train(epochs=1, progress=True, parallel=comm)
    assert ("epoch 1/1" in drawn.getvalue()) == (comm.rank == 0), drawn.getvalue()


def check_parallel(comm: Any) -> None:
    """A communicator, ranks, and the word; of a part of the processes too."""
    whole = train()
    for parallel in (comm, "mpi", MPIRanks(comm)):
        compare(whole, train(parallel=parallel), ROUNDING[DTYPE])
    half = comm.Split(comm.rank % 2)
    compare(whole, train(parallel=half), ROUNDING[DTYPE])
    half.Free()


def check_precision(comm: Any) -> None:
    """Products of bfloat16 round differently for other rows; where there are none the option is refused as alone."""
    options = {"precision": "bfloat16", "dtype": "float32", "model": MLP}
    try:
        alone = train(**options)
    except (ValueError, TypeError, dl.DeviceError) as error:
        with pytest.raises(type(error), match=re.escape(str(error))):
            train(**options, parallel=comm)
        return
    compare(alone, train(**options, parallel=comm), ROUNDING["bfloat16"])


def check_callback_of_one_rank(comm: Any) -> None:
    """A callback that one rank alone has stops all ranks after the same step."""
    for rank in {0, comm.size - 1}:
        trained = train(epochs=9, callbacks=[StopsAt(7, comm.rank == rank)], parallel=comm)
        assert (len(trained.history.steps), trained.history.stopped) == (7, "a callback of one rank")
    trained = train(epochs=9, callbacks=[StopsAt(7, True)] if comm.rank == 0 else [], parallel=comm)
    assert len(trained.history.steps) == 7


def check_time_limit(comm: Any) -> None:
    trained = train(max_time=1e-9, parallel=comm)
    assert trained.history.stopped == "time limit: 1e-09 seconds have passed"
    assert comm.allgather(len(trained.history.steps)) == [1] * comm.size


class shared_folder:
    """A folder of all ranks, which rank 0 makes and removes."""

    def __init__(self, comm: Any) -> None:
        self.comm = comm

    def __enter__(self) -> Path:
        self.made = tempfile.TemporaryDirectory() if self.comm.rank == 0 else None
        return Path(self.comm.bcast(None if self.made is None else self.made.name))

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self.comm.barrier()
        if self.made is not None:
            self.made.cleanup()


def check_files(comm: Any) -> None:
    """Callbacks that write do so on rank 0 alone, even if the other ranks could not."""
    with shared_folder(comm) as folder:
        own = folder if comm.rank == 0 else folder / "missing"
        callbacks = [
            dl.CSVLog(own / "log.csv"),
            dl.JSONLinesLog(own / "log.jsonl"),
            dl.Checkpoint(own / "run-{epoch}.safetensors", keep=1),
            *([dl.TensorBoard(own / "events", steps=1)] if comm.size == 2 and find_spec("tensorboardX") else []),
        ]
        trained = train(callbacks=callbacks, parallel=comm, shard=True)
        comm.barrier()
        names = {path.name for path in folder.iterdir()}
        assert names - {"events"} == {"log.csv", "log.jsonl", "run-2.safetensors"}
        lines = (folder / "log.csv").read_text().splitlines()
        assert len(lines) == 3
        assert float(lines[2].split(",")[4]) == trained.history["loss"][-1]


def check_warnings(comm: Any) -> None:
    """A warning of the arguments is given on every rank, as an error would be; the command line shows rank 0's."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        train(batch_size=1000, epochs=1, parallel=comm)
    assert len(given) == 1


CHECKS: dict[str, Callable[[Any], Any]] = {name: partial(same_on_ranks, cases=cases) for name, cases in OPTIONS.items()}
globals().update({f"check_{name}": check for name, check in CHECKS.items()})
