"""The rows of a text: their fields, and the lines that they stand in."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["WHITE_SPACE", "WIDE_SPACE", "Record", "fields", "records"]

WHITE_SPACE = " "
WIDE_SPACE = "  "  # two spaces or more, between values that contain single spaces
TOKEN = re.compile(r'"(?:[^"]|"")*"|\S+')


@dataclass(frozen=True)
class Record:
    """The fields of a row of names or values, and the numbers of its first and last line, from 1."""

    fields: list[str]
    first: int
    last: int

    def __len__(self) -> int:
        return len(self.fields)

    @property
    def stripped(self) -> list[str]:
        """The fields without spaces at their ends."""
        return [text.strip() for text in self.fields]


def _split_spaces(line: str, separator: str) -> list[str]:
    """The fields of a line whose columns are separated by white space; quotes can contain some."""
    if separator == WIDE_SPACE:
        return re.split(r"[ \t]{2,}|\t", line.strip()) if line.strip() else []
    if '"' not in line:
        return line.split()
    return [t[1:-1].replace('""', '"') if t[0] == t[-1] == '"' and len(t) > 1 else t for t in TOKEN.findall(line)]


def fields(lines: Iterable[str], separator: str) -> Iterator[tuple[list[str], int]]:
    """The fields of each row, and the number of its last line."""
    if separator in (WHITE_SPACE, WIDE_SPACE):
        yield from ((_split_spaces(line, separator), number) for number, line in enumerate(lines, 1))
        return
    reader = csv.reader((line.replace("\r\n", "\n").replace("\r", " ") for line in lines), delimiter=separator)
    yield from ((row, reader.line_num) for row in reader)


def records(lines: list[str], separator: str, before: int, comment: str | None) -> Iterator[Record]:
    """The rows that are neither blank nor comments. Raises csv.Error for a quote that is not closed."""
    last = before
    for row, number in fields(lines, separator):
        first, last = last + 1, before + number
        text = lines[first - before - 1]
        if text.strip() and not (comment and text.startswith(comment)):
            yield Record(row, first, last)
