"""Metrics for TensorBoard. Needs tensorboardX: ``pip install "dlarray[tensorboard]"``."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, ClassVar

from dlarray.core.check import at_least_one
from dlarray.training.callback import Callback, Run

__all__ = ["TensorBoard"]


@dataclass(frozen=True)
class TensorBoard(Callback):
    """Write the metrics of each epoch and the learning rate to a folder that TensorBoard shows.

    With ``steps``, also the loss of every ``steps``-th step, as "step_loss"; reading it waits for the device. The files
    are written by tensorboardX, which needs no TensorFlow. Raises ImportError with the remedy before the first step if
    it is missing; ValueError for steps below 1.
    """

    abstract: ClassVar[bool] = True  # has no default folder, so it has no name
    folder: str | PathLike[str]
    steps: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        os.fspath(self.folder)
        if self.steps is not None:
            at_least_one("steps", self.steps)

    def on_start(self, run: Run) -> None:
        if run.writes:
            run.memory(self)["_writer"] = _writer(os.fspath(self.folder), run.steps)

    def on_step(self, run: Run) -> None:
        if self.steps is not None and run.writes and run.steps % self.steps == 0:
            run.memory(self)["_writer"].add_scalar("step_loss", run.latest_loss, run.steps)

    def on_epoch(self, run: Run) -> None:
        if not run.writes:
            return
        writer = run.memory(self)["_writer"]
        for name, value in {**run.metrics, "learning_rate": run.rate}.items():
            writer.add_scalar(name, value, run.steps)
        writer.flush()

    def on_end(self, run: Run) -> None:
        if (writer := run.memory(self).get("_writer")) is not None:
            writer.close()


def _writer(folder: str, done: int) -> Any:
    """A writer of events. In a resumed run, events after its checkpoint are hidden."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ImportError(
            'TensorBoard\'s events are written by tensorboardX: pip install "dlarray[tensorboard]"'
        ) from error
    return SummaryWriter(folder, purge_step=done + 1 if done else None)
