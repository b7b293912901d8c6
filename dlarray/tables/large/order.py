"""Whether numbers that come in parts are integers, and whether they grow from row to row."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["Order"]


@dataclass
class Order:
    """Of the numbers so far: whether all are ``whole``, never fall (``ordered``) and always grow (``increasing``)."""

    whole: bool = True
    ordered: bool = True
    increasing: bool = True
    least: float = math.inf
    greatest: float = -math.inf
    last: float = -math.inf

    def add(self, x: np.ndarray) -> None:
        """Add numbers, at least one and none of them missing."""
        steps = np.diff(x, prepend=self.last)
        self.whole = self.whole and not np.any(x % 1)
        self.ordered = self.ordered and not np.any(steps < 0)
        self.increasing = self.increasing and not np.any(steps <= 0)
        self.least, self.greatest = min(self.least, float(np.min(x))), max(self.greatest, float(np.max(x)))
        self.last = float(x[-1])
