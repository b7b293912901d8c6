"""Batches on ranks: every rank draws the same batch and takes its own rows of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from dlarray.core.ranks import Ranks
from dlarray.device import Device, to_numpy
from dlarray.losses import Loss
from dlarray.training.agreement import equal_batches
from dlarray.training.batch_source import ArraySource, BatchSource, IterableSource, UploadSource
from dlarray.training.step import Batch, Step

__all__ = ["OwnRows", "RankBatches"]

_Entry = tuple[int, float, float | None, int]
"""The rows of the whole batch and their mean weight; this rank's share of the weight, None if it has the whole batch;
and the number of rows before its first one."""


class OwnRows:
    """The rows of this rank of each batch of a source.

    A batch with fewer than ``least`` rows is given whole to every rank: each computes it without the others.
    """

    def __init__(self, source: BatchSource, ranks: Ranks, least: int, loss: Loss, dtype: str) -> None:
        self.source = source
        self.ranks = ranks
        self.least = least
        self.loss = loss
        self.dtype = dtype
        self.entries: deque[_Entry] = deque()
        """One for each batch that has been yielded, in order."""
        self._weights: np.ndarray | None = None
        """The weights of all examples, on the host, if they are known already."""
        self._all_one = False

    @property
    def steps(self) -> int | None:
        return self.source.steps

    @property
    def only_once(self) -> bool:
        """Whether the batches can be read only once."""
        return bool(getattr(self.source, "only_once", False))

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, counted from 0, without the first ``start``."""
        self.entries.clear()
        if isinstance(self.source, ArraySource) and (order := self.source.host_order(epoch)) is not None:
            yield from self._gathered(self.source, order, start)
            return
        batches = self.source.batches(epoch, start)
        if isinstance(self.source, IterableSource):
            batches = equal_batches(self.ranks, batches, epoch, start)
        for x, t, weight in batches:
            i, j = self._enter(x.shape[0], self._weights_of(t, weight))
            yield x[i:j, ...], t[i:j, ...], None if weight is None else weight[i:j]

    def _gathered(self, source: ArraySource, order: np.ndarray, start: int) -> Iterator[Batch]:
        """Of an order only the rows of this rank are taken from the examples."""
        examples, size, n = source.examples, source.size, len(source.examples)
        if self._weights is None:
            self._weights = self._weights_of(examples.t, examples.weight)
        bounds: list[tuple[int, int]] = []
        for first in range(start * size, n, size):
            last = min(first + size, n)
            i, j = self._enter(last - first, None if self._weights is None else self._weights[order[first:last]])
            bounds.append((first + i, first + j))
        whole = bounds if not bounds or bounds[0][1] - bounds[0][0] == bounds[-1][1] - bounds[-1][0] else bounds[:-1]
        for part in (whole, bounds[len(whole) :]):
            if part:
                own = source.device.asarray(np.concatenate([order[i:j] for i, j in part]))
                yield from examples.batches(part[0][1] - part[0][0], own)

    def _enter(self, n: int, weights: np.ndarray | None) -> tuple[int, int]:
        """The bounds of this rank's rows in a batch of n, whose entry is added."""
        mean = 1.0 if weights is None else float(weights.mean())
        if n < self.least:
            self.entries.append((n, mean, None, 0))
            return 0, n
        i, j = self.ranks.bounds(n)[self.ranks.rank : self.ranks.rank + 2]
        if self.loss.reduction == "sum":
            share = 1.0
        elif weights is None:
            share = (j - i) / n
        else:
            most = float(weights.max()) or 1.0
            total = float((weights / most).sum())
            share = float((weights[i:j] / most).sum()) / total if total else 0.0
        self.entries.append((n, mean, share, i))
        return i, j

    def _weights_of(self, t: Any, weight: Any) -> np.ndarray | None:
        """The weights of examples in float64, None if all are 1: then all batches without weights have none."""
        if weight is None and self._all_one:
            return None
        weights = self.loss.example_weights(t, weight, self.dtype)
        self._all_one = weight is None and weights is None
        return None if weights is None else to_numpy(weights).astype(np.float64)


class RankBatches:
    """The batches of ``OwnRows``, on the device, with the share of their weight and the number of rows before them."""

    def __init__(self, whole: BatchSource, ranks: Ranks, step: Step, device: Device, dtype: str) -> None:
        self.of_all_ranks = whole
        """The source of the whole batches."""
        uploads = isinstance(whole, UploadSource)
        least = ranks.size * step.accumulate
        self.rows = OwnRows(whole.source if uploads else whole, ranks, least, step.loss, dtype)
        self._batches: BatchSource = UploadSource(self.rows, device) if uploads else self.rows
        self._device = device
        self._dtype = dtype
        self._known: dict[tuple[float, int], tuple[Any, Any]] = {}
        self._whole = (0, 1.0)
        """The rows of the whole of the latest batch, and their mean weight."""

    @property
    def steps(self) -> int | None:
        return self._batches.steps

    @property
    def only_once(self) -> bool:
        """Whether the batches can be read only once."""
        return self.rows.only_once

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, counted from 0, without the first ``start``."""
        for batch in self._batches.batches(epoch, start):
            n, mean, share, before = self.rows.entries.popleft()
            self._whole = n, mean
            yield batch if share is None else (*batch, *self._arrays(share, before))

    def _arrays(self, share: float, before: int) -> tuple[Any, Any]:
        """Both numbers on the device. Without weights there are two pairs: for full batches and for the last one."""
        if (found := self._known.get((share, before))) is None:
            number = self._device.asarray(np.asarray(share, dtype=self._dtype))
            found = number, self._device.asarray(np.asarray([before], dtype=np.int32))
            if len(self._known) < 8:
                self._known[share, before] = found
        return found

    def count_and_weight(self, batch: Batch) -> tuple[int, Any]:
        """The examples of the whole of the latest batch, and their mean weight: the weight of its loss in the epoch."""
        return self._whole
