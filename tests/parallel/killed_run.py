"""A program for ranks that are killed: it trains, writes checkpoints, and resumes from the latest one.

    python killed_run.py FOLDER

After each checkpoint it adds its step to FOLDER/written, and at the end the losses are in FOLDER/losses.json.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

import dlarray as dl

EPOCHS, N, BATCH = 8, 96, 8
EVERY = 5
OWN = np.random.default_rng(3)
X = OWN.normal(size=(N, 4))
Y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)


class Slow(dl.Callback):
    """Steps that last long enough to be interrupted."""

    def on_step(self, run: dl.Run) -> None:
        time.sleep(0.003)


class Written(dl.Callback):
    """Note the steps of checkpoints that are written, and of the step from which a run begins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_start(self, run: dl.Run) -> None:
        if run.writes:
            self.note("began", run.steps)

    def on_step(self, run: dl.Run) -> None:
        if run.writes and run.steps % EVERY == 0:
            self.note("written", run.steps)

    def note(self, name: str, steps: int) -> None:
        with (self.folder / name).open("a") as file:
            file.write(f"{steps}\n")


def train(folder: Path | None, **options: object) -> dl.Trained:
    """The run, with checkpoints in a folder if there is one."""
    callbacks: list[dl.Callback] = []
    resume = None
    if folder is not None:
        path = folder / "run.safetensors"
        callbacks = [Slow(), dl.Checkpoint(path, steps=EVERY), Written(folder)]
        resume = path if path.exists() else None
    return dl.fit(
        dl.mlp(4, 8, 2),
        X,
        Y,
        epochs=EPOCHS,
        batch_size=BATCH,
        dtype="float64",
        validation=0.25,
        callbacks=callbacks,
        resume=resume,
        device="cpu",
        compile=False,
        progress=False,
        **options,  # type: ignore[arg-type]
    )


if __name__ == "__main__":
    place = Path(sys.argv[1])
    trained = train(place, parallel="mpi", shard=True)
    from mpi4py import MPI

    if MPI.COMM_WORLD.rank == 0:
        (place / "losses.json").write_text(json.dumps(list(trained.history.steps)))
