"""The blocks of a text such as CSV: ranges of whole rows, each read as a small file is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dlarray.tables.blocks.block import Block
from dlarray.tables.blocks.plain_text import PlainText, plain_text
from dlarray.tables.blocks.row_ends import PartNotUtf8Error, Range, row_ranges
from dlarray.tables.column_names import choose_names, renamed
from dlarray.tables.compression import Contents
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.text_encoding import note, to_utf8
from dlarray.tables.text_files import Lines, read_rows
from dlarray.tables.text_layout import Layout, find_layout, first_fields, is_number

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TextFile", "text_file"]


@dataclass(frozen=True)
class _TextBlock(Block):
    """The rows in the bytes from ``start`` on. ``names`` are those of the columns, by position."""

    text: PlainText
    layout: Layout
    comment: str | None
    start: int
    names: Mapping[int, str]

    def read(self) -> pl.DataFrame:
        return renamed(self.rows()[0], self.names)

    def place(self, row: int) -> str:
        return f"line {self.rows()[1](row):,}"

    def rows(self) -> tuple[pl.DataFrame, Lines]:
        """All columns, whose names are numbers, and the lines of the rows."""
        rows = Contents(self.name, self.text.read(self.start, self.bytes))
        return read_rows(rows, self.layout, self.comment)


@dataclass(frozen=True)
class TextFile:
    """A text with its layout, the names of its columns by position, and its blocks."""

    layout: Layout
    names: Mapping[int, str]
    blocks: Sequence[Block]

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.names.values())


def text_file(
    path: Path, name: str, options: ReadOptions, most_rows: int, most_bytes: int, first: TextFile | None
) -> TextFile:
    """The blocks of a text, of at most about so many rows and bytes.

    ``first`` is the first file of a folder: another one can lack the line of names.

    Raises ValueError for a file that is not a table.
    """
    text = plain_text(path, name, options)
    try:
        return _text_file(text, options, most_rows, most_bytes, first)
    except PartNotUtf8Error as error:
        if options.encoding is not None:
            raise ValueError(f"{name} is not {options.encoding} text") from None
        encoding = to_utf8(Contents(name, error.part), error.before)
    return _text_file(plain_text(path, name, options, encoding), options, most_rows, most_bytes, first)


def _text_file(
    text: PlainText, options: ReadOptions, most_rows: int, most_bytes: int, first: TextFile | None
) -> TextFile:
    head = text.head
    if first is not None and _lacks_names(head, first.layout):
        layout = replace(first.layout, lines=0)
        note(text.name, "its first line has values: its columns have the names of the first file's")
    else:
        first, layout = None, find_layout(head, options)
    start = head.start
    line = len(start) // max(1, start.count(b"\n"))
    ranges = list(row_ranges(text, layout, max(1, min(most_bytes, most_rows * line))))
    if first is not None:
        names = first.names
    elif not ranges:
        names = dict(enumerate(name.strip() for name in layout.names))
    else:
        names = choose_names(text.name, _block(text, layout, options, ranges[0], {}).rows()[0], layout.names)
    return TextFile(layout, names, [_block(text, layout, options, each, names) for each in ranges])


def _block(text: PlainText, layout: Layout, options: ReadOptions, each: Range, names: Mapping[int, str]) -> _TextBlock:
    own, size = replace(layout, lines=each.before), each.stop - each.start
    return _TextBlock(text.name, each.before, each.lines, size, text, own, options.comment, each.start, names)


def _lacks_names(head: Contents, layout: Layout) -> bool:
    """Whether the first line of a later file has values: as many as there are names, some numbers, and none a name."""
    values = [value.strip() for value in first_fields(head, layout.separator)]
    if len(values) != len(layout.names) or not any(map(is_number, values)):
        return False
    return not {value for value in values if value} & {name.strip() for name in layout.names}
