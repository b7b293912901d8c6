"""How commands tell: words or JSON, warnings as notes, failures in a line and by the exit code.

0 is fine. 1: the command was understood and failed, such as a file that cannot be read. 2: it was not understood, such
as an unknown option, name or column.
"""

from __future__ import annotations

import json as _json
import math
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from typing import Any

import typer
from rich.console import Console

from dlarray.core.trees import map_leaves
from dlarray.device import DeviceError
from dlarray.tables import TableWarning, UnknownColumnError
from dlarray.training import CheckpointError, DivergedError

__all__ = ["Output", "UsageError", "json_text", "reporting", "usage"]

FAILURES = (ValueError, TypeError, ImportError, OSError, MemoryError, DeviceError, CheckpointError, DivergedError)
WIDE = 500


class UsageError(ValueError):
    """What was typed cannot be understood."""


@dataclass
class Output:
    """Where a command's words go, and what it has found."""

    json: bool
    notes: list[str] = field(default_factory=list[str])

    def text(self, what: Any) -> None:
        """Print text or a table for people: to stdout, or to stderr where stdout is for JSON."""
        stream = sys.stderr if self.json else sys.stdout
        console = Console(file=stream, soft_wrap=isinstance(what, str), emoji=False)
        if isinstance(what, str) or console.is_terminal:
            console.print(what, markup=False, highlight=False)
        else:  # a pipe or a file is as wide as it must be
            wide = Console(width=WIDE, color_system=None)
            with wide.capture() as captured:
                wide.print(what, highlight=False)
            stream.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))

    def note(self, text: str) -> None:
        """Something that was not as expected, once, to stderr."""
        if text not in self.notes:
            self.notes.append(text)
            _line(f"note: {text}", "yellow")

    def result(self, what: dict[str, Any]) -> None:
        """What the command has found, as one object of JSON on stdout where that is asked for."""
        if self.json:
            sys.stdout.write(json_text({**what, "notes": self.notes}, indent=1) + "\n")


def json_text(value: Any, indent: int | None = None) -> str:
    """A value as JSON: dates as ISO 8601, lengths of time in seconds, bytes in hexadecimal."""
    return _json.dumps(_finite(value), indent=indent, default=_plain)


@contextmanager
def reporting(json: bool, debug: bool) -> Generator[Output]:
    """The surroundings of a command: warnings become notes, and failures a line with exit code 1 or 2."""
    out = Output(json)
    with warnings.catch_warnings():
        warnings.showwarning = _as_notes(out)
        warnings.simplefilter("always", TableWarning)
        try:
            yield out
        except FAILURES as error:
            if debug or isinstance(error, BrokenPipeError):  # of `| head`: left to click, which ends quietly
                raise
            _line(f"error: {_words(error)}", "bold red")
            raise typer.Exit(2 if isinstance(error, (UsageError, UnknownColumnError)) else 1) from None


@contextmanager
def usage() -> Generator[None]:
    """What fails in here is what was typed: exit code 2."""
    try:
        yield
    except (ValueError, TypeError, DeviceError) as error:
        raise UsageError(str(error)) from error


def _as_notes(out: Output) -> Any:
    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        out.note(str(message))

    return show


def _line(text: str, style: str) -> None:
    Console(stderr=True, soft_wrap=True, emoji=False).print(text, style=style, markup=False, highlight=False)


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {error.filename!r}"
    if isinstance(error, MemoryError):
        return str(error) or "there is not enough memory"
    return str(error)


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, (date, time)) else str(value)


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    return map_leaves(value, lambda x: None if isinstance(x, float) and not math.isfinite(x) else x)
