"""How many rows and columns a file has, about, without reading it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dlarray.tables.arff import is_arff
from dlarray.tables.blocks.folder import Part
from dlarray.tables.blocks.parquet import parquet_schema
from dlarray.tables.blocks.parquet_footer import row_groups
from dlarray.tables.blocks.plain_text import first_bytes
from dlarray.tables.compression import Contents
from dlarray.tables.files import ARROW, OLE, PARQUET, ZIP, refused
from dlarray.tables.json_files import is_json
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.text_encoding import encoding_of, is_utf8
from dlarray.tables.text_layout import find_layout
from dlarray.tables.values import without_warnings

__all__ = ["is_parquet", "rows_and_columns"]

DECOMPRESSED = 10  # a compressed text becomes about so many times as large


def is_parquet(path: Path) -> bool:
    """Whether a file begins as a Parquet file."""
    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def rows_and_columns(parts: Sequence[Part], options: ReadOptions) -> tuple[int, int] | None:
    """The rows and columns of the files together; None for a kind of file that has no blocks.

    Of a text the rows are those that fit into its size, if all are as long as the first ones.
    """
    first = parts[0].path
    if is_parquet(first):
        rows = sum(group.rows for part in parts for group in row_groups(part.path, part.name))
        return rows, len(parquet_schema(first))
    head, packed = first_bytes(first, parts[0].name, options)
    if head.start.startswith((ARROW, ZIP, OLE)) or not head.start or refused(head):
        return None
    if is_json(head):
        return None
    with without_warnings():
        encoding = options.encoding or encoding_of(head)
        if encoding is not None and not is_utf8(encoding):
            head = replace(head, source=head.start.decode(encoding, "ignore").encode())
        if is_arff(head):
            return None
        columns = len(find_layout(Contents(head.name, head.source), options).names)
    size = sum(part.path.stat().st_size for part in parts) * (DECOMPRESSED if packed else 1)
    lines = max(1, head.start.count(b"\n") + head.start.count(b"\r"))
    return int(size * lines / len(head.start)), columns
