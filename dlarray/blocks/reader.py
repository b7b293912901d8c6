"""Groups of blocks in a shuffled order, read ahead into memory that is used again."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from dlarray.blocks.interface import Block, BlockReader
from dlarray.blocks.order import BlockOrder
from dlarray.blocks.thread import ReadingThread
from dlarray.core.check import count
from dlarray.core.errors import RowError

__all__ = ["Group", "GroupReader", "naming_block", "read_block"]

_Arrays = tuple[np.ndarray | None, ...]


@dataclass(frozen=True)
class Group:
    """Rows that are in memory, valid until the next group is asked for.

    The arrays of all groups have one shape, which a compiler needs, so some of their rows can belong to no batch.
    ``order`` has the positions of the rows in the order in which they are used: as many as ``batches`` batches have. It
    begins with the rows that were left of the group before.
    """

    data: _Arrays
    order: np.ndarray
    batches: int


class GroupReader:
    """Reads the groups of a ``BlockOrder``, one ahead, in a thread.

    Rows that do not fill a batch are moved to the front of the next group, so every batch is in one group. The groups
    of an epoch are followed by the first of the next epoch, up to ``epochs``. There are two sets of arrays for groups,
    made once; if all blocks are one group, it is read once.

    ``prepare`` turns a block that was read into the arrays of its rows, in the thread. Errors of reading and of
    ``prepare`` name the block and its rows.
    """

    def __init__(
        self,
        blocks: BlockReader,
        order: BlockOrder,
        batch_size: int,
        epochs: int,
        thread: ReadingThread,
        prepare: Callable[[Block], _Arrays] | None = None,
    ) -> None:
        self._blocks = blocks
        self._order = order
        self._size = batch_size
        self._epochs = epochs
        self._thread = thread
        self._prepare: Callable[[Block], _Arrays] = prepare or _same
        self._memory: list[list[np.ndarray | None]] = [[], []]
        self._slot: int = 0
        """The set of arrays that the next group is read into."""
        self._ahead: tuple[tuple[int, int, int], Future[np.ndarray]] | None = None
        self._is_whole = False
        """Whether the first set has all rows."""

    def groups(self, epoch: int, start: int = 0) -> Iterator[Group]:
        """The groups of an epoch, without its first ``start`` batches."""
        groups = self._order.groups(epoch)
        sizes = [sum(self._blocks.lengths[i] for i in group) for group in groups]
        bounds = np.cumsum([0, *sizes])
        first = min(start * self._size, int(bounds[-1]))
        g = int(np.searchsorted(bounds, first, side="right")) - 1
        skipped, carried = first - int(bounds[g]), 0
        left: Group | None = None
        while g < len(groups):
            order = self._read(epoch, g, carried)
            slot: int = self._slot
            rows = np.concatenate([np.arange(carried, dtype=np.int32), order[skipped:] + np.int32(carried)])
            data = tuple(self._memory[slot])
            for own, others in zip(data, left.data if left else (), strict=False):
                if left and own is not None and others is not None:
                    own[:carried] = others[left.order]
            last = g + 1 == len(groups)
            batches = -(-len(rows) // self._size) if last else len(rows) // self._size
            used = min(batches * self._size, len(rows))
            carried, skipped = len(rows) - used, 0
            if self._order.count > 1:
                self._slot = 1 - slot
            self._read_ahead((epoch + 1, 0, 0) if last else (epoch, g + 1, carried))
            if batches:
                yield Group(data, rows[:used], batches)
            left, g = Group(data, rows[used:], 0), g + 1

    def _read(self, *key: int) -> np.ndarray:
        """The order of a group's rows, which are then in memory."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == key:
            return ahead[1].result()
        if ahead is not None:
            ahead[1].cancel()
        slot = self._slot
        return self._thread.submit(lambda: self._fill(slot, *key)).result()

    def _read_ahead(self, key: tuple[int, int, int]) -> None:
        slot = self._slot
        if key[0] < self._epochs and self._order.count > 1:
            self._ahead = key, self._thread.submit(lambda: self._fill(slot, *key))

    def _fill(self, slot: int, epoch: int, group: int, carried: int) -> np.ndarray:
        """Read a group behind the first ``carried`` rows of a set of arrays. Returns the order of its rows."""
        blocks = self._order.groups(epoch)[group]
        rows = carried
        for i in blocks:
            if self._thread.closed:
                raise RuntimeError("the reading of data in blocks has been closed")
            if not (length := self._blocks.lengths[i]):
                continue
            if not self._is_whole:
                self._store(slot, read_block(self._blocks, i, self._prepare), rows, i)
            rows += length
        self._is_whole = self._order.count == 1
        return self._order.rows(epoch, group, rows - carried)

    def _store(self, slot: int, block: _Arrays, first: int, i: int) -> None:
        """Copy a block into a set of arrays, which is made like the first block."""
        memory, most = self._memory[slot], self._order.most_rows + self._size - 1
        if not memory:
            memory += [None if a is None else np.zeros((most, *a.shape[1:]), a.dtype) for a in block]
        for name, own, new in zip(("x", "y", "weight"), memory, block, strict=True):
            if own is None and new is None:
                continue
            if own is None or new is None:
                has = "has" if own is None else "has no"
                raise ValueError(f"block {i} {has} {name}, and the block before is different")
            if new.shape[1:] != own.shape[1:]:
                raise ValueError(
                    f"block {i} has {name} of the shape {new.shape}, and the rows before have {own.shape[1:]}"
                )
            if new.dtype != own.dtype and np.result_type(new, own) != own.dtype:
                raise TypeError(f"block {i} has {name} of type {new.dtype}, which the {own.dtype} before cannot hold")
            own[first : first + len(new)] = new


def read_block(blocks: BlockReader, i: int, prepare: Callable[[Block], _Arrays]) -> _Arrays:
    """The prepared arrays of a block. Its errors name the block, and the row among all rows."""
    with naming_block(blocks, i):
        x, y, weight = blocks.read(i)
        if len(x) != blocks.lengths[i]:
            raise ValueError(f"it has {count(len(x), 'row')}, and lengths has {blocks.lengths[i]:,}")
        return prepare((x, y, weight))


@contextmanager
def naming_block(blocks: BlockReader, i: int) -> Generator[None]:
    """Errors inside name the block, and the row among all rows."""
    try:
        yield
    except RowError as error:
        raise error.at(int(blocks.row_numbers(i)[error.row])) from error
    except Exception as error:
        rows = blocks.row_numbers(i)
        error.add_note(f"in block {i} of the data, rows {rows[0]:,} to {rows[-1]:,}")
        raise


def _same(block: Block) -> _Arrays:
    return block
