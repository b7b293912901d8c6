"""Checkpoints of the networks of a table, from which an interrupted training is resumed."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import ClassVar

import numpy as np

from dlarray.callbacks import Checkpoint
from dlarray.core.check import count
from dlarray.training import Callback, Run, load
from dlarray.training.callback import Memory

__all__ = ["Checkpoints"]

NUMBERED = re.compile(r"(?:fold-(\d+)-)?network-(\d+)\.safetensors")


@dataclass(frozen=True)
class Checkpoints:
    """A folder with a checkpoint of each network, which is written after each epoch. ``resume`` continues from there.

    A network whose training has ended is not trained again. ``fold`` is the fold that the networks belong to, or 0.
    """

    folder: Path
    resume: bool
    fold: int = 0

    @classmethod
    def of(cls, folder: str | PathLike[str] | None, resume: bool) -> Checkpoints | None:
        """Those in a folder, if one is given. Raises ValueError for resume without a folder, and as ``check``."""
        if folder is None:
            if resume:
                raise ValueError("resume needs checkpoints, the folder to resume from")
            return None
        written = cls(Path(folder), resume)
        written.check()
        return written

    def check(self) -> None:
        """Raise ValueError if the folder has checkpoints that are not to be resumed, and OSError if it is a file."""
        if not self.resume and self._files():
            raise ValueError(
                f"{str(self.folder)!r} has the checkpoints of an earlier training: resume it with --resume, in Python "
                f"resume=True, or give another folder"
            )

    def file(self, number: int) -> Path:
        """The checkpoint of network ``number``, counted from 0."""
        fold = f"fold-{self.fold}-" if self.fold else ""
        return self.folder / f"{fold}network-{number + 1}.safetensors"

    def to_resume(self, number: int) -> Path | None:
        """The file from which network ``number`` is resumed; None if it has none."""
        file = self.file(number)
        return file if self.resume and file.is_file() else None

    def callbacks(self, number: int, *data: np.ndarray) -> tuple[Callback, ...]:
        """Those that write the checkpoint of a network that is trained on these arrays. The folder is made for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return _SameData(_digest(data)), Checkpoint(self.file(number))

    @property
    def description(self) -> str:
        """Where the training is resumed, such as "network 3, after 12 epochs"; "" without a checkpoint."""
        if not self.resume or not (files := self._files()):
            return ""
        (fold, number), file = max(files.items())
        epochs = count(len(load(file, "cpu").history.epochs), "epoch")
        return f"{f'fold {fold}, ' if fold else ''}network {number}, after {epochs}"

    def _files(self) -> dict[tuple[int, int], Path]:
        """The checkpoints in the folder by fold and network."""
        if not self.folder.exists():
            return {}
        found = ((NUMBERED.fullmatch(file.name), file) for file in self.folder.iterdir())
        return {(int(match[1] or 0), int(match[2])): file for match, file in found if match is not None}


@dataclass(frozen=True)
class _SameData(Callback):
    """Let a checkpoint have the digest of its data: a run that is resumed must have the same."""

    abstract: ClassVar[bool] = True  # has no default digest, so it has no name
    digest: str

    def check_memory(self, run: Run, memory: Memory) -> None:
        if memory.get("data") != self.digest:
            raise ValueError("it was trained on other rows, or on other values in them")

    def on_start(self, run: Run) -> None:
        run.memory(self)["data"] = self.digest


def _digest(arrays: tuple[np.ndarray, ...]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.shape} {array.dtype} ".encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
