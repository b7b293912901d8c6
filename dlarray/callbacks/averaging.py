"""Averages of θ over the steps or epochs, which are often a better model than the final θ."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dlarray.core.array import Array
from dlarray.core.check import at_least_one, fraction, plain_numbers, whole
from dlarray.core.layout import Theta
from dlarray.core.random import fold_in
from dlarray.core.trees import copy_tree
from dlarray.optimizers.base import ema
from dlarray.training.callback import Callback, Memory, Run, check_shapes
from dlarray.training.json_data import entries

__all__ = ["EMA", "SWA"]


@dataclass(frozen=True)
class EMA(Callback):
    """θ̄ = β θ̄ + (1 - β) θ after every step, from θ̄ = θ at the start: the exponential moving average.

    ``fit`` returns θ̄. Training itself, and the metrics measured during it, use θ. At the end the running statistics of
    BatchNorm are measured for θ̄, as in SWA. β = ``decay``. Raises ValueError for a decay outside [0, 1), and for a
    model with BatchNorm if the batches can be read only once. Source: Polyak and Juditsky 1992; torch's
    get_ema_multi_avg_fn and update_bn.
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        plain_numbers(self)
        fraction("decay", self.decay)

    def check_memory(self, run: Run, memory: Memory) -> None:
        if "theta" in memory:
            check_shapes("theta", memory["theta"], run.state["theta"])

    def on_start(self, run: Run) -> None:
        _check_second_pass(self, run)
        mine = run.memory(self)
        if "theta" not in mine:
            mine["theta"] = copy_tree(run.state["theta"])

    def on_step(self, run: Run) -> None:
        mine, now = run.memory(self), run.state["theta"]
        mean = tuple(ema(m, self.decay, x) for m, x in zip(mine["theta"], now, strict=True))
        mine["theta"] = run.device.backend.settle(mean)

    def on_end(self, run: Run) -> None:
        theta: Theta | None = run.memory(self).get("theta")
        if run.error is None and theta is not None:
            run.set_result(theta, _buffers_at(run, theta))


@dataclass(frozen=True)
class SWA(Callback):
    """θ̄ = (1/n) Σ θ over n epochs, each θ at the end of its epoch: stochastic weight averaging.

    ``start`` is a fraction of the epochs; after it every ``every``-th epoch is averaged. It works best with a learning
    rate that stays large. ``fit`` returns θ̄. The running statistics of BatchNorm do not fit averaged weights. They are
    measured again at the end, in one more pass: means over its batches, weighted by their examples. Raises ValueError
    for a start outside [0, 1) and for every below 1, and for a model with BatchNorm if the batches can be read only
    once. Source: Izmailov et al.
    2018, "Averaging Weights Leads to Wider Optima and Better Generalization"; torch's AveragedModel and update_bn.
    """

    start: float = 0.75
    every: int = 1

    def __post_init__(self) -> None:
        plain_numbers(self)
        fraction("start", self.start)
        at_least_one("every", self.every)

    def check_memory(self, run: Run, memory: Memory) -> None:
        if memory.keys() & {"n", "theta"}:
            entries("it", memory, "n", "theta")
            whole("n", memory["n"], 1, run.epoch)
            check_shapes("theta", memory["theta"], run.state["theta"])

    def on_start(self, run: Run) -> None:
        _check_second_pass(self, run)

    def on_epoch(self, run: Run) -> None:
        first = math.floor(self.start * run.epochs) + 1
        if run.epoch < first or (run.epoch - first) % self.every:
            return
        mine = run.memory(self)
        n = mine.get("n", 0)
        old: Theta = mine.get("theta", ())
        now = run.state["theta"]
        mean = tuple(m + (x - m) / (n + 1) for m, x in zip(old, now, strict=True)) if n else copy_tree(now)
        mine["theta"] = run.device.backend.settle(mean)
        mine["n"] = n + 1

    def on_end(self, run: Run) -> None:
        theta: Theta | None = run.memory(self).get("theta")
        if run.error is None and theta is not None:
            run.set_result(theta, _buffers_at(run, theta))


def _check_second_pass(callback: Callback, run: Run) -> None:
    if run.state["buffers"] and getattr(run.source, "only_once", False):
        raise ValueError(
            f"{type(callback).__name__} needs one more pass over the batches for BatchNorm's statistics, and an "
            f"iterator can be used only once: give a function that makes a new one"
        )


def _buffers_at(run: Run, theta: Theta) -> Theta:
    """The buffers for θ. BatchNorm's are means over the batches of one pass, weighted by their examples.

    Other buffers are updated from the run's own values by the same pass.
    """
    model, buffers = run.model, run.state["buffers"]
    if not buffers or run.source is None:
        return buffers
    found: dict[str, Array] = {}
    seen = 0
    for i, (x, _, _) in enumerate(run.source.batches(run.epoch)):
        key = fold_in(fold_in(run.state["key"], run.steps), i) if model.chain.random else None
        _, saved = model.forward(theta, x, key)
        buffers = model.update_buffers(saved, buffers)
        seen += (n := x.shape[0])
        for name, own in model.chain.statistics(saved).items():
            found[name] = found[name] + (own - found[name]) * (n / seen) if name in found else own
        found, buffers = run.device.backend.settle((found, buffers))
    layout = model.buffer_layout if run.device.backend.writes_in_place else model.buffer_layout.split_up()
    return layout.join(model.named_buffers(buffers) | found)
