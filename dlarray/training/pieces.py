"""Pieces of an epoch whose examples are in memory: from them several steps are done in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from dlarray.core.array import Array
from dlarray.device import Device
from dlarray.training.data import Examples
from dlarray.training.step import Batch

__all__ = ["Piece", "Pieces"]

Pieces = Callable[[int, int], Iterator["Piece"]]
"""The pieces of an epoch without its first batches, by the numbers of both."""


@dataclass(frozen=True)
class Piece:
    """The batches of ``size`` of so many ``rows``, without the first ``start``. The last one can be smaller.

    ``order`` has the indices of the examples; None stands for the order of the arrays. Both can have more rows.
    """

    examples: Examples
    size: int
    order: Array | None
    rows: int
    start: int = 0

    @property
    def full(self) -> int:
        """The number of batches with ``size`` examples, those before ``start`` included."""
        return self.rows // self.size

    def batches(self, done: int | None = None) -> Iterator[Batch]:
        """The batches without the first ``done``, by default ``start``."""
        order = None if self.order is None else self.order[: self.rows]
        return self.examples.batches(self.size, order, self.start if done is None else done)

    def on(self, device: Device) -> Piece:
        """The same piece of host arrays, moved to a device. All pieces of a run have the same shapes there."""
        x, t, weight = (
            a if a is None else device.asarray(a) for a in (self.examples.x, self.examples.t, self.examples.weight)
        )
        order = np.zeros(len(self.examples), dtype=np.int32)
        order[: self.rows] = np.arange(self.rows) if self.order is None else self.order
        return Piece(Examples(x, t, weight), self.size, device.asarray(order), self.rows, self.start)
