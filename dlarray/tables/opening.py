"""Tables from files and folders: whole, or in blocks where the memory that they may take is too small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from dlarray.tables.blocks import BlockedTable, open_blocks
from dlarray.tables.blocks.folder import files_of
from dlarray.tables.blocks.size import rows_and_columns
from dlarray.tables.memory import Allowed, bytes_in_words, needed
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.reading import Table, raw_frame, read_verbatim
from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["LargeTable", "frames_of", "open_table"]

BLOCK_BYTES = 2**24
"""The most bytes of a block, as the file has them: more make reading no faster."""


@dataclass(frozen=True)
class LargeTable:
    """A table that is read in ``blocks``; ``way`` says why, and ``allowed`` is the memory that it may take."""

    blocks: BlockedTable
    way: str
    allowed: Allowed

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.blocks.columns)


def open_table(
    table: Table | LargeTable | pl.DataFrame | str | PathLike[str],
    reading: ReadOptions | None = None,
    memory: str | int | None = None,
) -> Table | LargeTable:
    """The table itself, or the one in a file or in a folder of Parquet files or of texts such as CSV.

    A table is read whole if its rows × columns × 200 bytes fit into the memory that it may take, else in blocks.

    Parameters
    ----------
    table
        A table, a frame, or the path of a file or a folder. The files of a folder have the same columns.
    reading
        How files are read where detection is not enough.
    memory
        The memory that the table may take, in bytes or as text such as "8GB"; by default half of what is free. A small
        number makes that the table is read in blocks, a large one that it is read whole.

    Raises
    ------
    ValueError, TypeError, OSError
        As ``read``, for files of a folder that have different columns, and for a memory that is no size.
    """
    allowed = Allowed.of(memory)
    if not isinstance(table, (str, PathLike)):
        return table if isinstance(table, LargeTable) else Table.of(table, reading)
    options = reading or ReadOptions()
    large = _large(table, options, allowed)
    if large is not None:
        return large
    if Path(table).is_dir():
        return _whole(_blocks(table, options, allowed, 1))
    return Table.of(table, options)


def frames_of(
    table: Table | pl.DataFrame | str | PathLike[str], reading: ReadOptions | None, allowed: Allowed
) -> Iterator[pl.DataFrame]:
    """The rows of a table as the file holds them, in one frame, or in blocks if it is large.

    Raises like ``open_table``.
    """
    if not isinstance(table, (str, PathLike)):
        yield raw_frame(table)
        return
    options = reading or ReadOptions()
    large = _large(table, options, allowed)
    if large is not None:
        yield from large.blocks.frames()
    elif Path(table).is_dir():
        yield polars().concat(_blocks(table, options, allowed, 1).frames())
    else:
        yield read_verbatim(table, options)


def _large(path: str | PathLike[str], options: ReadOptions, allowed: Allowed) -> LargeTable | None:
    """The table, if it is to be read in blocks."""
    polars()
    if fspath(path) == "-" or not Path(path).exists() or not (Path(path).is_file() or Path(path).is_dir()):
        return None
    size = rows_and_columns(files_of(Path(path)), options)
    if size is None or (need := needed(*size)) <= allowed.bytes:
        return None
    way = (
        f"read in blocks: whole it would need about {bytes_in_words(need)}, and {bytes_in_words(allowed.bytes)} may be "
        f"used, {allowed.reason}"
    )
    return LargeTable(_blocks(path, options, allowed, size[1]), way, allowed)


def _blocks(path: str | PathLike[str], options: ReadOptions, allowed: Allowed, columns: int) -> BlockedTable:
    return open_blocks(path, options, allowed.rows_of_a_block(columns), BLOCK_BYTES)


def _whole(blocks: BlockedTable) -> Table:
    """All rows of a folder."""
    frames = list(blocks.frames())
    ends = [sum(frame.height for frame in frames[: i + 1]) for i in range(len(frames))]

    def place(row: int) -> str:
        number = next(i for i, end in enumerate(ends) if row < end)
        return blocks.place(number, row - (ends[number] - frames[number].height))

    return Table.of_raw(polars().concat(frames), blocks.separator, blocks.options, place)
