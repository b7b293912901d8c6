"""The history of a training run: the loss of every step, and the metrics of every epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, repeat
from typing import Any, cast, overload

import numpy as np

from dlarray.core.check import count, real, whole
from dlarray.core.html import html_table
from dlarray.training.json_data import entries, items

__all__ = ["History"]

MAX_LOSSES = 8192  # losses of steps in a file; of more steps, means of neighbours
MAX_COUNT = 2**62


@dataclass
class History:
    """``steps`` holds the loss of each step; ``epochs`` a row per epoch: loss, validation_loss and metrics by name.

    A file holds at most 8,192 losses. If the run had more steps, each step of a loaded history has the mean loss of its
    group of 2, 4, 8, … neighbours.

    ``history["loss"]`` is a column of the epochs: the loss of all examples of an epoch, each with the θ of its step.
    ``stopped`` says why training ended before its last epoch; it is empty if it did not. An incomplete epoch has a row
    for the steps that were done. A metric is NaN for an epoch in which it was not measured, for example after a run was
    resumed with other metrics.
    """

    steps: list[float] = field(default_factory=list[float])
    epochs: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    stopped: str = ""

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.names:
            raise KeyError(f"no metric is named {name!r}; there are {', '.join(self.names)}")
        return [row.get(name, math.nan) for row in self.epochs]

    def __repr__(self) -> str:
        last = self.epochs[-1] if self.epochs else {}
        parts = [count(len(self.epochs), "epoch"), count(len(self.steps), "step")]
        parts += [f"{name}={value:.4g}" for name, value in last.items()]
        return f"History({', '.join(parts)}{f', stopped={self.stopped!r}' if self.stopped else ''})"

    def _repr_html_(self) -> str:
        columns = ((name, self[name]) for name in self.names)
        rows = [(name, f"{values[0]:.4g}", f"{values[-1]:.4g}") for name, values in columns]
        summary = f"{count(len(self.epochs), 'epoch')}, {count(len(self.steps), 'step')}"
        return html_table(f"{summary}\n{self.stopped}", ("metric", "first epoch", "last epoch"), rows)

    @property
    def names(self) -> list[str]:
        """The names of the metrics of the epochs."""
        return list(dict.fromkeys(name for row in self.epochs for name in row))

    def downsampled(self) -> tuple[int, list[float]]:
        """At most 8,192 losses, and before them how many steps each stands for: 1, or 2, 4, 8, … with their mean."""
        if isinstance(self.steps, _Means):
            return self.steps.each, self.steps.means
        each = 1  # a power of 2, so that equal numbers have a mean without rounding
        while each * MAX_LOSSES < len(self.steps):
            each *= 2
        parts = [self.steps[i : i + each] for i in range(0, len(self.steps), each)]
        return each, [math.fsum(part) / len(part) for part in parts]

    def to_data(self) -> dict[str, Any]:
        """The history as data for JSON, ``downsampled``."""
        each, means = self.downsampled()
        return {"count": len(self.steps), "each": each, "steps": means, "epochs": [dict(row) for row in self.epochs]}

    @classmethod
    def from_data(cls, data: Any) -> History:
        """The history that ``to_data`` wrote. Each step has the mean of its group. Raises ValueError or TypeError."""
        found = entries("its history", data, "count", "each", "steps", "epochs")
        count, each = (
            whole("its count of steps", found["count"], most=MAX_COUNT),
            whole("each", found["each"], 1, MAX_COUNT),
        )
        means = [real("a loss", value) for value in items("its steps", found["steps"])]
        if len(means) != -(-count // each):
            raise ValueError("its history does not have as many steps as it says")
        epochs = [
            {name: real(name, value) for name, value in entries("an epoch", row).items()}
            for row in items("its epochs", found["epochs"])
        ]
        return cls(means if each == 1 else cast("list[float]", _Means(count, each, means)), epochs)


class _Means(Sequence[float]):
    """The losses of all steps when only means of neighbours are known: each step has the mean of its group.

    It is no list: a file could name any number of steps, and a list would need that much memory.
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
