"""A block of a table's rows: a part of a file that is read alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Block"]


@dataclass(frozen=True)
class Block(ABC):
    """Consecutive rows of a file.

    ``name`` is that of the file, ``first`` a number for the first row: the following rows have the following numbers,
    and no row of another block has one of them. ``most_rows`` is at least the number of rows, ``bytes`` their size in
    the file before compression.
    """

    name: str
    first: int
    most_rows: int
    bytes: int

    @abstractmethod
    def read(self) -> pl.DataFrame:
        """The rows as the file holds them: columns of text for CSV."""

    @abstractmethod
    def place(self, row: int) -> str:
        """Where a row of the block is in its file, such as "line 82"; rows are counted from 0."""

    def moved(self, rows: int) -> Block:
        """The block with a number for its first row that is larger by so many."""
        return replace(self, first=self.first + rows)
