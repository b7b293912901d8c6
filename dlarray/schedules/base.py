"""The interface of every schedule, and what several formulas share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from dlarray.core.array import Array, array_namespace
from dlarray.core.check import plain_numbers, positive
from dlarray.core.keywords import WithSynonyms

__all__ = ["Falling", "Schedule", "half_cosine", "progress", "whole_part"]


class Schedule(WithSynonyms, ABC):
    """The learning rate as a function of t, the number of steps done. Subclasses are frozen dataclasses."""

    abstract: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, t: Array) -> Array:
        """The rate after t steps, in t's floating-point dtype."""


@dataclass(frozen=True)
class Falling(Schedule):
    """A schedule whose first rate is ``rate``, a number above 0."""

    abstract: ClassVar[bool] = True
    rate: float

    def __post_init__(self) -> None:
        plain_numbers(self)
        positive("rate", self.rate)


def progress(t: Array, steps: float) -> Array:
    """The fraction of ``steps`` that is done, from 0 to 1."""
    return array_namespace(t).minimum(t / float(steps), 1.0)


def half_cosine(p: Array) -> Array:
    """(1 + cos π p) / 2, which falls from 1 to 0; as cos² it keeps its digits near 0."""
    root = array_namespace(p).cos((math.pi / 2) * p)
    return root * root


def whole_part(t: Array, n: float) -> Array:
    """⌊t / n⌋ for whole t, as ⌊(t + ½) / n⌋: without ½, rounding may give 1 less where n divides t."""
    return array_namespace(t).floor((t + 0.5) / float(n))
