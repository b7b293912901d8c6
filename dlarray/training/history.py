"""What a walk leaves behind: the loss of every step, and a row of figures for every epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, repeat
from typing import Any, cast, overload

import numpy as np

from dlarray.core.check import real, whole
from dlarray.training.json_data import entries, items

__all__ = ["History"]

MAX_LOSSES = 8192  # losses of steps in a file; of more, means of neighbours
MAX_COUNT = 2**62


@dataclass
class History:
    """``steps`` holds the loss of each step; ``epochs`` a row per epoch: loss, validation_loss and metrics by name.

    Of a model from a file that took more than 8,192 steps, ``steps`` is a sequence in which the mean of 2, 4, 8, …
    neighbours stands in the place of each of them.

    ``history["loss"]`` is a column of the epochs: the loss of an epoch's examples together, each as it was at its step.
    ``stopped`` says why the walk ended before all of its epochs, in words; it is empty where it did not. An epoch that
    was broken off has a row for the steps that it had. A figure is NaN for an epoch that did not measure it, as where a
    run was resumed with other metrics.
    """

    steps: list[float] = field(default_factory=list[float])
    epochs: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    stopped: str = ""

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.names:
            raise KeyError(f"no figure is named {name!r}; there are {', '.join(self.names)}")
        return [row.get(name, math.nan) for row in self.epochs]

    @property
    def names(self) -> list[str]:
        """The names of the epochs' figures."""
        return list(dict.fromkeys(name for row in self.epochs for name in row))

    def downsampled(self) -> tuple[int, list[float]]:
        """The losses of at most 8,192 steps, or of more the means of 2, 4, 8, … neighbours; first, of how many."""
        if isinstance(self.steps, _Means):
            return self.steps.each, self.steps.means
        each = 1  # a power of 2, so that equal numbers have a mean without rounding
        while each * MAX_LOSSES < len(self.steps):
            each *= 2
        parts = [self.steps[i : i + each] for i in range(0, len(self.steps), each)]
        return each, [math.fsum(part) / len(part) for part in parts]

    def to_data(self) -> dict[str, Any]:
        """The history as JSON-ready data, ``downsampled``."""
        each, means = self.downsampled()
        return {"count": len(self.steps), "each": each, "steps": means, "epochs": [dict(row) for row in self.epochs]}

    @classmethod
    def from_data(cls, data: Any) -> History:
        """What ``to_data`` wrote; a mean stands in the place of each step it is of. Raises ValueError or TypeError."""
        found = entries("its history", data, "count", "each", "steps", "epochs")
        count, each = (
            whole("its count of steps", found["count"], most=MAX_COUNT),
            whole("each", found["each"], 1, MAX_COUNT),
        )
        means = [real("a loss", value) for value in items("its steps", found["steps"])]
        if len(means) != -(-count // each):
            raise ValueError("its history has not as many steps as it says")
        epochs = [
            {name: real(name, value) for name, value in entries("an epoch", row).items()}
            for row in items("its epochs", found["epochs"])
        ]
        return cls(means if each == 1 else cast("list[float]", _Means(count, each, means)), epochs)


class _Means(Sequence[float]):
    """The losses of steps of which only means of neighbours are known: each in the place of every step it is of.

    A list of them all would take memory by their number, which a file may name as it likes.
    """

    def __init__(self, length: int, each: int, means: list[float]) -> None:
        self.length, self.each, self.means = length, each, means

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, i: int) -> float: ...
    @overload
    def __getitem__(self, i: slice) -> list[float]: ...
    def __getitem__(self, i: int | slice) -> float | list[float]:
        if isinstance(i, slice):
            return [self.means[j // self.each] for j in range(*i.indices(self.length))]
        return self.means[range(self.length)[i] // self.each]

    def __iter__(self) -> Iterator[float]:
        return islice(chain.from_iterable(repeat(mean, self.each) for mean in self.means), self.length)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.repeat(np.asarray(self.means, dtype=dtype), self.each)[: self.length]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _Means):
            return vars(self) == vars(other)
        return isinstance(other, list) and list(self) == other

    __hash__ = None  # type: ignore[assignment]
