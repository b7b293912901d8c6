"""The blocks of a Parquet file: its row groups, of which polars reads only what is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dlarray.tables.blocks.block import Block
from dlarray.tables.blocks.parquet_footer import row_groups
from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["parquet_blocks", "parquet_schema"]


@dataclass(frozen=True)
class _ParquetBlock(Block):
    """Rows of a Parquet file from row ``start`` on."""

    path: Path
    start: int

    def read(self) -> pl.DataFrame:
        pl = polars()
        try:
            scan = pl.scan_parquet(self.path, glob=False, hive_partitioning=False)
            return cast("pl.DataFrame", scan.slice(self.start, self.most_rows).collect())
        except (pl.exceptions.PolarsError, OSError) as error:
            first = str(error).strip().partition("\n")[0]
            raise ValueError(f"{self.name} cannot be read from row {self.start + 1:,} on: {first}") from error

    def place(self, row: int) -> str:
        return f"row {self.start + row + 1:,}"


def parquet_schema(path: Path) -> dict[str, Any]:
    """The types of the columns of a file by name. Its name can have "[", "*" and "?", which stand for themselves."""
    return dict(polars().scan_parquet(path, glob=False, hive_partitioning=False).collect_schema())


def parquet_blocks(path: Path, name: str, most_rows: int, most_bytes: int) -> list[Block]:
    """The row groups of a file, together or cut so that a block has at most about so many rows and bytes."""
    found: list[Block] = []
    start = rows = size = 0

    def add() -> None:
        nonlocal start, rows, size
        parts = max(1, min(rows, max(-(-size // most_bytes), -(-rows // most_rows))))
        bounds = [rows * k // parts for k in range(parts + 1)]
        for a, b in pairwise(bounds):
            if b > a:
                found.append(_ParquetBlock(name, start + a, b - a, -(-size // parts), path, start + a))
        start, rows, size = start + rows, 0, 0

    for group in row_groups(path, name):
        if size + group.bytes > most_bytes or rows + group.rows > most_rows:
            add()
        rows, size = rows + group.rows, size + group.bytes
    add()
    return found
