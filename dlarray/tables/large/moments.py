"""Mean and standard deviation of numbers that come in parts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["Moments"]


@dataclass
class Moments:
    """Number, mean and Σ(x - mean)² of the numbers so far, with the least and the greatest.

    Two parts are merged by the formula of Chan, Golub and LeVeque (1979), so that large means do not cancel.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    least: float = math.inf
    greatest: float = -math.inf

    def add(self, x: np.ndarray) -> None:
        """Add numbers, none of them missing."""
        if not len(x):
            return
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(np.mean(x))
            squares = float(np.sum((x - mean) ** 2))
        self.merge(Moments(len(x), mean, squares, float(np.min(x)), float(np.max(x))))

    def merge(self, other: Moments) -> None:
        """Add what another one has counted."""
        total = self.count + other.count
        if not total:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            difference = other.mean - self.mean
            self.squares += other.squares + difference * difference * (self.count * other.count / total)
            self.mean += difference * (other.count / total)
        self.count = total
        self.least, self.greatest = min(self.least, other.least), max(self.greatest, other.greatest)

    def with_copies(self, count: int, value: float) -> Moments:
        """These numbers and so many copies of a value."""
        found = Moments(self.count, self.mean, self.squares, self.least, self.greatest)
        if count:
            found.merge(Moments(count, value, 0.0, value, value))
        return found

    @property
    def deviation(self) -> float:
        """The standard deviation; 1 for constant values."""
        if not self.count or self.least == self.greatest:
            return 1.0
        return math.sqrt(self.squares / self.count) or 1.0
