"""Schedules: the learning rate as a function of the number of steps.

``rate = schedule(t)``, where t is the number of steps done before this one: 0 at the first step. A schedule is array
operations on a 0-d array, so it runs on the device and in a compiled step; of a longer array it computes each element,
as for a plot. All lengths are in steps; a rate is the factor of the gradient. t may be any number of steps: after its
last step a schedule keeps its last rate. In formulas a length is a floating-point number, because integers of some
devices end at 2³¹.

In float32 t is exact up to 2²⁴ steps. A change at a certain step (a drop, a restart) comes at exactly that step for
some hundred thousand steps; after that it may come one step early or late.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from dlarray.core.array import Array, array_namespace
from dlarray.core.check import at_least_one, finite, non_negative, plain_numbers, positive

__all__ = [
    "ConstantRate",
    "CosineDecay",
    "CosineRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "OneCycle",
    "PolynomialDecay",
    "Schedule",
    "StepDecay",
    "WarmUp",
]


class Schedule(ABC):
    """The learning rate as a function of t, the number of steps done. Subclasses are frozen dataclasses."""

    abstract: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, t: Array) -> Array:
        """The rate after t steps, in t's floating-point dtype."""


@dataclass(frozen=True)
class _Falling(Schedule):
    """A schedule whose first rate is ``rate``, a number above 0."""

    rate: float

    def __post_init__(self) -> None:
        plain_numbers(self)
        positive("rate", self.rate)


@dataclass(frozen=True)
class ConstantRate(_Falling):
    """η(t) = rate."""

    aliases: ClassVar[tuple[str, ...]] = ("constant",)

    def __call__(self, t: Array) -> Array:
        return array_namespace(t).full_like(t, self.rate)


@dataclass(frozen=True)
class StepDecay(_Falling):
    """η(t) = rate · factor^⌊t / every⌋: a drop after each ``every`` steps. torch's StepLR."""

    every: int
    factor: float = 0.1
    aliases: ClassVar[tuple[str, ...]] = ("step",)

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one("every", self.every)
        positive("factor", self.factor)

    def __call__(self, t: Array) -> Array:
        return self.rate * self.factor ** _whole(t, self.every)


@dataclass(frozen=True)
class ExponentialDecay(_Falling):
    """η(t) = rate · factor^(t / every), continuous in t. torch's ExponentialLR at every = 1."""

    factor: float
    every: int = 1
    aliases: ClassVar[tuple[str, ...]] = ("exponential",)

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("factor", self.factor)
        at_least_one("every", self.every)

    def __call__(self, t: Array) -> Array:
        return self.rate * self.factor ** (t / float(self.every))


@dataclass(frozen=True)
class InverseTimeDecay(_Falling):
    """η(t) = rate / (1 + decay · t / every): 1/t as in Robbins and Monro (1951). Keras's InverseTimeDecay."""

    decay: float
    every: int = 1
    aliases: ClassVar[tuple[str, ...]] = ("inverse_time",)

    def __post_init__(self) -> None:
        super().__post_init__()
        non_negative("decay", self.decay)
        at_least_one("every", self.every)

    def __call__(self, t: Array) -> Array:
        return self.rate / (1 + self.decay * (t / float(self.every)))


@dataclass(frozen=True)
class PolynomialDecay(_Falling):
    """η(t) = end + (rate - end) · (1 - t / steps)^power, then end. torch's PolynomialLR at end = 0."""

    steps: int
    power: float = 1.0
    end: float = 0.0
    aliases: ClassVar[tuple[str, ...]] = ("polynomial",)

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one("steps", self.steps)
        positive("power", self.power)
        non_negative("end", self.end)

    def __call__(self, t: Array) -> Array:
        return self.end + (self.rate - self.end) * (1 - _progress(t, self.steps)) ** self.power


@dataclass(frozen=True)
class CosineDecay(_Falling):
    """η(t) = end + (rate - end) · (1 + cos(π t / steps)) / 2, then end. torch's CosineAnnealingLR up to ``steps``.

    Loshchilov and Hutter 2017, "SGDR".

    Examples
    --------
    >>> import numpy as np
    >>> import dlarray
    >>> schedule = dlarray.CosineDecay(0.1, steps=100)
    >>> print(schedule(np.asarray([0.0, 50.0, 100.0, 200.0])).round(4))
    [0.1  0.05 0.   0.  ]
    >>> optimizer = dlarray.Adam(schedule)
    """

    steps: int
    end: float = 0.0
    aliases: ClassVar[tuple[str, ...]] = ("cosine",)

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one("steps", self.steps)
        non_negative("end", self.end)

    def __call__(self, t: Array) -> Array:
        return self.end + (self.rate - self.end) * _half_cosine(_progress(t, self.steps))


@dataclass(frozen=True)
class CosineRestarts(_Falling):
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
            start = length * _whole(t, self.steps)
        else:  # cycle k begins at steps (growthᵏ - 1) / (growth - 1); + 0.5 against rounding at its first step
            k = xp.floor(xp.log1p((t + 0.5) * ((self.growth - 1) / self.steps)) / math.log(self.growth))
            times = xp.round(float(self.growth) ** k)
            length = float(self.steps) * times
            start = (length - float(self.steps)) / (float(self.growth) - 1)
        return self.end + (self.rate - self.end) * _half_cosine((t - start) / length)


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
        up = first + (self.peak - first) * _half_cosine(1 - _progress(t, top))
        end = first / self.final_div
        down = end + (self.peak - end) * _half_cosine(_progress(xp.maximum(t - top, 0.0), last - top))
        return xp.where(t <= top, up, down)


def _progress(t: Array, steps: float) -> Array:
    """The fraction of ``steps`` that is done, from 0 to 1."""
    return array_namespace(t).minimum(t / float(steps), 1.0)


def _half_cosine(p: Array) -> Array:
    """(1 + cos π p) / 2, which falls from 1 to 0; as cos² it keeps its digits near 0."""
    root = array_namespace(p).cos((math.pi / 2) * p)
    return root * root


def _whole(t: Array, n: int) -> Array:
    """⌊t / n⌋ for whole t, as ⌊(t + ½) / n⌋: without ½, rounding may give 1 less where n divides t."""
    return array_namespace(t).floor((t + 0.5) / float(n))
