"""One training step: forward feed, loss, back propagation, optimizer.

A compiler gets the function ``step(state, batch) -> (state, loss)``. The state is a tree of arrays only. Everything
that changes from step to step is an array in it: a Python number would become a constant of the compiled step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NotRequired, TypedDict

import numpy as np

from dlarray.core.array import Array, array_namespace
from dlarray.core.layout import Theta
from dlarray.core.random import after_rows, check_hash, fold_in, key_words
from dlarray.core.ranks import ALONE, Ranks
from dlarray.device import Device
from dlarray.device.description import Names
from dlarray.losses import Loss
from dlarray.losses.weights import mean_weight
from dlarray.model import MLP
from dlarray.optimizers import Optimizer
from dlarray.optimizers.base import State
from dlarray.training.sharded import Sharded

__all__ = ["Batch", "Step", "TrainState"]

Batch = tuple[Any, ...]
"""Inputs, targets, and a weight per example or None. On ranks the rows of this rank, and two arrays more: the share of
their weight in that of the batch, (), and the number of the batch's rows before them, (1,) of int32."""


class TrainState(TypedDict):
    """Everything that a step changes, and the key of its random numbers."""

    theta: Theta
    optimizer: tuple[State, ...]
    buffers: Theta
    steps: Array
    key: Array
    scaling: NotRequired[dict[str, Array]]
    """The scale of the loss for float16; see ``mixed_precision``."""


@dataclass(frozen=True)
class Step:
    """θ ← optimizer(θ, dL/dθ) on one batch.

    ``accumulate`` splits the batch into that many parts, computes the gradient of each and adds them up: the same step
    with a fraction of the memory. The mean of a part is weighted by its number of examples, or by the sum of their
    weights (class weights included). Only BatchNorm and Dropout differ: statistics and masks are computed for each
    part. Raises ValueError for accumulate above 1 with a loss that is not a sum of terms, such as RMSE: its gradient is
    not the sum of the gradients of the parts.

    On ``ranks`` a batch holds the rows of this rank; the loss is that of all rows, on every rank. The model sums its
    gradients itself, layer by layer (``parallel_model``), unless the batch is split into parts: then they are summed
    once.
    """

    model: MLP
    loss: Loss
    optimizer: Optimizer
    accumulate: int = 1
    ranks: Ranks = ALONE

    def __post_init__(self) -> None:
        if self.accumulate > 1 and not self.loss.additive:
            raise ValueError(
                f"accumulate={self.accumulate} adds up the gradients of a batch's parts, and "
                f"{type(self.loss).__name__} is no sum over examples: give accumulate=1, or an additive loss "
                f"such as MeanSquaredError"
            )

    @cached_property
    def _formula(self) -> Loss:
        """The loss without checks of the targets: they are checked before training, and a step waits for no device."""
        return self.loss.unchecked()

    def init(self, theta: Theta, buffers: Theta, seed: int, device: Device) -> TrainState:
        """The state before the first step. θ and the buffers in it will be consumed.

        Raises ValueError for layers with random numbers on a device whose library cannot compute their hashes.
        """
        if drawing := [str(f) for f in self.model.layers if f.random]:
            check_hash(device.backend, " and ".join(dict.fromkeys(drawing)))
        masks = self.model.layout_of(theta).mask(self.model.decays, theta) if theta else ()
        return TrainState(
            theta=theta,
            optimizer=self.optimizer.init_all(theta, masks),
            buffers=buffers,
            steps=device.asarray(np.zeros((), dtype=np.int32)),
            key=device.asarray(key_words(seed, "masks")),
        )

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, Array]:
        """The next state and the batch's loss. Consumes the state."""
        value, g, buffers = self.gradient(state, batch)
        layout = self.model.layout_of(state["theta"])
        theta, optimizer = self.optimizer.step_parameters(state["theta"], g, state["optimizer"], layout)
        steps = state["steps"]
        steps += 1
        return TrainState(theta=theta, optimizer=optimizer, buffers=buffers, steps=steps, key=state["key"]), value

    @property
    def names(self) -> Names:
        """The names of its arrays: parameters and buffers by layer, x and target as in the textbook."""
        return Names(
            arrays={f"batch[{i}]": name for i, name in enumerate(("x", "target", "weight", "share", "rows before"))},
            parts={"theta": self.model.layout, "buffers": self.model.buffer_layout},
            parameters="theta",
        )

    def gradient(self, state: TrainState, batch: Batch, scale: Array | None = None) -> tuple[Array, Theta, Theta]:
        """The loss of the batch, its gradient, multiplied by ``scale`` if given, and the new buffers."""
        theta, buffers, steps = state["theta"], state["buffers"], state["steps"]
        batch, share_of_rank, rows_before = batch[:3], *(batch[3:] or (None, None))
        # Dozens of small operations: an eager step skips them if no layer is random.
        key = fold_in(state["key"], steps) if self.model.chain.random else None
        value: Array | None = None
        g: Theta = ()
        for i, (share, (x, t, weight)) in enumerate(self._parts(batch, theta[0].dtype if theta else batch[0].dtype)):
            z, saved = self.model.forward(theta, x, None if key is None else _key_of(key, i, rows_before))
            part, terms = self._formula.forward(z, t, weight)
            dz = self._formula.backward(terms)
            for factor in (share, share_of_rank):
                if factor is not None:
                    part, dz = part * factor, dz * factor
            if scale is not None:
                dz = dz * scale
            buffers = self.model.update_buffers(saved, buffers)
            value = part if value is None else value + part
            own = self.model.backward(theta, saved, dz)
            g = tuple(a + b for a, b in zip(g, own, strict=True)) if g else own
        if self.accumulate > 1 and not isinstance(self.optimizer, Sharded):
            g = tuple(self.ranks.sum(v) for v in g)
        return self.ranks.sum(value), g, buffers

    def _parts(self, batch: Batch, dtype: Any) -> list[tuple[Array | float | None, Batch]]:
        """The parts of the batch, each with its share of the mean; None if it is not scaled."""
        x, t, weight = batch
        if self.accumulate == 1:
            return [(None, batch)]
        n = x.shape[0]
        if not isinstance(n, int):
            raise ValueError(f"accumulate={self.accumulate} needs a known batch size, got x of shape {tuple(x.shape)}")
        if (parts := min(self.accumulate, n)) == 1:
            return [(None, batch)]
        share = self._shares(n, self.loss.example_weights(t, weight, dtype))
        bounds = [round(i * n / parts) for i in range(parts + 1)]
        return [
            (share(i, j), (x[i:j, ...], t[i:j, ...], None if weight is None else weight[i:j]))
            for i, j in pairwise(bounds)
        ]

    def _shares(self, n: int, weights: Array | None) -> Callable[[int, int], Array | float | None]:
        """The share of the examples i to j in the mean over all n."""
        if self.loss.reduction == "sum":
            return lambda i, j: None
        if weights is None:
            return lambda i, j: (j - i) / n
        xp = array_namespace(weights)
        mean = mean_weight(weights)
        w = weights / xp.where(mean == 0, 1.0, mean)  # a batch of weight 0 has a gradient of 0
        return lambda i, j: xp.sum(w[i:j]) * (1 / n)


def _key_of(key: Array, part: int, rows_before: Array | None) -> Array:
    """The key of a part of the batch, whose first row has so many rows of other ranks before it."""
    key = fold_in(key, part)
    return key if rows_before is None else after_rows(key, rows_before)
