"""The metrics of each epoch in a file, written after each epoch."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, cast

from dlarray.core.files import append, replacing
from dlarray.training.callback import Callback, Run

__all__ = ["CSVLog", "JSONLinesLog"]


@dataclass(frozen=True)
class _Log(Callback):
    """A line for each epoch in a text file: epoch, step, seconds, learning rate, and the metrics."""

    abstract: ClassVar[bool] = True
    path: str | PathLike[str]

    def __post_init__(self) -> None:
        os.fspath(self.path)  # TypeError for objects that are not paths

    def on_start(self, run: Run) -> None:
        """Write a new file; in a resumed run keep the lines of the epochs that are done."""
        if not run.writes:
            return
        before = Path(self.path).read_bytes() if run.epoch and Path(self.path).is_file() else None
        lines = [*self.head(run), *(self._lines_to_keep(before, run) if before else ())]
        after = "".join(f"{line}\n" for line in lines).encode()
        if after != before:
            with replacing(self.path) as file:
                file.write(after)

    def on_epoch(self, run: Run) -> None:
        if not run.writes:
            return
        row = {"epoch": run.epoch, "step": run.steps, "seconds": round(run.seconds, 3), "rate": run.rate}
        append(self.path, f"{self.line(row | run.metrics)}\n".encode())

    def head(self, run: Run) -> Sequence[str]:
        """The lines above those of the epochs."""
        return ()

    def line(self, row: dict[str, float]) -> str:
        """The metrics of an epoch as a line."""
        raise NotImplementedError

    def epoch_of(self, line: str, run: Run) -> int:
        """The epoch of a line; 0 for an incomplete or other line."""
        raise NotImplementedError

    def _lines_to_keep(self, data: bytes, run: Run) -> list[str]:
        """The complete lines of the epochs that are done. Raises ValueError if the file has other columns."""
        text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")  # an editor may have saved it so
        *whole, _ = text.split("\n")  # a line without an end is incomplete
        head = list(self.head(run))
        if whole and whole[: len(head)] != head:
            raise ValueError(
                f"{os.fspath(self.path)} has the columns {whole[0][:200]}, and this run has {head[0]}: give the log "
                f"another path, or the run the same metrics and validation"
            )
        lines: list[str] = []
        latest = 0
        for line in whole[len(head) :]:
            if latest < (epoch := self.epoch_of(line, run)) <= run.epoch:
                lines.append(line)
                latest = epoch
        return lines


@dataclass(frozen=True)
class CSVLog(_Log):
    """A table of the epochs in a CSV file: epoch, step, seconds, rate, and each metric by name.

    Each run starts a new file. A resumed run continues it: lines of later epochs than its checkpoint, and incomplete
    lines, are removed first by replacing the file. Each line is written at the end of its epoch, completely or not at
    all, so other programs can read the file during training. Raises OSError with the path if it cannot be written, and
    ValueError before the first step if a run is resumed with other metrics than those in the file.
    """

    abstract: ClassVar[bool] = True  # has no default path, so it has no name

    def head(self, run: Run) -> Sequence[str]:
        return (_csv(["epoch", "step", "seconds", "rate", *run.names]),)

    def line(self, row: dict[str, float]) -> str:
        return _csv(row.values())

    def epoch_of(self, line: str, run: Run) -> int:
        try:
            cells = [float(cell) for cell in line.split(",")]
            return int(cells[0]) if len(cells) == 4 + len(run.names) and cells[0].is_integer() else 0
        except (ValueError, OverflowError):
            return 0


@dataclass(frozen=True)
class JSONLinesLog(_Log):
    """A JSON object for each epoch, one per line: epoch, step, seconds, rate and the metrics by name; NaN is null.

    The file is started, continued and written as by ``CSVLog``. Raises OSError with the path if it cannot be written.
    """

    abstract: ClassVar[bool] = True  # has no default path, so it has no name

    def line(self, row: dict[str, float]) -> str:
        return json.dumps({name: value if math.isfinite(value) else None for name, value in row.items()})

    def epoch_of(self, line: str, run: Run) -> int:
        try:
            row: Any = json.loads(line)
        except (ValueError, RecursionError):
            return 0
        epoch = cast("dict[str, Any]", row).get("epoch") if isinstance(row, dict) else None
        return epoch if type(epoch) is int else 0


def _csv(cells: Iterable[object]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
