"""What commands print: text or JSON, warnings as notes, errors as one line and an exit code.

Exit codes: 0 for success; 1 for a command that failed, for example because a file cannot be read; 2 for wrong usage,
such as an unknown option, name or column; 130 for a command that Ctrl-C has ended.

Names and values come from files, so they can hold anything. Whatever is printed is verbatim: rich's markup is not read,
and control characters are escaped.
"""

from __future__ import annotations

import json as _json
import math
import re
import sys
import unicodedata
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from typing import Any

import typer
from rich.console import Console
from rich.containers import Lines
from rich.table import Table
from rich.text import Text

from dlarray.core.ranks import RankError
from dlarray.core.trees import map_leaves
from dlarray.device import DeviceError
from dlarray.tables import TableWarning, UnknownColumnError
from dlarray.training import CheckpointError, DivergedError

__all__ = ["INTERRUPTED", "Output", "UsageError", "json_text", "reporting", "usage", "visible"]

FAILURES = (
    *(ValueError, TypeError, ImportError, OSError, MemoryError),
    *(DeviceError, CheckpointError, DivergedError, RankError),
)
INTERRUPTED = 130  # the exit code of a program that Ctrl-C ends
WIDE = 500
FORMATS = {"Cc", "Cs", "Zl", "Zp"}  # control characters, surrogates, separators of lines and paragraphs
OPTION = re.compile(r"""--[a-z][a-z-]* ('[^']*'|"[^"]*"|\S+)""")
NO_BREAK = "\ue000"  # stands for a space; a character that nobody has assigned
DIRECTION = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"


class UsageError(ValueError):
    """The command has a wrong argument."""


@dataclass
class Output:
    """The output of a command: text, notes and its result."""

    json: bool
    notes: list[str] = field(default_factory=list[str])

    def text(self, what: str | Table) -> None:
        """Print lines or a table for people: to stdout, or to stderr if stdout is for JSON.

        A line is never wrapped here: a terminal wraps it without a line break, so a command in it can be copied.
        """
        stream = sys.stderr if self.json else sys.stdout
        if isinstance(what, str):
            _print("\n".join(map(visible, what.split("\n"))), stream)
        elif _console(stream).is_terminal:
            _console(stream).print(_verbatim(what))
        else:  # rows in a pipe or a file are never wrapped
            wide = _console(stream, width=WIDE, color_system=None)
            with wide.capture() as captured:
                wide.print(_verbatim(what))
            stream.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))

    def data(self, text: str) -> None:
        """Write lines of a table to stdout: as they are into a pipe or a file, ``visible`` on a terminal."""
        stream = sys.stdout
        stream.write("\n".join(map(visible, text.split("\n"))) if stream.isatty() else text)

    def note(self, text: str) -> None:
        """Print a note about something unexpected to stderr, once."""
        if text not in self.notes:
            self.notes.append(text)
            _print(visible(f"note: {text}"), sys.stderr, "yellow")

    def result(self, what: dict[str, Any]) -> None:
        """Print the result as one JSON object to stdout, if --json was given."""
        if self.json:
            sys.stdout.write(json_text({**what, "notes": self.notes}, indent=1) + "\n")

    def stream(
        self,
        what: Mapping[str, Any],
        name: str,
        rows: Iterable[Mapping[str, Any]],
        then: Callable[[], Mapping[str, Any]],
    ) -> None:
        """Like ``result``, with ``rows`` under ``name``: each is written when it is there, on a line of its own.

        ``then`` gives what is known after the last row.
        """
        if not self.json:
            return
        head = json_text(dict(what), indent=1).removesuffix("\n}")
        sys.stdout.write(f"{head},\n {json_text(name)}: [")
        for number, row in enumerate(rows):
            sys.stdout.write(f"{',' if number else ''}\n  {json_text(dict(row))}")
        notes = json_text({**then(), "notes": self.notes}, indent=1).removeprefix("{\n")
        sys.stdout.write(f"\n ],\n{notes}\n")


def visible(text: str) -> str:
    r"""Text with its control characters, line breaks and marks of direction as escapes, such as ``\\x1b``.

    A terminal would obey them, and text could hide or change what else is printed.
    """
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode() if c in DIRECTION or unicodedata.category(c) in FORMATS else c for c in text
    )


def json_text(value: Any, indent: int | None = None) -> str:
    """A value as JSON: dates as ISO 8601, durations in seconds, bytes in hexadecimal."""
    try:
        return _json.dumps(value, indent=indent, default=_jsonable, allow_nan=False)
    except ValueError:  # JSON has no NaN and no infinity
        return _json.dumps(_finite(value), indent=indent, default=_jsonable)


@contextmanager
def reporting(json: bool, debug: bool) -> Generator[Output]:
    """The context of a command: warnings become notes, errors and Ctrl-C one line and an exit code."""
    out = Output(json)
    with warnings.catch_warnings():
        warnings.showwarning = _as_notes(out)
        warnings.simplefilter("always", TableWarning)
        try:
            yield out
        except FAILURES as error:
            if debug or isinstance(error, BrokenPipeError):  # from `| head`: click ends without a message
                raise
            _print(visible(f"error: {_message(error)}"), sys.stderr, "bold red")
            raise typer.Exit(2 if isinstance(error, (UsageError, UnknownColumnError)) else 1) from None
        except KeyboardInterrupt:
            if debug:
                raise
            _print("interrupted", sys.stderr)
            raise typer.Exit(INTERRUPTED) from None


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


def _console(stream: Any, **options: Any) -> Console:
    return Console(file=stream, markup=False, highlight=False, emoji=False, **options)


def _print(text: str, stream: Any, style: str | None = None) -> None:
    _console(stream, soft_wrap=True).print(text, style=style)


def _verbatim(table: Table) -> Table:
    """The table with cells that are printed as they are, in their style."""
    copy = Table(box=table.box, header_style=table.header_style, pad_edge=table.pad_edge)
    for column in table.columns:
        copy.add_column(column.header, justify=column.justify, no_wrap=column.no_wrap, overflow=column.overflow)
    for row in zip(*(column.cells for column in table.columns), strict=True):
        copy.add_row(*(_Cell(visible(str(cell)), getattr(cell, "style", "")) for cell in row))
    return copy


class _Cell(Text):
    """A cell in which an option and its value stay on one line, so that they can be copied."""

    def wrap(self, console: Console, width: int, **options: Any) -> Lines:
        joined = OPTION.sub(lambda found: found[0].replace(" ", NO_BREAK), self.plain)
        lines = Text(joined, self.style).wrap(console, width, **options)
        for line in lines:
            line.plain = line.plain.replace(NO_BREAK, " ")
        return lines


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
    """The value with null for NaN and infinity."""
    return map_leaves(value, lambda x: None if isinstance(x, float) and not math.isfinite(x) else x)
