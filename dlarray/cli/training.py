"""The options of ``dlarray train`` for tables and for digits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlarray.activations import Activation
from dlarray.cli.ranks import CommandRanks
from dlarray.device import Device
from dlarray.optimizers import Optimizer

__all__ = ["TrainingOptions"]


@dataclass(frozen=True)
class TrainingOptions:
    """Options for any data. What is None depends on the data; a batch size of 0 means all examples."""

    device: Device
    hidden: list[int] | None
    activation: Activation
    optimizer: Optimizer | None
    epochs: int | None
    batch_size: int | None
    seed: int
    output: Path | None
    checkpoints: Path | None
    resume: bool
    ranks: CommandRanks

    @property
    def parallel(self) -> str | None:
        """The argument of this name."""
        return "mpi" if self.ranks.size > 1 else None

    @property
    def processes(self) -> str:
        """Such as ", 4 processes"; "" for one."""
        return f", {self.ranks.size} processes" if self.ranks.size > 1 else ""
