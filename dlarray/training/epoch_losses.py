"""The losses of the epoch under way, and what each of them counts beside the others."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, NamedTuple

from dlarray.core.array import Array
from dlarray.device import to_numbers
from dlarray.device.backend import of

__all__ = ["EpochLosses"]


class EpochLosses:
    """One loss per step, 0-d arrays on the device or numbers, and for each the examples and their mean weight.

    The examples times their mean weight is Σ w, by which a batch counts in the loss of the epoch. The two are kept
    apart because Σ w itself may be beyond float32.
    """

    def __init__(self) -> None:
        self._values: list[Any] = []
        self._counts: list[int] = []
        self._weights: list[Any] = []

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: Any, count: int, weight: Any = 1.0) -> None:
        """The loss of one step, its examples and their mean weight."""
        self._values.append(value)
        self._counts.append(count)
        self._weights.append(weight)

    def add_several(self, values: Array, count: int, weights: Array | None = None) -> None:
        """The losses of steps that were taken in one call, each of so many examples; mean weights for each, or 1."""
        steps = range(values.shape[0])
        self._values += [_Element(values, i) for i in steps]
        self._counts += [count for _ in steps]
        self._weights += [1.0 if weights is None else _Element(weights, i) for i in steps]

    def latest(self) -> float:
        """The loss of the latest step; reading it waits for the device."""
        return to_numbers(_with_vectors_read(self._values[-1:]))[0]

    def read(self) -> tuple[list[float], list[float]]:
        """The losses and the Σ w of their batches as numbers; waits for the device, once for all of them."""
        numbers = to_numbers(_with_vectors_read(self._values + self._weights))
        self._values, self._weights = numbers[: len(self)], numbers[len(self) :]
        return self._values, [n * weight for n, weight in zip(self._counts, self._weights, strict=True)]


class _Element(NamedTuple):
    """A number in a vector of them."""

    vector: Array
    i: int


def _with_vectors_read(values: list[Any]) -> list[Any]:
    """The values with numbers for those that came as vectors, all of which are read together."""
    vectors = {id(value.vector): value.vector for value in values if isinstance(value, _Element)}
    if not vectors:
        return values
    read: list[float] = of(next(iter(vectors.values()))).concat_to_numpy(list(vectors.values())).tolist()
    starts = dict(zip(vectors, accumulate((v.shape[0] for v in vectors.values()), initial=0), strict=False))
    return [read[starts[id(x.vector)] + x.i] if isinstance(x, _Element) else x for x in values]
