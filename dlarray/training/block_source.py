"""Batches and validation examples from data in blocks: checked and cast block by block, in the reading thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray.blocks.base import Blocks
from dlarray.blocks.interface import Block
from dlarray.blocks.order import BlockOrder
from dlarray.blocks.reader import GroupReader
from dlarray.blocks.thread import ReadingThread
from dlarray.device import resolve
from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.training.class_weight import weigh_classes
from dlarray.training.data import Examples
from dlarray.training.data_names import DataNames
from dlarray.training.pieces import Piece
from dlarray.training.step import Batch

__all__ = ["BlockExamples", "BlockSource", "PrepareBlock"]

ROWS, NUMBERS = 4096, 2**19
"""The rows of validation blocks that are predicted at a time, and their numbers, 2 MiB in float32: at most."""


@dataclass(frozen=True)
class PrepareBlock:
    """Check and cast a block for a model, on the host, and multiply its weights by those of its classes.

    ``labels`` turns labels of any kind into the numbers of their classes.
    """

    model: MLP
    loss: Loss
    dtype: str
    labels: DataNames
    class_weights: np.ndarray | None = None

    def __call__(self, block: Block) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """The inputs, targets and weights."""
        ready = self.labels.classes is None and block[1].dtype.kind in "fiub"
        x, t, weight = block if ready else self.labels.arrays(*block)
        examples: Any = Examples.part_on(resolve("cpu"), self.model, self.loss, x, t, weight, self.dtype)
        if self.class_weights is not None:
            examples = weigh_classes(examples, self.class_weights, self.loss, self.model.outputs, self.dtype)
        return examples.x, examples.t, examples.weight


class BlockSource:
    """Batches of data in blocks, on the host, in an order that depends only on seed and epoch."""

    def __init__(
        self,
        blocks: Blocks,
        size: int,
        seed: int,
        shuffle: bool,
        epochs: int,
        thread: ReadingThread,
        prepare: PrepareBlock,
    ) -> None:
        self._rows = blocks.rows
        self._size = size
        self._reader = GroupReader(blocks, blocks.order(seed, shuffle), size, epochs, thread, prepare)

    @property
    def steps(self) -> int:
        return -(-self._rows // self._size)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, counted from 0, without the first ``start``. Each is a copy."""
        for piece in self.pieces(epoch, start):
            yield from piece.batches()

    def pieces(self, epoch: int, start: int = 0) -> Iterator[Piece]:
        """The same batches in groups, each valid until the next. Raises ValueError after an epoch without a weight."""
        counts = False
        for group in self._reader.groups(epoch, start):
            x, t, weight = group.data
            assert x is not None
            assert t is not None
            counts = counts or weight is None or bool(np.any(weight[group.order]))
            yield Piece(Examples(x, t, weight), self._size, group.order, len(group.order))
        if not counts and not start:
            raise ValueError("weight must be at least 0, and not 0 everywhere")


class BlockExamples:
    """Examples in blocks, in the order of the data, for metrics: ``for part in examples`` reads them once more."""

    def __init__(self, blocks: Blocks, thread: ReadingThread, prepare: PrepareBlock) -> None:
        self.fingerprint = blocks.fingerprint
        self._size = min(ROWS, max(NUMBERS // prepare.model.inputs, 1), blocks.rows)
        together = max(self._size // max(blocks.lengths), 1)
        order = BlockOrder(blocks.lengths, together, shuffle=False)
        self._reader = GroupReader(blocks, order, self._size, 1, thread, prepare)

    def __iter__(self) -> Iterator[Examples]:
        """Parts of equal sizes, but for the last one."""
        for group in self._reader.groups(0):
            x, t, weight = group.data
            assert x is not None
            assert t is not None
            for i in range(0, len(group.order), self._size):
                yield Examples(x, t, weight).take(group.order[i : i + self._size])
