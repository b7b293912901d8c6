"""Batches from the host to the GPU while the step before is running: pinned memory, a copy stream, two slots.

Steps run on the current stream, copies on another one. A slot is pinned memory on the host and memory on the GPU. Two
events keep its order, batch after batch:

    host     waits for ``copied``        before it writes the pinned memory: the copy from it is done
    copies   wait for ``read``           before they write the GPU's memory: the step that reads it is done
    steps    wait for ``copied``         before they read the GPU's memory: the copy into it is done

The host only queues work, so it runs ahead of the GPU. While step k computes, batch k + 1 is copied into the other
slot. Batch k + 2 is copied into the slot of batch k, after step k. Tested on an emulated GPU in many
orders of the work, not on a real one yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from dlarray.core.array import Array
from dlarray.device.backend import HostBatch
from dlarray_cupy.nccl import wait_for_ranks

__all__ = ["upload"]


def upload(batches: Iterable[HostBatch], handle: Any) -> Iterator[tuple[Array | None, ...]]:
    """``Backend.upload`` for CuPy: a batch is valid until the next one is requested."""
    import cupy

    with handle:
        copies = cupy.cuda.Stream(non_blocking=True)
        slots = (_Slot(), _Slot())
    try:
        for number, batch in enumerate(batches):
            slot = slots[number % 2]
            with handle:
                if not number:
                    slots[1].room(batch)  # allocating waits for the GPU: do it now, before any step is queued
                arrays = slot.fill(batch, copies)
                cupy.cuda.get_current_stream().wait_event(slot.copied)
            yield arrays
            with handle:  # all that reads the batch is queued now
                slot.read.record(cupy.cuda.get_current_stream())
    finally:
        copies.synchronize()  # the memory of a slot can be freed only when no copy is running


class _Slot:
    """Memory for one batch on the host and on the GPU, and the two events of its order."""

    def __init__(self) -> None:
        import cupy

        self.copied = cupy.cuda.Event(disable_timing=True)
        self.read = cupy.cuda.Event(disable_timing=True)
        self._pinned: dict[int, np.ndarray] = {}
        self._on_gpu: dict[int, Any] = {}

    def fill(self, batch: HostBatch, copies: Any) -> tuple[Array | None, ...]:
        """The arrays on the GPU that the batch is copied into. Wait for ``copied`` before reading them."""
        import cupy

        wait_for_ranks(cupy.cuda.Device(), self.copied)
        self.copied.synchronize()
        arrays = self.room(batch)
        copies.wait_event(self.read)
        for i, (x, array) in enumerate(zip(batch, arrays, strict=True)):
            if x is not None and array is not None:
                pinned = self._pinned[i][: x.shape[0]]
                np.copyto(pinned, x)
                array.set(pinned, stream=copies)
        self.copied.record(copies)
        return arrays

    def room(self, batch: HostBatch) -> tuple[Array | None, ...]:
        """Arrays on the GPU for a batch: the first rows of the slot's arrays, or new ones."""
        return tuple(None if x is None else self._room(i, x) for i, x in enumerate(batch))

    def _room(self, i: int, x: np.ndarray) -> Array:
        import cupy
        import cupyx

        old = self._pinned.get(i)
        if old is None or old.dtype != x.dtype or old.shape[1:] != x.shape[1:] or len(old) < len(x):
            self._pinned[i] = cupyx.empty_pinned(x.shape, x.dtype)
            self._on_gpu[i] = cupy.empty(x.shape, x.dtype)
            self.read.record(cupy.cuda.get_current_stream())  # the pool's memory may still be in use there
        return self._on_gpu[i][: x.shape[0]]
