"""What a walk leaves behind: the loss of every step, and a row of figures for every epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

__all__ = ["History"]

KEPT = 8192  # losses of steps in a file; of more, means of neighbours


@dataclass
class History:
    """``steps`` holds the loss of each step; ``epochs`` a row per epoch: loss, validation_loss and metrics by name.

    ``history["loss"]`` is a column of the epochs: the loss of an epoch's examples together, each as it was at its step.
    ``stopped`` says why the walk ended before all of its epochs, in words; it is empty where it did not. An epoch that
    was broken off has a row for the steps that it had.
    """

    steps: list[float] = field(default_factory=list[float])
    epochs: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    stopped: str = ""

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.names:
            raise KeyError(f"no figure is named {name!r}; there are {', '.join(self.names)}")
        return [row[name] for row in self.epochs]

    @property
    def names(self) -> list[str]:
        """The names of the epochs' figures."""
        return list(self.epochs[0]) if self.epochs else []

    def as_data(self) -> dict[str, Any]:
        """The history as JSON-ready data. Of more than 8,192 steps the means of 2, 4, 8, … neighbours are kept."""
        each = 1  # a power of 2, so that equal numbers have a mean without rounding
        while each * KEPT < len(self.steps):
            each *= 2
        parts = [self.steps[i : i + each] for i in range(0, len(self.steps), each)]
        means = [math.fsum(part) / len(part) for part in parts]
        return {"count": len(self.steps), "each": each, "steps": means, "epochs": [dict(row) for row in self.epochs]}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> History:
        """What ``as_data`` wrote; a mean stands in the place of each step it is of. Raises ValueError or TypeError."""
        count, each = int(data["count"]), int(data["each"])
        means = [float(value) for value in data["steps"]]
        if each < 1 or len(means) != -(-count // each):
            raise ValueError("its history has not as many steps as it says")
        epochs = [{str(name): float(value) for name, value in row.items()} for row in data["epochs"]]
        return cls([means[i // each] for i in range(count)], epochs)
