"""What every training is out, whatever it learns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlarray.activations import Activation
from dlarray.device import Device
from dlarray.optimizers import Optimizer

__all__ = ["Training"]


@dataclass(frozen=True)
class Training:
    """The options of ``dlarray train``, read. A batch size of None is chosen by the data, 0 is all of them."""

    where: Device
    hidden: list[int]
    activation: Activation
    optimizer: Optimizer
    epochs: int
    batch_size: int | None
    seed: int
    output: Path | None
