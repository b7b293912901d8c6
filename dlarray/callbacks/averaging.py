"""Averages of θ along the walk, which are often a better model than where it ends."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dlarray.check import at_least_one, fraction, plain_numbers
from dlarray.layout import Theta
from dlarray.optimizers.base import average
from dlarray.random import fold
from dlarray.training.callback import Callback, Walk, duplicate

__all__ = ["EMA", "SWA"]


@dataclass(frozen=True)
class EMA(Callback):
    """θ̄ = β θ̄ + (1 - β) θ after every step, from θ̄ = θ at the start: the exponential moving average.

    ``fit`` returns θ̄; the walk itself, and the figures that are measured on its way, are θ's. The running statistics
    of BatchNorm are averaged alike. β = ``decay``. Raises ValueError where decay is outside [0, 1). Source: Polyak and
    Juditsky 1992; torch's get_ema_multi_avg_fn.
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        plain_numbers(self)
        fraction("decay", self.decay)

    def on_start(self, walk: Walk) -> None:
        mine = walk.memory(self)
        if "theta" not in mine:
            mine |= {"theta": duplicate(walk.state["theta"]), "buffers": duplicate(walk.state["buffers"])}

    def on_step(self, walk: Walk) -> None:
        mine = walk.memory(self)
        for name, now in {"theta": walk.state["theta"], "buffers": walk.state["buffers"]}.items():
            mine[name] = tuple(average(m, self.decay, x) for m, x in zip(mine[name], now, strict=True))

    def on_end(self, walk: Walk) -> None:
        mine = walk.memory(self)
        if walk.error is None and "theta" in mine:
            walk.hand_back(mine["theta"], mine["buffers"])


@dataclass(frozen=True)
class SWA(Callback):
    """θ̄ = (1/n) Σ θ over the ends of n epochs: stochastic weight averaging, of the epochs after ``start`` of them all.

    ``start`` is a share of the epochs; from there on every ``every``-th is averaged. It works best with a learning rate
    that stays large. ``fit`` returns θ̄. The running statistics of BatchNorm belong to no average of weights: they are
    measured again at the end, in one more pass through the training batches. Raises ValueError where start is outside
    [0, 1) or every is below 1, and for such a pass where the batches can be had only once. Source: Izmailov et al.
    2018, "Averaging Weights Leads to Wider Optima and Better Generalization"; torch's AveragedModel and update_bn.
    """

    start: float = 0.75
    every: int = 1

    def __post_init__(self) -> None:
        plain_numbers(self)
        fraction("start", self.start)
        at_least_one("every", self.every)

    def on_start(self, walk: Walk) -> None:
        if walk.state["buffers"] and getattr(walk.source, "only_once", False):
            raise ValueError(
                "SWA passes through the batches once more for BatchNorm's statistics, and an iterator has one pass "
                "alone: give a function that makes a new one"
            )

    def on_epoch(self, walk: Walk) -> None:
        first = math.floor(self.start * walk.epochs) + 1
        if walk.epoch < first or (walk.epoch - first) % self.every:
            return
        mine = walk.memory(self)
        n = mine.get("n", 0)
        old: Theta = mine.get("theta", ())
        now = walk.state["theta"]
        mine["theta"] = tuple(m + (x - m) / (n + 1) for m, x in zip(old, now, strict=True)) if n else duplicate(now)
        mine["n"] = n + 1

    def on_end(self, walk: Walk) -> None:
        theta: Theta | None = walk.memory(self).get("theta")
        if walk.error is None and theta is not None:
            walk.hand_back(theta, self._statistics(walk, theta))

    def _statistics(self, walk: Walk, theta: Theta) -> Theta:
        """BatchNorm's running means and variances of the averaged model."""
        buffers = walk.state["buffers"]
        if not buffers or walk.source is None:
            return buffers
        for i, (x, _, _) in enumerate(walk.source.batches(walk.epoch)):
            key = fold(fold(walk.state["key"], walk.steps), i) if walk.model.chain.random else None
            buffers = walk.model.refresh(walk.model.forward(theta, x, key)[1], buffers)
        return buffers
