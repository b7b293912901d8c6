"""Training checkpoints: files from which a run can be resumed."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import ClassVar

from dlarray.callbacks.monitor import check_monitor, direction, is_better
from dlarray.callbacks.pattern import COUNTERS, Pattern
from dlarray.core.check import at_least_one, did_you_mean, plain_numbers, real, whole
from dlarray.core.files import sweep
from dlarray.training.callback import Callback, Memory, Run
from dlarray.training.json_data import entries, items
from dlarray.training.write_run import write_run

__all__ = ["Checkpoint"]


@dataclass(frozen=True)
class Checkpoint(Callback):
    """Write the run to ``path`` after every ``epochs`` epochs or ``steps`` steps, and at the end.

    ``fit(…, resume=path)`` resumes the run, and ``dlarray.load`` reads the file as a model. The name can contain
    {epoch}, {step} and the metrics of the epoch, with formats as in ``str.format``:
    "run-{epoch:02d}-{validation_loss:.3f}.safetensors". A file is replaced completely or not at all. Without ``epochs``
    and ``steps`` every epoch is written. After an error nothing more is written.

    With ``keep`` only that many of the latest files remain. Only files of this run, or of a run that it resumed with
    the same path, are deleted. If a resumed run has another folder or name, the old files remain.

    With ``best``, the name of a metric, only epochs that are better than all before are written. ``mode`` is "min" or
    "max"; it is needed only if the name does not show which is better.

    With several ranks (``fit(parallel=…)``) rank 0 writes the whole state, which any number of ranks can resume.

    In an estimator the file holds only the model, for ``dlarray.load``; nothing can be resumed from it. List this
    callback after others, so that their memories in the file belong to the same step. Raises ValueError for epochs,
    steps or keep below 1, for keep with a path without {epoch} and {step}, and for steps together with best or with a
    metric in the name; at the start of training for a metric that is not measured or has another format; and
    FileNotFoundError for a missing folder.
    """

    abstract: ClassVar[bool] = True  # has no default path, so it has no name
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
        names = self._names
        if self.keep is not None and not set(names.fields) & set(COUNTERS):
            raise ValueError(
                f"keep={self.keep} needs files of different names: a path with {{epoch}} or {{step}} in it"
            )
        if self.best is not None and self.steps is not None:
            raise ValueError("best is a metric of the epochs: give epochs, or steps without best")
        if self.steps is not None and names.metrics:
            raise ValueError(f"{{{names.metrics[0]}}} is a metric of the epochs: give epochs, or a path without it")

    def check_memory(self, run: Run, memory: Memory) -> None:
        whole("written", memory.get("written", 0))
        if "best" in memory:
            real("best", memory["best"])
        for numbers in items("files", memory.get("files", [])) if self._is_own(memory) else ():
            self._names.check_numbers(entries("files", numbers))

    def on_start(self, run: Run) -> None:
        if run.writes and not (folder := self._names.folder).is_dir():
            raise FileNotFoundError(f"there is no folder {str(folder)!r} to write checkpoints to")
        self._names.check(run.names)
        if run.writes:
            sweep(self._names.folder)
        if self.best is not None:
            if self.best not in run.names:
                hint = did_you_mean(self.best, run.names)
                raise ValueError(f"Checkpoint monitors {self.best!r}{hint}; measured are {', '.join(run.names)}")
            direction(self.best, self.mode)

    def on_step(self, run: Run) -> None:
        if self.steps is not None and run.steps % self.steps == 0:
            self._write(run)

    def on_epoch(self, run: Run) -> None:
        if self.steps is None and run.epoch % (self.epochs or 1) == 0 and self._is_due(run):
            self._write(run)

    def on_end(self, run: Run) -> None:
        if run.error is not None:
            return
        if (self.best is None or run.epoch_incomplete) and self._is_due(run):
            self._write(run)

    def _is_due(self, run: Run) -> bool:
        """Whether this step is not written yet; with ``best``, whether its metric is better than all before."""
        mine = run.memory(self)
        if self.best is None:
            return not self._is_own(mine) or mine.get("written") != run.steps
        value = run.metrics[self.best]
        if found := is_better(value, mine.get("best"), direction(self.best, self.mode)):
            mine["best"] = value
        return found

    def _write(self, run: Run) -> None:
        names, mine = self._names, run.memory(self)
        numbers = names.numbers(run.epoch, run.steps, run.metrics)
        path = names.path(numbers)
        before: list[dict[str, float]] = mine.get("files", []) if self._is_own(mine) else []
        files = [earlier for earlier in before if names.path(earlier) != path] + [numbers] if self.keep else []
        going = files[: -self.keep] if self.keep else []
        mine |= {"written": run.steps, "pattern": names.digest, "files": files}
        _save(
            path, run
        )  # it still lists the files deleted below: if the program ends before, a resumed run deletes them
        for earlier in going if run.writes else ():
            _remove(names.path(earlier))
        mine["files"] = files[len(going) :]

    def _is_own(self, memory: Memory) -> bool:
        """Whether the memory belongs to this path: a resumed run can have another one."""
        return memory.get("pattern") == self._names.digest

    @property
    def _names(self) -> Pattern:
        return Pattern(self.path)


def _save(path: Path, run: Run) -> None:
    if run.resumable:
        write_run(path, run)  # on every rank: the state of the optimizer may be spread over them
    elif run.writes:
        run.trained.save(path)


def _remove(path: Path) -> None:
    if path.is_file() and not path.is_symlink():
        path.unlink(missing_ok=True)
