"""A table in blocks of rows, from a file or a folder of files, which is never in memory as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dlarray.core.text import escape, quote, quote_all
from dlarray.tables.blocks.block import Block
from dlarray.tables.blocks.folder import Part, files_of
from dlarray.tables.blocks.parquet import parquet_blocks, parquet_schema
from dlarray.tables.blocks.size import is_parquet
from dlarray.tables.blocks.text import TextFile, text_file
from dlarray.tables.conversion import kind_of
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.values import UnknownColumnError, polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BlockedTable", "open_blocks"]

SAMPLE = 4096
"""The bytes that are read at each of three places of a file for the fingerprint."""


@dataclass(frozen=True)
class BlockedTable:
    """The ``blocks`` of a table with these ``columns``; ``separator`` as in ``TableFile``, "" for Parquet.

    ``types`` are those of the columns, if they have some; ``parts`` are the files by the names in ``blocks``.
    """

    name: str
    columns: tuple[str, ...]
    blocks: tuple[Block, ...]
    separator: str
    options: ReadOptions
    types: Mapping[str, Any]
    parts: Mapping[str, Part]
    fingerprint: str

    def __len__(self) -> int:
        """The number of blocks."""
        return len(self.blocks)

    @property
    def most_rows(self) -> int:
        """At least the number of rows; for Parquet it is their number."""
        return sum(block.most_rows for block in self.blocks)

    def read(self, number: int) -> pl.DataFrame:
        """The rows of a block as the file holds them, with the columns in the order of ``columns``.

        Raises ValueError if the file cannot be read, or has another size than when it was opened.
        """
        pl = polars()
        block = self.blocks[number]
        part = self.parts[block.name]
        part.check()
        frame = block.read()
        for key, value in part.keys:
            if key in frame.columns:
                continue
            frame = frame.with_columns(pl.lit(value, dtype=pl.String).alias(key))
        frame = pl.DataFrame([frame[name] for name in self.columns])
        types = {name: dtype for name, dtype in self.types.items() if frame.schema[name] != dtype}
        return cast("pl.DataFrame", frame.cast(types)) if types else frame

    def place(self, number: int, row: int) -> str:
        """Where a row of a block is, such as "line 82 of flights.csv"."""
        where = self.blocks[number].place(row)
        return where if len({block.name for block in self.blocks}) == 1 else f"{where} of {self.blocks[number].name}"

    def frames(self) -> Iterator[pl.DataFrame]:
        """All rows, block by block."""
        for number in range(len(self)):
            yield self.read(number)


def open_blocks(path: str | PathLike[str], options: ReadOptions, rows: int, most_bytes: int) -> BlockedTable:
    """The table in a Parquet file, in a text such as CSV, or in a folder of them, as blocks.

    A block has at most about ``rows`` rows and ``most_bytes`` bytes. The files of a folder have the same columns, in
    any order; of texts only the first one needs a line of names.

    Raises OSError for a file that cannot be read, ValueError for one that is not such a table, or has other columns
    than the first one.
    """
    parts = files_of(Path(path))
    name = escape(path, 4096)
    found = _parquet(parts, rows, most_bytes) if is_parquet(parts[0].path) else _texts(parts, options, rows, most_bytes)
    columns, of_parts, separator, types = found
    files = {block.name: part for part, own in zip(parts, of_parts, strict=True) for block in own}
    if not files:
        raise ValueError(f"{name} has column names but no rows")
    columns = [*columns, *(key for key, _ in parts[0].keys if key not in columns)]  # polars writes keys to files too
    moved: list[Block] = []
    first = 0
    for own in of_parts:
        moved += [block.moved(first) for block in own]
        first += max((block.first + block.most_rows for block in own), default=0)
    _check_kinds(options, columns)
    return BlockedTable(name, tuple(columns), tuple(moved), separator, options, types, files, _fingerprint(parts))


def _check_kinds(options: ReadOptions, columns: Sequence[str]) -> None:
    """Raise UnknownColumnError for a column whose kind is chosen and that the table does not have."""
    for name in options.kinds:
        if name not in columns:
            raise UnknownColumnError(name, columns)


def _fingerprint(parts: Sequence[Part]) -> str:
    """A digest of the files' names and sizes, and of some bytes at the beginning, in the middle and at the end.

    Times of files are not part of it, so copied data are the same data.
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.place}\0{part.size}\0".encode())
        with part.path.open("rb") as file:
            for start in (0, part.size // 2, max(0, part.size - SAMPLE)):
                file.seek(start)
                digest.update(file.read(SAMPLE))
    return digest.hexdigest()


def _texts(
    parts: Sequence[Part], options: ReadOptions, rows: int, most_bytes: int
) -> tuple[list[str], list[Sequence[Block]], str, dict[str, Any]]:
    first: TextFile | None = None
    blocks: list[Sequence[Block]] = []
    for part in parts:
        file = text_file(part.path, part.name, options, rows, most_bytes, first)
        first = first or file
        if file.blocks:
            _check_columns(part.name, file.columns, parts[0].name, first.columns)
        blocks.append(file.blocks)
    assert first is not None
    return first.columns, blocks, first.layout.separator, {}


def _parquet(
    parts: Sequence[Part], rows: int, most_bytes: int
) -> tuple[list[str], list[Sequence[Block]], str, dict[str, Any]]:
    pl = polars()
    types: dict[str, Any] = {}
    blocks: list[Sequence[Block]] = []
    for part in parts:
        if not is_parquet(part.path):
            raise ValueError(f"{part.name} is no Parquet file, and {parts[0].name} is one")
        try:
            schema = parquet_schema(part.path)
        except (pl.exceptions.PolarsError, OSError) as error:
            first = str(error).strip().partition("\n")[0]
            raise ValueError(f"{part.name} is not a complete Parquet file: {first}") from error
        if types:
            _check_columns(part.name, list(schema), parts[0].name, list(types))
        for name, dtype in schema.items():
            types[name] = _common_type(name, types[name], dtype, part.name) if name in types else dtype
        own = parquet_blocks(part.path, part.name, rows, most_bytes)
        blocks.append([block for block in own if block.most_rows])
    return list(types), blocks, "", types


def _common_type(name: str, one: Any, other: Any, file: str) -> Any:
    """The type that holds the values of both. Raises ValueError if their kinds differ."""
    if one == other:
        return one
    pl = polars()
    kinds = {kind_of(pl.Series([], dtype=dtype)) for dtype in (one, other)} - {""}
    if len(kinds) == 1:
        try:
            frames = [pl.DataFrame({"value": pl.Series([], dtype=dtype)}) for dtype in (one, other)]
            return pl.concat(frames, how="vertical_relaxed").schema["value"]
        except pl.exceptions.PolarsError:
            pass
    raise ValueError(f"{file} has the column {quote(name)} as {other}, and the files before it as {one}")


def _check_columns(file: str, columns: Sequence[str], first: str, known: Sequence[str]) -> None:
    """Raise ValueError if a file has other columns than the first one."""
    lacks = [name for name in known if name not in columns]
    more = [name for name in columns if name not in known]
    if lacks or more:
        which = [f"it lacks {quote_all(lacks, 5)}"] if lacks else []
        which += [f"it has {quote_all(more, 5)}" + (" instead" if lacks else " besides")] if more else []
        raise ValueError(f"{file} has not the columns of {first}: {' and '.join(which)}")
