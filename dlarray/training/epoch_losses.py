"""The losses of the current epoch, each with the weight of its batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from dlarray.core.array import Array
from dlarray.device import to_numbers
from dlarray.device.backend import of

__all__ = ["EpochLosses"]

_Entry = tuple[Any, int, Any]
"""A loss or a vector of them, the number of examples of a batch, and its mean weight or a vector of them."""


_NUMBERS: tuple[type[Any], ...] = (float, np.generic)


class EpochLosses:
    """One loss per step, a 0-d array on the device or a number, with the number of examples and their mean weight.

    The product of the two is Σ w, the weight of the batch in the loss of the epoch. They are stored separately because
    Σ w can be too large for float32.
    """

    def __init__(self) -> None:
        self._values: list[float] = []
        self._weights: list[float] = []
        self._unread: list[_Entry] = []
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, value: Any, count: int, weight: Any = 1.0) -> None:
        """Add the loss of one step, the number of its examples and their mean weight."""
        self._unread.append((value, count, weight))
        self._length += 1

    def add_several(self, values: Array, count: int, weights: Array | None = None) -> None:
        """Add the losses of steps done in one call, with ``count`` examples each and the mean weight of each, or 1."""
        self._unread.append((values, count, 1.0 if weights is None else weights))
        self._length += values.shape[0]

    def latest(self) -> float:
        """The loss of the latest step. Reading it waits for the device."""
        if not self._unread:
            return self._values[-1]
        value = self._unread[-1][0]
        return to_numbers([value[-1] if _is_vector(value) else value])[0]

    def read(self) -> tuple[list[float], list[float]]:
        """The losses and the Σ w of their batches as numbers. It waits for the device once for all of them."""
        unread, self._unread = self._unread, []
        numbers = _numbers([item for value, _, weight in unread for item in (value, weight)])
        for values, (_, count, _), weights in zip(numbers[::2], unread, numbers[1::2], strict=True):
            self._values += values
            self._weights += [count * weight for weight in weights] * (
                1 if len(weights) == len(values) else len(values)
            )
        return self._values, self._weights


def _is_vector(x: Any) -> bool:
    return not isinstance(x, _NUMBERS) and x.ndim > 0


def _numbers(items: Sequence[Any]) -> list[list[float]]:
    """The numbers of each scalar or vector. All arrays are read together."""
    arrays = [x for x in items if not isinstance(x, _NUMBERS)]
    read: Iterator[float] = iter(of(arrays[0]).concat_to_numpy(arrays).tolist() if arrays else ())
    return [[float(x)] if isinstance(x, _NUMBERS) else list(islice(read, x.shape[0] if x.ndim else 1)) for x in items]
