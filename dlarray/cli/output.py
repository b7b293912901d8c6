"""What commands print: text or JSON, warnings as notes, errors as one line and an exit code.

Exit codes: 0 for success; 1 for a command that failed, for example because a file cannot be read; 2 for wrong usage,
such as an unknown option, name or column.
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
    """The command has a wrong argument."""


@dataclass
class Output:
    """The output of a command: text, notes and its result."""

    json: bool
    notes: list[str] = field(default_factory=list[str])

    def text(self, what: Any) -> None:
        """Print text or a table for people: to stdout, or to stderr if stdout is for JSON."""
        stream = sys.stderr if self.json else sys.stdout
        console = Console(file=stream, soft_wrap=isinstance(what, str), emoji=False)
        if isinstance(what, str) or console.is_terminal:
            console.print(what, markup=False, highlight=False)
        else:  # lines in a pipe or a file are never wrapped
            wide = Console(width=WIDE, color_system=None)
            with wide.capture() as captured:
                wide.print(what, highlight=False)
            stream.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))

    def note(self, text: str) -> None:
        """Print a note about something unexpected to stderr, once."""
        if text not in self.notes:
            self.notes.append(text)
            _print_line(f"note: {text}", "yellow")

    def result(self, what: dict[str, Any]) -> None:
        """Print the result as one JSON object to stdout, if --json was given."""
        if self.json:
            sys.stdout.write(json_text({**what, "notes": self.notes}, indent=1) + "\n")


def json_text(value: Any, indent: int | None = None) -> str:
    """A value as JSON: dates as ISO 8601, durations in seconds, bytes in hexadecimal."""
    return _json.dumps(_finite(value), indent=indent, default=_jsonable)


@contextmanager
def reporting(json: bool, debug: bool) -> Generator[Output]:
    """The context of a command: warnings become notes, errors become one line and exit code 1 or 2."""
    out = Output(json)
    with warnings.catch_warnings():
        warnings.showwarning = _as_notes(out)
        warnings.simplefilter("always", TableWarning)
        try:
            yield out
        except FAILURES as error:
            if debug or isinstance(error, BrokenPipeError):  # from `| head`: click ends without a message
                raise
            _print_line(f"error: {_message(error)}", "bold red")
            raise typer.Exit(2 if isinstance(error, (UsageError, UnknownColumnError)) else 1) from None


@contextmanager
def usage() -> Generator[None]:
    """Errors in this context are wrong usage: exit code 2."""
    try:
        yield
    except (ValueError, TypeError, DeviceError) as error:
        raise UsageError(str(error)) from error


def _as_notes(out: Output) -> Any:
    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        out.note(str(message))

    return show


def _print_line(text: str, style: str) -> None:
    Console(stderr=True, soft_wrap=True, emoji=False).print(text, style=style, markup=False, highlight=False)


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {error.filename!r}"
    if isinstance(error, MemoryError):
        return str(error) or "there is not enough memory"
    return str(error)


def _jsonable(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, (date, time)) else str(value)


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    return map_leaves(value, lambda x: None if isinstance(x, float) and not math.isfinite(x) else x)
