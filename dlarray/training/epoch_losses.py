"""The losses of the current epoch, each with the weight of its batch."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, NamedTuple

from dlarray.core.array import Array
from dlarray.device import to_numbers
from dlarray.device.backend import of

__all__ = ["EpochLosses"]


class EpochLosses:
    """One loss per step, a 0-d array on the device or a number, with the number of examples and their mean weight.

    The product of the two is Σ w, the weight of the batch in the loss of the epoch. They are stored separately because
    Σ w can be too large for float32.
    """

    def __init__(self) -> None:
        self._values: list[Any] = []
        self._counts: list[int] = []
        self._weights: list[Any] = []

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: Any, count: int, weight: Any = 1.0) -> None:
        """Add the loss of one step, the number of its examples and their mean weight."""
        self._values.append(value)
        self._counts.append(count)
        self._weights.append(weight)

    def add_several(self, values: Array, count: int, weights: Array | None = None) -> None:
        """Add the losses of steps done in one call, with ``count`` examples each and the mean weight of each, or 1."""
        steps = range(values.shape[0])
        self._values += [_Element(values, i) for i in steps]
        self._counts += [count for _ in steps]
        self._weights += [1.0 if weights is None else _Element(weights, i) for i in steps]

    def latest(self) -> float:
        """The loss of the latest step. Reading it waits for the device."""
        return to_numbers(_with_vectors_read(self._values[-1:]))[0]

    def read(self) -> tuple[list[float], list[float]]:
        """The losses and the Σ w of their batches as numbers. It waits for the device once for all of them."""
        numbers = to_numbers(_with_vectors_read(self._values + self._weights))
        self._values, self._weights = numbers[: len(self)], numbers[len(self) :]
        return self._values, [n * weight for n, weight in zip(self._counts, self._weights, strict=True)]


class _Element(NamedTuple):
    """One element of a vector."""

    vector: Array
    i: int


def _with_vectors_read(values: list[Any]) -> list[Any]:
    """The values with numbers in place of elements of vectors. All vectors are read together."""
    vectors = {id(value.vector): value.vector for value in values if isinstance(value, _Element)}
    if not vectors:
        return values
    read: list[float] = of(next(iter(vectors.values()))).concat_to_numpy(list(vectors.values())).tolist()
    starts = dict(zip(vectors, accumulate((v.shape[0] for v in vectors.values()), initial=0), strict=False))
    return [read[starts[id(x.vector)] + x.i] if isinstance(x, _Element) else x for x in values]
