"""The figures of each epoch in a file, as they come."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from os import PathLike
from pathlib import Path
from typing import ClassVar

from dlarray.training.callback import Callback, Walk

__all__ = ["CSVLog", "JSONLinesLog"]


@dataclass(frozen=True)
class _Log(Callback):
    """A line for each epoch in a text file: epoch, step, seconds, learning rate, and the epoch's figures."""

    abstract: ClassVar[bool] = True
    path: str | PathLike[str]

    def __post_init__(self) -> None:
        os.fspath(self.path)  # TypeError for what is no path

    def on_start(self, walk: Walk) -> None:
        """A new file; a run that is resumed keeps the lines of the epochs that are done."""
        lines: list[str] = []
        if walk.epoch and Path(self.path).exists():
            text = Path(self.path).read_text(encoding="utf-8")
            lines = [line for line in text.splitlines() if 1 <= self.epoch_of(line) <= walk.epoch]
        Path(self.path).write_text("".join(f"{line}\n" for line in [*self.head(walk), *lines]), encoding="utf-8")

    def on_epoch(self, walk: Walk) -> None:
        row = {"epoch": walk.epoch, "step": walk.steps, "seconds": round(walk.seconds, 3), "rate": walk.rate}
        with Path(self.path).open("a", encoding="utf-8") as file:
            file.write(self.line(row | walk.figures) + "\n")

    def head(self, walk: Walk) -> Iterable[str]:
        """What stands above the lines."""
        return ()

    def line(self, row: dict[str, float]) -> str:
        """An epoch's figures as a line."""
        raise NotImplementedError

    def epoch_of(self, line: str) -> int:
        """The epoch of a line, 0 for what is none."""
        raise NotImplementedError


@dataclass(frozen=True)
class CSVLog(_Log):
    """A table of the epochs in a file of comma-separated values: epoch, step, seconds, rate, and each figure by name.

    The file is begun anew by each run, and continued by one that is resumed. It is written and closed at each epoch, so
    that it can be read while the walk goes on. Raises OSError with the path where it cannot be written.
    """

    abstract: ClassVar[bool] = True  # has no default path, so no name of its own

    def head(self, walk: Walk) -> Iterable[str]:
        return (_csv(["epoch", "step", "seconds", "rate", *walk.names]),)

    def line(self, row: dict[str, float]) -> str:
        return _csv(row.values())

    def epoch_of(self, line: str) -> int:
        first = line.partition(",")[0]
        return int(first) if first.isdecimal() else 0


@dataclass(frozen=True)
class JSONLinesLog(_Log):
    """A JSON object for each epoch, one a line: epoch, step, seconds, rate and the figures by name; NaN is null.

    Begun, continued and written as a ``CSVLog``. Raises OSError with the path where it cannot be written.
    """

    abstract: ClassVar[bool] = True  # has no default path, so no name of its own

    def line(self, row: dict[str, float]) -> str:
        return json.dumps({name: value if math.isfinite(value) else None for name, value in row.items()})

    def epoch_of(self, line: str) -> int:
        try:
            return int(json.loads(line)["epoch"])
        except (ValueError, KeyError, TypeError):
            return 0


def _csv(cells: Iterable[object]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
