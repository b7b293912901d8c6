"""Schedules that fall from a first rate, or keep it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from dlarray.core.array import Array, array_namespace
from dlarray.core.check import at_least_one, non_negative, positive
from dlarray.schedules.base import Falling, half_cosine, progress, whole_part

__all__ = [
    "ConstantRate",
    "CosineDecay",
    "ExponentialDecay",
    "InverseTimeDecay",
    "MultiStepDecay",
    "PolynomialDecay",
    "StepDecay",
]


@dataclass(frozen=True)
class ConstantRate(Falling):
    """η(t) = rate."""

    aliases: ClassVar[tuple[str, ...]] = ("constant",)

    def __call__(self, t: Array) -> Array:
        return array_namespace(t).full_like(t, self.rate)


@dataclass(frozen=True)
class StepDecay(Falling):
    """η(t) = rate · factor^⌊t / every⌋: a drop after each ``every`` steps.

    torch's StepLR; ExponentialDecay(staircase=True) of Keras and optax.
    """

    every: int
    factor: float = 0.1
    aliases: ClassVar[tuple[str, ...]] = ("step",)

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one("every", self.every)
        positive("factor", self.factor)

    def __call__(self, t: Array) -> Array:
        return self.rate * self.factor ** whole_part(t, self.every)


@dataclass(frozen=True)
class MultiStepDecay(Falling):
    """η(t) = rate · factor^k, k the number of steps in ``at`` that are done: a drop at each of them.

    torch's MultiStepLR. A step that is listed twice drops twice. Raises ValueError if ``at`` is empty.

    Examples
    --------
    >>> import numpy as np
    >>> import dlarray
    >>> schedule = dlarray.MultiStepDecay(0.1, at=(30, 80))
    >>> print(schedule(np.asarray([0.0, 29.0, 30.0, 80.0])).round(4))
    [0.1   0.1   0.01  0.001]
    """

    at: tuple[int, ...]
    factor: float = 0.1
    aliases: ClassVar[tuple[str, ...]] = ("multi_step",)

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("factor", self.factor)
        if isinstance(self.at, str) or not isinstance(self.at, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"at must hold numbers of steps, such as (30, 80), got {self.at!r}")
        object.__setattr__(self, "at", tuple(at_least_one("at", step) for step in self.at))
        if not self.at:
            raise ValueError("at must hold a number of steps or more, got none")

    def __call__(self, t: Array) -> Array:
        xp, drops = array_namespace(t), t * 0.0
        for step in self.at:
            drops = drops + xp.astype(t >= float(step), t.dtype)
        return self.rate * self.factor**drops


@dataclass(frozen=True)
class ExponentialDecay(Falling):
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
class InverseTimeDecay(Falling):
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
class PolynomialDecay(Falling):
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
        return self.end + (self.rate - self.end) * (1 - progress(t, self.steps)) ** self.power


@dataclass(frozen=True)
class CosineDecay(Falling):
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
        return self.end + (self.rate - self.end) * half_cosine(progress(t, self.steps))
