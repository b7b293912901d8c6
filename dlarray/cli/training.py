"""The options of ``dlarray train`` for tables and for digits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlarray.activations import Activation
from dlarray.device import Device
from dlarray.optimizers import Optimizer

__all__ = ["TrainingOptions"]


@dataclass(frozen=True)
class TrainingOptions:
    """Options for any data. A batch size of None depends on the data; 0 means all examples."""

    device: Device
    hidden: list[int]
    activation: Activation
    optimizer: Optimizer
    epochs: int
    batch_size: int | None
    seed: int
    output: Path | None
