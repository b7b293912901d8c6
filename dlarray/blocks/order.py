"""The order of an epoch: blocks in groups, and the rows of each group shuffled together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dlarray.core.random import Bits

__all__ = ["BlockOrder"]


@dataclass(frozen=True)
class BlockOrder:
    """An order of rows that depends only on seed and epoch, and needs one group of blocks in memory at a time.

    The blocks are permuted and cut into groups of at most ``group_size``, as equal as possible. The rows of a group,
    its blocks in the order of the data, are permuted. Batches are cut from the rows of all groups, one after the other.
    Every row occurs once in an epoch. If all blocks are one group, it is the order that ``fit`` draws for arrays.

    Rows of one block often resemble each other. In the worst case they are equal, as the labels of sorted data are.
    With k blocks in a group and N in all, the variance of the mean of a batch of b rows is then 1 + (b - 1) / k ·
    (N - k) / (N - 1) times that of a full shuffle: ``variance``.
    """

    lengths: Sequence[int]
    group_size: int
    seed: int = 0
    shuffle: bool = True

    @property
    def count(self) -> int:
        """The number of groups."""
        return -(-len(self.lengths) // self.group_size)

    def groups(self, epoch: int) -> list[list[int]]:
        """The blocks of each group."""
        n = len(self.lengths)
        order = Bits(self.seed, f"blocks {epoch}").permutation(n) if self.shuffle else np.arange(n)
        bounds = [round(i * n / self.count) for i in range(self.count + 1)]
        return [sorted(order[a:b].tolist()) for a, b in pairwise(bounds)]

    def rows(self, epoch: int, group: int, count: int) -> np.ndarray:
        """The order of the ``count`` rows of a group, int32."""
        if not self.shuffle:
            return np.arange(count, dtype=np.int32)
        purpose = f"order {epoch}" if group == 0 else f"order {epoch} {group}"  # one group: as the order of arrays
        return Bits(self.seed, purpose).permutation(count).astype(np.int32)

    def variance(self, batch_size: int) -> float:
        """The variance of a batch's mean, as a multiple of that of a full shuffle, if the rows of a block are equal."""
        n, k = len(self.lengths), min(self.group_size, len(self.lengths))
        return 1.0 if n < 2 else 1 + (batch_size - 1) / k * (n - k) / (n - 1)

    @property
    def most_rows(self) -> int:
        """The most rows that a group can have."""
        each = -(-len(self.lengths) // self.count)
        return sum(sorted(self.lengths, reverse=True)[:each])
