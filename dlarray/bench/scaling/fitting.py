"""The constants of the model from measured times, by least squares of relative errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from dlarray.bench.scaling.messages import Link, Traffic
from dlarray.bench.scaling.step import StepCost

__all__ = ["Fitted", "Timing", "fit_contention", "fit_cost", "fit_link"]

_T = TypeVar("_T")


class Timing(NamedTuple):
    """Measured collective operations that were started at once; often a single one."""

    traffic: tuple[Traffic, ...]
    seconds: float


@dataclass(frozen=True)
class Fitted(Generic[_T]):
    """Fitted constants, and how far they are from what was measured: (fitted - measured) / measured."""

    value: _T
    deviations: tuple[float, ...]

    @property
    def typical(self) -> float:
        """The root mean square of the deviations."""
        return float(np.sqrt(np.mean(np.square(self.deviations))))

    @property
    def largest(self) -> float:
        """The largest deviation, without its sign."""
        return float(np.max(np.abs(self.deviations)))


def fit_cost(batches: Sequence[int], seconds: Sequence[float], update: float = 0.0) -> Fitted[StepCost]:
    """``fixed`` and ``per_example`` from the seconds of steps with these batches; ``update`` is measured by itself.

    Raises ValueError with fewer than two different batches.
    """
    if len(set(batches)) < 2:
        raise ValueError(f"fixed and per_example need steps with two batch sizes at least, got {list(batches)}")
    b = np.asarray(batches, dtype=float)
    (fixed, per_example), deviations = _solve([np.ones_like(b), b], seconds, update)
    return Fitted(StepCost(fixed, per_example, update), deviations)


def fit_contention(cost: StepCost, cores: int, alone: Sequence[tuple[int, int, float]]) -> Fitted[StepCost]:
    """``contention`` from steps without communication: (ranks at once on one machine, examples of each, seconds)."""
    shared: list[float] = []
    ideal: list[float] = []
    for ranks, examples, _ in alone:
        ideal.append(max(1.0, ranks / cores) * (cost.gradient(examples) + cost.update))
        shared.append((min(ranks, cores) - 1) * ideal[-1])
    seconds = [time for _, _, time in alone]
    (contention,), deviations = _solve([np.asarray(shared)], seconds, np.asarray(ideal))
    return Fitted(replace(cost, contention=contention), deviations)


def fit_link(timings: Sequence[Timing], two_bandwidths: bool = False) -> Fitted[Link]:
    """α, β and γ from measured collective operations; γ needs some that add and some that do not.

    Also the overhead, if some were started at once. With ``two_bandwidths``, for ranks in one machine, also ``cache``
    and ``memory_bandwidth``, if memory is slower: of the measured sizes the one is taken as the cache that leaves the
    smallest error.
    """
    measured = [time for _, time in timings]
    waited = np.asarray([max(t.messages for t in of) for of, _ in timings])
    handled = np.asarray([sum(t.messages for t in of) for of, _ in timings])
    added = np.asarray([sum(t.added for t in of) for of, _ in timings])
    overhead = handled if (handled > waited).any() else np.zeros_like(handled)
    sizes = sorted({t.sent for of, _ in timings for t in of}) if two_bandwidths else []
    found: list[Fitted[Link]] = []
    for cache in (np.inf, *sizes):
        near = np.asarray([sum(min(t.sent, cache) for t in of) for of, _ in timings])
        beyond = np.asarray([sum(max(0.0, t.sent - cache) for t in of) for of, _ in timings])
        (a, b, c, d, e), deviations = _solve([waited, near, added, overhead, beyond], measured, 0.0)
        link = Link(a, _inverse(b), c, d, float(cache), _inverse(e))
        if cache == np.inf or link.bandwidth >= link.memory_bandwidth:
            found.append(Fitted(link, deviations))
    return min(found, key=lambda fit: fit.typical)


def _inverse(seconds: float) -> float:
    return 1 / seconds if seconds else float("inf")


def _solve(
    columns: Sequence[np.ndarray[Any, Any]], seconds: Sequence[float], known: float | np.ndarray
) -> tuple[list[float], tuple[float, ...]]:
    """Coefficients of at least 0 with the smallest relative errors: columns · coefficients + known ≈ seconds.

    A column whose coefficient would be negative is left out, the most negative first.
    """
    y = np.asarray(seconds, dtype=float)
    a = np.stack(columns, axis=1) / y[:, None]
    goal = 1 - known / y
    used = [i for i in range(a.shape[1]) if a[:, i].any()]
    found = np.zeros(a.shape[1])
    while used:
        scale: np.ndarray = np.sqrt(np.sum(a[:, used] ** 2, axis=0))
        part: list[float] = np.linalg.lstsq(a[:, used] / scale, goal, rcond=None)[0].tolist()
        if min(part) >= 0:
            found[used] = np.asarray(part) / scale
            break
        used.pop(part.index(min(part)))
    deviations = a @ found - goal
    return [float(value) for value in found], tuple(map(float, deviations))
