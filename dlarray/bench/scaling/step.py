"""The time of a step of several ranks: what each computes, and what of the communication is not hidden behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from dlarray.bench.scaling.messages import Link, Traffic, all_gather, all_reduce, reduce_scatter
from dlarray.core.check import at_least_one

__all__ = [
    "Algorithm",
    "LayerWork",
    "Prediction",
    "StepCost",
    "layers",
    "left",
    "of_shards",
    "predict",
    "started",
    "written",
]

Algorithm = Callable[[int, float], Traffic]
LOSS = 4
"""Bytes of the loss."""


@dataclass(frozen=True)
class LayerWork:
    """One layer with parameters: the flops of an example in both directions, and the bytes of each gradient."""

    forward: float
    backward: float
    sizes: tuple[float, ...]


def layers(widths: Sequence[int], itemsize: int = 4) -> tuple[LayerWork, ...]:
    """The layers of a multilayer perceptron, from the first to the last.

    2 n m flops an example forward and 4 n m backward, but 2 n m in the first layer, whose dx is not computed. The
    gradients are those of W and b.
    """
    return tuple(
        LayerWork(2 * n * m, (4 if i else 2) * n * m, (itemsize * n * m, itemsize * m))
        for i, (n, m) in enumerate(pairwise(widths))
    )


@dataclass(frozen=True)
class StepCost:
    """The seconds of a step on one rank with b examples: fixed + per_example b + update.

    A smaller part of the batch is not proportionally cheaper: weights are read once a step, calls cost the same, and
    the update of θ does not depend on the batch.

    Parameters
    ----------
    fixed
        Seconds of a gradient, whatever the number of examples.
    per_example
        Seconds of a gradient for each example.
    update
        Seconds of the optimizer on all of θ.
    contention
        By how much each further rank that computes on the same machine slows all of them, as a fraction: they share
        caches and the bandwidth of memory.
    sharing
        Seconds that a step of several ranks takes besides, without what it sends: cutting the batch, starting sums.
    """

    fixed: float
    per_example: float
    update: float = 0.0
    contention: float = 0.0
    sharing: float = 0.0

    def gradient(self, examples: float) -> float:
        """Seconds of the gradient of so many examples on a machine that is otherwise idle."""
        return self.fixed + self.per_example * examples

    def slowdown(self, ranks: int, cores: int) -> float:
        """max(1, k / c) (1 + contention (min(k, c) - 1)): k ranks, of one thread each, on a machine with c cores."""
        return max(1.0, ranks / cores) * (1 + self.contention * (min(ranks, cores) - 1))


@dataclass(frozen=True)
class Prediction:
    """The parts of a predicted step, in seconds; ``alone`` is the step with the whole batch on one rank."""

    seconds: float
    gradient: float
    communication: float
    exposed: float
    update: float
    sharing: float
    alone: float

    @property
    def speedup(self) -> float:
        """The time of the step on one rank divided by its time on all."""
        return self.alone / self.seconds


def predict(
    work: Sequence[LayerWork],
    cost: StepCost,
    link: Link,
    batch: float,
    ranks: int,
    *,
    on_one_machine: int = 1,
    cores: int | None = None,
    progress: float = 0.0,
    shard: bool = False,
    algorithm: Algorithm = all_reduce,
) -> Prediction:
    """The time of a step of ``ranks`` ranks: T = gradient(b / n) + exposed communication + update + sharing.

    Without sharding the sum of each layer's gradients starts as soon as they are written, from the last layer to the
    first. Sums share the bandwidth, and wait for their messages at the same time. While layers below are still
    computed, sums advance at ``progress`` of their speed; afterwards at full speed. What is left when the last gradient
    is written is exposed. With sharding the gradient is scattered at the end, each rank updates 1/n of θ, and θ is
    gathered: all of it is exposed. The loss is a sum of 4 bytes.

    Parameters
    ----------
    work
        The layers, from the first to the last.
    cost, link
        The step on one rank, and the cost of messages between ranks.
    batch, ranks
        The examples of the whole batch, and among how many ranks they are divided.
    on_one_machine, cores
        How many of the ranks, of one thread each, share one machine, and its cores; by default a core for each.
    progress
        From 0 (messages wait for the program) to 1 (hardware or another thread sends them).
    shard
        Whether each rank updates only its part of θ.
    algorithm
        How gradients are summed: ``all_reduce`` or ``ring``.
    """
    at_least_one("ranks", ranks)
    if not 0 <= progress <= 1:
        raise ValueError(f"progress must be between 0 and 1, got {progress}")
    slower = cost.slowdown(min(on_one_machine, ranks), cores or on_one_machine)
    gradient = slower * cost.gradient(batch / ranks)
    update = slower * cost.update
    sharing = slower * cost.sharing if ranks > 1 else 0.0
    alone = cost.gradient(batch) + cost.update
    if shard:
        communication = exposed = of_shards(work, link, ranks)
        update /= ranks
    else:
        sums = started(work, ranks, algorithm)
        communication = sum(link.seconds(traffic) for group in sums for traffic in group)
        exposed = float(left(written(work, gradient), sums, link, progress))
    seconds = gradient + exposed + update + sharing
    return Prediction(seconds, gradient, communication, exposed, update, sharing, alone)


def written(work: Sequence[LayerWork], gradient: float) -> list[float]:
    """When the gradients of each layer are written, from the last layer to the first: by its share of the flops."""
    at = sum(layer.forward for layer in work)
    whole = at + sum(layer.backward for layer in work)
    found: list[float] = []
    for layer in reversed(work):
        at += layer.backward
        found.append(gradient * at / whole)
    return found


def started(work: Sequence[LayerWork], ranks: int, algorithm: Algorithm) -> list[list[Traffic]]:
    """The sums that start when the gradients of each layer are written; with those of the last layer, the loss."""
    sizes = [list(layer.sizes) for layer in reversed(work)]
    sizes[0].append(LOSS)
    return [[algorithm(ranks, size) for size in group] for group in sizes]


def left(times: Sequence[Any], sums: Sequence[Sequence[Traffic]], link: Link, progress: float) -> Any:
    """Seconds of communication that are left at ``times[-1]``: of what is sent, and of waiting for messages.

    ``times`` are numbers, or arrays of equal shape with a number for each of many steps.
    """
    sending, waiting, now = 0.0, 0.0, 0.0
    for time, group in zip(times, sums, strict=True):
        done, latency = progress * (time - now), link.waiting(*group)
        sending = np.maximum(0.0, sending - done) + link.seconds(*group) - latency
        waiting = np.maximum(waiting - done, latency)
        now = time
    return sending + waiting


def of_shards(work: Sequence[LayerWork], link: Link, ranks: int) -> float:
    """The seconds in which the gradient is scattered, θ gathered and the loss summed."""
    size = sum(sum(layer.sizes) for layer in work)
    pieces = (all_reduce(ranks, LOSS), reduce_scatter(ranks, size), all_gather(ranks, size))
    return sum(map(link.seconds, pieces))
