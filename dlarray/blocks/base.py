"""``Blocks``: what is done with data in blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from os import PathLike
from typing import Any

import numpy as np

from dlarray.blocks.cached import CachedBlocks
from dlarray.blocks.interface import Block, BlockReader, ChosenBlocks, ChosenRows, StandardizedBlocks
from dlarray.blocks.order import BlockOrder
from dlarray.blocks.reader import GroupReader, read_block
from dlarray.blocks.scaling import Standardizer
from dlarray.blocks.statistics import Statistics, StatisticsPass
from dlarray.blocks.thread import ReadingThread
from dlarray.core.check import at_least_one, count, fraction, whole
from dlarray.device.description import bytes_text

__all__ = ["Blocks"]

GROUP_NUMBERS = 2**24
"""The numbers of the inputs in a group by default: 64 MiB in float32."""
MOST_BLOCKS, LEAST_BLOCKS = 64, 8
"""The blocks in a group by default: at most, and at least, even if these are more than ``GROUP_NUMBERS``."""
ORDER_BYTES = 56
"""The bytes for each row of a group in which orders are drawn and kept."""
GATHERED = 2**22
"""The bytes in which batches are gathered."""


class Blocks(BlockReader):
    """Data in blocks of rows, of which a few are in memory at a time: ``fit(model, blocks)``.

    ``open_blocks`` makes blocks of files and arrays. A subclass says how many rows each block has (``lengths``), and
    reads one (``read``). ``blocks[10:]`` are the blocks without the first ten.
    """

    @property
    def group_size(self) -> int:
        """The number of blocks that are in memory at a time: ``blocks_per_group``.

        By default as many as have 2²⁴ numbers (64 MiB in float32), at most 64 and at least 8. It does not depend on
        the machine, because the order of the rows depends on it.
        """
        if self.blocks_per_group is not None:
            return self.blocks_per_group
        numbers = max(max(self.lengths, default=1) * self.example[0].size, 1)
        return min(max(GROUP_NUMBERS // numbers, LEAST_BLOCKS), MOST_BLOCKS)

    def order(self, seed: int = 0, shuffle: bool = True) -> BlockOrder:
        """The order of the rows in each epoch."""
        return BlockOrder(self.lengths, self.group_size, seed, shuffle)

    def batches(
        self, batch_size: int = 32, *, epoch: int = 0, seed: int = 0, shuffle: bool = True, start: int = 0
    ) -> Iterator[tuple[np.ndarray, ...]]:
        """The batches (x, y), or (x, y, weight), of an epoch in shuffled order, without the first ``start``.

        They are those of ``fit`` with this seed, in the types of the data. A thread reads ahead until the loop over
        them ends. The last batch can be smaller.
        """
        at_least_one("batch_size", batch_size)
        whole("epoch", epoch)
        whole("start", start)
        return self._batches(batch_size, epoch, self.order(seed, shuffle), start)

    def _batches(self, size: int, epoch: int, order: BlockOrder, start: int) -> Iterator[tuple[np.ndarray, ...]]:
        with closing(ReadingThread()) as thread:
            for group in GroupReader(self, order, size, epoch + 1, thread).groups(epoch, start):
                for i in range(0, len(group.order), size):
                    rows = group.order[i : i + size]
                    yield tuple(a[rows] for a in group.data if a is not None)

    def statistics(self) -> Statistics:
        """Means, deviations and extremes of the columns, and the classes, by one pass over the data."""
        found = StatisticsPass()
        with closing(ReadingThread()) as thread:
            there = [i for i, length in enumerate(self.lengths) if length]
            jobs = ((lambda i=i: read_block(self, i, lambda block: block)) for i in there)
            for x, y, _ in thread.results(jobs):
                found.add(np.asarray(x), np.asarray(y))
        return found.result()

    def memory(self, batch_size: int = 32, dtype: str = "float32") -> int:
        """The most bytes of the host that ``fit`` uses for data: two groups, a block, orders, and gathered batches.

        2 G r + B (r + s) + 56 G + 4 MiB, with G the rows of a group (the largest possible, and one batch more), r the
        bytes of a row in ``dtype``, B the rows of the largest block, and s the bytes of a row as it is stored. If all
        blocks are one group there is one: G r. Not included are the network, and validation, which takes 12 MiB, two of
        its blocks, and the outputs and targets of all its rows.
        """
        order, size = self.order(), np.dtype(dtype).itemsize
        numbers = sum(a.size for a in self.example if a is not None)
        rows, largest = order.most_rows + batch_size - 1, max(self.lengths, default=0)
        groups = min(order.count, 2) * rows * numbers * size
        return groups + largest * (numbers * size + self.row_bytes) + ORDER_BYTES * rows + GATHERED

    def split(self, held_out: float, seed: int = 0) -> tuple[Blocks, Blocks]:
        """The rows without a random part of them, and this part: ``training, validation = blocks.split(0.2)``.

        Each row belongs to one of the two by a hash of the seed and its number, so the split does not depend on the
        blocks, and is random also where the data are sorted. The part has about the fraction ``held_out`` of the rows.
        Both read all blocks. ``blocks[:-5]`` and ``blocks[-5:]`` read less, and are for data that are in random order.
        Raises ValueError if one of the two has no rows.
        """
        fraction("held_out", held_out)
        parts = [_Derived(ChosenRows(self, held_out, seed, below)) for below in (False, True)]
        if not all(part.rows for part in parts):
            raise ValueError(f"a fraction of {held_out} leaves no rows in one of the two parts of {self.rows:,} rows")
        return parts[0], parts[1]

    def standardized(self, standardizer: Standardizer | None = None) -> Blocks:
        """The same blocks with standardized inputs, computed when a block is read.

        By default with the statistics of these blocks, which takes one pass. Give validation blocks the one of the
        training blocks: ``validation.standardized(training.standardizer)``.
        """
        return _Derived(StandardizedBlocks(self, standardizer or Standardizer.of(self.statistics().x)))

    def cached(self, folder: str | PathLike[str]) -> Blocks:
        """The same blocks, each written to a file in this folder when it is first read, and read from there afterwards.

        For data whose reading takes long, such as tables and standardized inputs. The file has no name and is gone when
        the process ends. It takes as many bytes as the arrays that ``read`` gives; where the folder lies in memory, as
        ``/tmp`` does on some systems, it takes memory. Raises OSError if there is too little room.
        """
        return _Derived(CachedBlocks(self, folder))

    def __getitem__(self, chosen: slice) -> Blocks:
        """Some of the blocks."""
        if not isinstance(chosen, slice):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"blocks are chosen by a slice, such as blocks[:10], got {chosen!r}; read(i) reads one")
        return _Derived(ChosenBlocks(self, range(len(self))[chosen]))

    def __repr__(self) -> str:
        size = min(self.group_size, len(self))
        return (
            f"Blocks({count(self.rows, 'row')}, {count(len(self), 'block')}, {size} at a "
            f"time, {bytes_text(self.memory())} of memory)"
        )


class _Derived(Blocks):
    """The blocks of a reader."""

    def __init__(self, reader: BlockReader) -> None:
        self._reader = reader
        self.blocks_per_group, self.features, self.classes = reader.blocks_per_group, reader.features, reader.classes

    @property
    def lengths(self) -> Sequence[int]:
        return self._reader.lengths

    @property
    def fingerprint(self) -> Any:
        return self._reader.fingerprint

    @property
    def standardizer(self) -> Standardizer | None:
        return self._reader.standardizer

    def read(self, i: int) -> Block:
        return self._reader.read(i)

    def targets(self, i: int) -> tuple[Any, Any]:
        return self._reader.targets(i)

    def row_numbers(self, i: int) -> np.ndarray:
        return self._reader.row_numbers(i)
