"""What a walk leaves behind: the loss of every step, and a row of figures for every epoch."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["History"]


@dataclass
class History:
    """``steps`` holds the loss of each step; ``epochs`` a row per epoch: loss, validation_loss and metrics by name.

    ``history["loss"]`` is a column of the epochs. ``stopped`` says why the walk ended before all of its epochs, in
    words; it is empty where it did not. An epoch that was broken off has a row for the steps that it had.
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
