"""Training checkpoints on the way: files that a run can be resumed from."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import ClassVar

from dlarray.callbacks.monitor import better, check_monitor, direction
from dlarray.check import at_least_one, did_you_mean, plain_numbers
from dlarray.training.callback import Callback, Walk
from dlarray.training.resume import write_walk

__all__ = ["Checkpoint"]


@dataclass(frozen=True)
class Checkpoint(Callback):
    """Write the walk to ``path`` every so many epochs or steps, and at its end; ``fit(…, resume=path)`` goes on there.

    ``path`` may contain {epoch} and {step}, "run-{epoch}.safetensors"; ``keep`` is then how many files stay, the latest
    ones. With ``best``, the name of a figure, only epochs are written that are better than all before (``mode`` says
    what is better where the name does not tell). Each file replaces the one before whole or not at all, and
    ``dlarray.load`` reads it as a model. Without ``epochs`` and ``steps`` every epoch is written. Where a walk ends
    with an error, nothing more is.

    List it after the callbacks whose memory it is to hold as it is after the same step. Raises ValueError where
    epochs, steps or keep is below 1, where keep is given for a path without a place for a number, and for best beside
    steps; at the start of a walk for a figure that is not measured; FileNotFoundError there for a missing folder.
    """

    abstract: ClassVar[bool] = True  # has no default path, so no name of its own
    path: str | PathLike[str]
    epochs: int | None = field(default=None, kw_only=True)
    steps: int | None = field(default=None, kw_only=True)
    keep: int | None = field(default=None, kw_only=True)
    best: str | None = field(default=None, kw_only=True)
    mode: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        plain_numbers(self)
        for name in ("epochs", "steps", "keep"):
            if (number := getattr(self, name)) is not None:
                at_least_one(name, number)
        check_monitor(self.best, self.mode)
        if self.keep is not None and self._at(1, 1) == self._at(2, 2):
            raise ValueError(
                f"keep={self.keep} needs files of different names: a path with {{epoch}} or {{step}} in it"
            )
        if self.best is not None and self.steps is not None:
            raise ValueError("best is a figure of the epochs: give epochs, or steps without best")

    def on_start(self, walk: Walk) -> None:
        if not (folder := self._at(1, 1).parent).is_dir():
            raise FileNotFoundError(f"there is no folder {str(folder)!r} to write checkpoints to")
        if self.best is not None:
            if self.best not in walk.names:
                hint = did_you_mean(self.best, walk.names)
                raise ValueError(f"Checkpoint watches {self.best!r}{hint}; measured are {', '.join(walk.names)}")
            direction(self.best, self.mode)

    def on_step(self, walk: Walk) -> None:
        if self.steps is not None and walk.steps % self.steps == 0:
            self._write(walk)

    def on_epoch(self, walk: Walk) -> None:
        if self.steps is None and walk.epoch % (self.epochs or 1) == 0:
            mine = walk.memory(self)
            if self.best is not None:
                value = walk.figures[self.best]
                if not better(value, mine.get("best"), direction(self.best, self.mode)):
                    return
                mine["best"] = value
            self._write(walk)

    def on_end(self, walk: Walk) -> None:
        if walk.error is None and self.best is None and walk.memory(self).get("written") != walk.steps:
            self._write(walk)

    def _write(self, walk: Walk) -> None:
        mine = walk.memory(self)
        path = self._at(walk.epoch, walk.steps)
        files: list[str] = [name for name in mine.get("files", []) if name != str(path)] + [str(path)]
        old = files[: -self.keep] if self.keep else []
        mine |= {"written": walk.steps, "files": files[len(old) :] if self.keep else []}
        write_walk(path, walk)
        for name in old:
            with suppress(FileNotFoundError):
                os.unlink(name)

    def _at(self, epoch: int, step: int) -> Path:
        return Path(os.fspath(self.path).replace("{epoch}", f"{epoch}").replace("{step}", f"{step}"))
