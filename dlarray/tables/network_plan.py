"""What the network of a table model is, and how it is trained: known before the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlarray.activations import Activation
from dlarray.core.check import count
from dlarray.core.ranks import ALONE, Ranks
from dlarray.device import Device
from dlarray.model import MLP, mlp
from dlarray.optimizers import AdamW, Optimizer
from dlarray.tables.checkpoints import Checkpoints
from dlarray.tables.members import can_be_merged
from dlarray.tables.targets import ClassificationTarget, Target
from dlarray.training.class_weight import class_weights

__all__ = ["NetworkOptions", "NetworkPlan", "plan_network"]

NETWORKS = 5
EPOCHS = 200
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 0.1
LEAST_ROWS = 200
SPARE_ROWS = 4  # the numbers of rows that the networks are trained on differ by a few


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """The network and its training: units of the ``hidden`` layers; the others as in ``tables.train``.

    ``class_weight`` is "balanced" or a weight for each class by its number. ``max_time`` is in seconds. ``seeds`` is
    the number of networks whose outputs are averaged. None is the default of ``train_network``. ``jobs`` is how many
    workers train at once.
    """

    hidden: Sequence[int] = (128,)
    activation: str | Activation = "relu"
    optimizer: str | Optimizer | None = None
    epochs: int | None = None
    batch_size: int | None = None
    class_weight: str | Mapping[int, float] | None = None
    early_stopping: bool | None = None
    seeds: int | None = None
    max_time: float | None = None
    seed: int = 0
    device: Device
    progress: bool | None = None
    checkpoints: Checkpoints | None = None
    cache: Path | None = None
    jobs: int = 1
    parallel: Any = None
    ranks: Ranks = ALONE
    """Those of ``parallel``, once they have been joined."""

    def row_weights(self, t: np.ndarray, target: Target) -> np.ndarray | None:
        """The weight of each of these rows by its class, or None."""
        if self.class_weight is None or not isinstance(target, ClassificationTarget):
            return None
        return class_weights(self.class_weight, np.bincount(t, minlength=target.outputs))[t]


@dataclass(frozen=True)
class NetworkPlan:
    """What ``train_network`` will do, known before training: the model and its training in words."""

    model: MLP
    widths: tuple[int, ...]
    networks: int
    optimizer: str | Optimizer
    epochs: int
    batch_size: int
    most_rows: int | None
    """Each network is trained on so many rows at most, so that all have batches of one size."""
    early_stopping: bool
    max_time: float | None

    @property
    def description(self) -> str:
        """Such as "5 networks 4-128-3, 1,027 parameters each; at most 200 epochs, early stopping, batch size 32"."""
        widths = "-".join(str(width) for width in self.widths)
        parameters = count(self.model.layout.count, "parameter")
        if self.networks > 1:
            widths, parameters = f"{self.networks} networks {widths}", f"{parameters} each"
        most = "at most " if self.early_stopping else ""
        stopping = ", early stopping" if self.early_stopping else ""
        return f"{widths}, {parameters}; {most}{count(self.epochs, 'epoch')}{stopping}, batch size {self.batch_size:,}"


def plan_network(rows: int, inputs: int, target: Target, options: NetworkOptions) -> NetworkPlan:
    """The network and its training for so many training rows and inputs.

    By default five networks, or one if their layers cannot be merged, each trained by AdamW for at most 200 epochs with
    early stopping.
    """
    model = mlp(inputs, *options.hidden, target.outputs, activation=options.activation)
    networks = (options.seeds or NETWORKS) if can_be_merged(model) else 1
    most_rows = None
    if options.batch_size:
        size = min(rows, options.batch_size)
    else:
        size = min(rows, int(np.clip(2 ** round(np.log2(max(1, rows / 256))), 32, 512)))
        if networks > 1 and rows >= LEAST_ROWS:
            size, most_rows = _without_remainder(rows - SPARE_ROWS, size)
    return NetworkPlan(
        model,
        (inputs, *options.hidden, target.outputs),
        networks,
        AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY) if options.optimizer is None else options.optimizer,
        options.epochs or EPOCHS,
        size,
        most_rows,
        options.early_stopping is not False,
        options.max_time,
    )


def _without_remainder(rows: int, size: int) -> tuple[int, int]:
    """A batch size near ``size`` that leaves the fewest rows over, and the rows that it divides.

    A smaller last batch of an epoch would need a compiled step of its own.
    """
    near = range(size - size // 4, size + size // 4 + 1)
    best = min(near, key=lambda n: (rows % n, abs(n - size)))
    return best, rows - rows % best
