"""Where the rows of a text end: line ends inside quotes are none. One pass cuts a text into ranges of whole rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dlarray.core.errors import Picklable
from dlarray.tables.blocks.plain_text import PlainText
from dlarray.tables.text_files import unclosed
from dlarray.tables.text_layout import LONGEST, Layout

__all__ = ["PartNotUtf8Error", "Range", "row_ranges"]

QUOTE, LINE_END = ord('"'), b"\n"


@dataclass(frozen=True)
class Range:
    """Bytes of whole rows, from ``start`` to ``stop``, the number of lines before them, and their number of lines."""

    start: int
    stop: int
    before: int
    lines: int


class PartNotUtf8Error(Picklable, Exception):
    """A part of a text is not UTF-8: its ``bytes``, and the number of lines ``before`` it."""

    def __init__(self, part: bytes, before: int) -> None:
        super().__init__(f"not UTF-8 after line {before:,}")
        self.part = part
        self.before = before


def row_ranges(text: PlainText, layout: Layout, size: int) -> Iterator[Range]:
    """Ranges of about ``size`` bytes that hold the rows after the line of names, in order.

    Raises ValueError for a quote that is not closed within 64 MiB, and PartNotUtf8Error.
    """
    start, line = _after_lines(text, layout.lines), layout.lines
    position, rest = start, b""
    while True:
        part = text.read(position, size)
        data = rest + part
        if not data:
            return
        end = len(data) if not part else _last_row_end(data, layout.separator)
        if not part and not data.strip():
            return
        if not end and len(data) > LONGEST:
            raise ValueError(unclosed(text.name, line + 1))
        position += len(part)
        rows, rest = data[:end], data[end:]
        if rows:
            if not _is_utf8(rows):
                raise PartNotUtf8Error(rows, line)
            lines = rows.count(LINE_END) + (not rows.endswith(LINE_END))
            yield Range(start, start + end, line, lines)
            start, line = start + end, line + lines


def _after_lines(text: PlainText, lines: int) -> int:
    """The position after so many lines."""
    head, end = text.head.all(), 0
    for _ in range(lines):
        end = head.find(LINE_END, end) + 1 or len(head)
    return text.start + end


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _last_row_end(data: bytes, separator: str) -> int:
    """The number of bytes up to the last line end that is not inside quotes; 0 if there is none.

    The data begin at the beginning of a row.
    """
    if not separator.strip(" ") or QUOTE not in data:  # no quote goes over a line end if spaces separate columns
        return data.rfind(LINE_END) + 1
    array = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(array == QUOTE)
    before = array[quotes[::2] - 1]
    opens = (before == ord(separator)) | (before == LINE_END[0]) | (before == QUOTE) | (quotes[::2] == 0)
    spans = quotes if bool(opens.all()) else _quoted(data, separator)
    end = data.rfind(LINE_END)
    while end >= 0:
        inside = int(np.searchsorted(spans, end))
        if inside % 2 == 0:
            return end + 1
        end = data.rfind(LINE_END, 0, int(spans[inside - 1]))
    return 0


def _quoted(data: bytes, separator: str) -> np.ndarray:
    """The positions of the quotes that begin and end fields, where others stand inside of values."""
    mark = re.escape(separator.encode())
    fields = re.compile(rb"(?:\A|(?<=[\n" + mark + rb']))"(?:[^"]|"")*(?:"|\Z)')
    return np.array([edge for found in fields.finditer(data) for edge in (found.start(), found.end() - 1)], dtype=int)
