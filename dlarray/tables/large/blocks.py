"""The training rows of a large table as blocks of features and targets: each is encoded when it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlarray.blocks import Blocks
from dlarray.tables.blocks import BlockedTable
from dlarray.tables.large.counting import with_target
from dlarray.tables.large.split import RowSplit
from dlarray.tables.preprocessing import Preprocessing
from dlarray.tables.reading import Cells
from dlarray.tables.targets import Target
from dlarray.tables.values import without_warnings

__all__ = ["TableBlocks"]

PARTS = 6  # of the allowed memory; one is for the features of a group of blocks


class TableBlocks(Blocks):
    """The rows of a ``table`` that have a target and are not held out, by its ``preprocessing``.

    ``lengths`` are their numbers, ``target_cells`` the target's values in the sample. The thread that reads blocks in
    advance encodes them. Groups of blocks have as many features as fit into the ``memory``.
    """

    def __init__(
        self,
        table: BlockedTable,
        preprocessing: Preprocessing,
        target: Target,
        target_cells: Cells,
        split: RowSplit,
        lengths: Sequence[int],
        memory: int,
    ) -> None:
        self.table = table
        self.preprocessing = preprocessing
        self.target = target
        self._cells = target_cells
        self._split = split
        self._lengths = tuple(lengths)
        numbers = max(1, max(self._lengths) * len(preprocessing.features))
        self.blocks_per_group = int(np.clip(memory // (PARTS * 4 * numbers), 1, len(self._lengths)))

    @property
    def lengths(self) -> Sequence[int]:
        return self._lengths

    @property
    def fingerprint(self) -> Any:
        return {"files": self.table.fingerprint, "blocks": [len(self._lengths), self.rows]}

    def read(self, i: int) -> tuple[np.ndarray, np.ndarray, None]:
        """Features, float32 (rows, features), and targets of block i."""
        with without_warnings():  # they have been given when the rows were counted
            frame = self.table.read(i)
            numbers = self.table.blocks[i].first + np.arange(frame.height)
            has_target = with_target(self._cells, frame)
            frame, numbers = frame.filter(has_target), numbers[has_target]
            frame = frame.filter(~self._split.held_out(frame, numbers))
            return self.preprocessing.transform(frame), self.target.encode(frame[self.target.name]), None
