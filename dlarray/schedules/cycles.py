"""Schedules that rise: a warm-up, and cycles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from dlarray.core.array import Array, array_namespace
from dlarray.core.check import at_least_one, finite, non_negative, plain_numbers, positive
from dlarray.schedules.base import Falling, Schedule, half_cosine, progress, whole_part

__all__ = ["CosineRestarts", "Cyclic", "OneCycle", "WarmUp"]


@dataclass(frozen=True)
class CosineRestarts(Falling):
    """η(t) = end + (rate - end) · (1 + cos(π s / T)) / 2, s the steps since the last restart, T the cycle's length.

    The first cycle has T = ``steps``, each one after it is ``growth`` times as long. Loshchilov and Hutter 2017, "SGDR:
    Stochastic Gradient Descent with Warm Restarts"; torch's CosineAnnealingWarmRestarts, whose T_mult is ``growth``.
    """

    steps: int
    growth: int = 1
    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one("steps", self.steps)
        at_least_one("growth", self.growth)
        non_negative("end", self.end)

    def __call__(self, t: Array) -> Array:
        xp = array_namespace(t)
        if self.growth == 1:
            length = float(self.steps)
            start = length * whole_part(t, self.steps)
        else:  # cycle k begins at steps (growthᵏ - 1) / (growth - 1); + 0.5 against rounding at its first step
            k = xp.floor(xp.log1p((t + 0.5) * ((self.growth - 1) / self.steps)) / math.log(self.growth))
            times = xp.round(float(self.growth) ** k)
            length = float(self.steps) * times
            start = (length - float(self.steps)) / (float(self.growth) - 1)
        return self.end + (self.rate - self.end) * half_cosine((t - start) / length)


@dataclass(frozen=True)
class WarmUp(Schedule):
    """η(t) rises linearly from start · then(0) to then(0) in ``steps`` steps; after that η(t) = then(t - steps).

    Goyal et al. 2017. torch's LinearLR (start_factor = ``start``, which torch wants above 0), then another schedule.
    """

    steps: int
    then: Schedule
    start: float = 0.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        at_least_one("steps", self.steps)
        if not isinstance(self.then, Schedule):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"then must be a schedule, such as ConstantRate(0.01), got {self.then!r}")
        if not 0 <= finite("start", self.start) <= 1:
            raise ValueError(f"start must lie in [0, 1], got {self.start!r}")

    def __call__(self, t: Array) -> Array:
        xp = array_namespace(t)
        steps = float(self.steps)
        missing = (1 - self.start) * xp.maximum(1 - t / steps, 0.0)
        return (1 - missing) * self.then(xp.maximum(t - steps, 0.0))


@dataclass(frozen=True)
class OneCycle(Schedule):
    """η(t) rises from peak / div to ``peak`` and falls to peak / div / final_div at t = steps - 1, each along a cosine.

    The peak is at t = warm_up · steps - 1. Smith and Topin 2018, "Super-Convergence"; torch's OneCycleLR with its
    defaults (without its changes of momentum). Raises ValueError if warm_up · steps leaves no step to rise or fall.
    """

    peak: float
    steps: int
    warm_up: float = 0.3
    div: float = 25.0
    final_div: float = 1e4

    def __post_init__(self) -> None:
        plain_numbers(self)
        positive("peak", self.peak)
        at_least_one("steps", self.steps)
        positive("div", self.div)
        positive("final_div", self.final_div)
        if not 1 < finite("warm_up", self.warm_up) * self.steps < self.steps:
            raise ValueError(
                f"warm_up must lie in (0, 1) and warm_up * steps be above 1, got {self.warm_up!r} of {self.steps} steps"
            )

    def __call__(self, t: Array) -> Array:
        xp = array_namespace(t)
        first, top, last = self.peak / self.div, self.warm_up * self.steps - 1.0, self.steps - 1.0
        up = first + (self.peak - first) * half_cosine(1 - progress(t, top))
        end = first / self.final_div
        down = end + (self.peak - end) * half_cosine(progress(xp.maximum(t - top, 0.0), last - top))
        return xp.where(t <= top, up, down)


@dataclass(frozen=True)
class Cyclic(Falling):
    """η(t) rises from ``rate`` to ``peak`` in ``up`` steps and falls back in ``down`` steps, along lines, in cycles.

    η = rate + (peak - rate) · factor^k · h with h = s / up in the rising part and (up + down - s) / down in the falling
    one; k cycles and s steps of the next one are done. ``down`` is by default ``up``. ``factor`` 1 is torch's CyclicLR
    with mode "triangular", ½ "triangular2". Raises ValueError unless peak > rate. Smith 2017, "Cyclical Learning Rates
    for Training Neural Networks".
    """

    peak: float
    up: int
    down: int | None = None
    factor: float = 1.0
    aliases: ClassVar[tuple[str, ...]] = ("triangular",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if positive("peak", self.peak) <= self.rate:
            raise ValueError(f"peak must be above rate, got {self.peak!r} and {self.rate!r}")
        at_least_one("up", self.up)
        if self.down is not None:
            at_least_one("down", self.down)
        positive("factor", self.factor)

    def __call__(self, t: Array) -> Array:
        xp = array_namespace(t)
        up, down = float(self.up), float(self.up if self.down is None else self.down)
        cycles = whole_part(t, up + down)
        s = t - (up + down) * cycles
        height = xp.where(s <= up, s / up, (up + down - s) / down)
        return self.rate + (self.peak - self.rate) * self.factor**cycles * height
