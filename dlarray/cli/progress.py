"""What ``dlarray matrix`` says and writes while it runs: a library that crashes ends the process."""

from __future__ import annotations

import sys
from pathlib import Path

from dlarray.cli.output import json_text, visible
from dlarray.core.files import replacing
from dlarray.testing.check import Check
from dlarray.testing.columns import Column
from dlarray.testing.page import page
from dlarray.testing.report import Report

__all__ = ["Progress", "save"]

CLEAR = "\r\x1b[K"  # the line of a terminal
WIDTH = 79


class Progress:
    """The check that runs, on stderr and in the file for JSON; and both files after each column."""

    def __init__(self, html: Path | None, json: Path | None) -> None:
        self._html, self._json = (path if path and _kept(path) else None for path in (html, json))
        self._text = json_text(Report(()).data(), indent=1)
        self._part = ""

    def begins(self, column: Column, check: Check) -> None:
        """Say which check runs: on a terminal in its last line, else a line for each part."""
        part = f"{column.name}: {check.part}"
        if sys.stderr.isatty():
            sys.stderr.write(CLEAR + visible(f"{part}: {check.name}")[:WIDTH])
        elif self._part != part:
            sys.stderr.write(f"{part}\n")
        self._part = part
        sys.stderr.flush()
        if self._json:
            running = json_text({"column": column.name, "part": check.part, "name": check.name})
            self._json.write_text(self._text.replace("{\n", f'{{\n "running": {running},\n', 1), encoding="utf-8")

    def done(self, report: Report) -> None:
        """Write the report so far."""
        if sys.stderr.isatty():
            sys.stderr.write(CLEAR)
        self._text = json_text(report.data(), indent=1)
        save(report, self._html, self._json)


def save(report: Report, html: Path | None, json: Path | None) -> None:
    """Write the files of a report."""
    if json:
        with replacing(json) as file:
            file.write(json_text(report.data(), indent=1).encode())
    if html:
        with replacing(html) as file:
            file.write(page(report).encode())


def _kept(path: Path) -> bool:
    """Whether a file can be written several times: a pipe cannot."""
    return path.is_file() or not path.exists()
