"""How long a planned step takes, and each work of it, as data.

A backend that plans steps measures them (``Backend.profile``), and ``dlarray bench --profile`` shows what it found
against the machine's limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlarray.device.description import Description

__all__ = ["Timings", "low"]


@dataclass(frozen=True)
class Timings:
    """The seconds of a step, measured as one, and of each of its works, measured one after the other in the step."""

    description: Description
    """The plan of the step."""
    works: tuple[float, ...]
    """The seconds of each of ``description.works``; 0 of one that has nothing left to do."""
    step: float
    """The seconds of the step as its user calls it."""
    device: str
    """The device whose library does the work: the steps of torch's CPU are done by NumPy."""

    def __post_init__(self) -> None:
        if len(self.works) != len(self.description.works):
            raise ValueError(f"{len(self.description.works)} works have as many times, got {len(self.works)}")

    @property
    def between(self) -> float:
        """What the step takes beyond its works: calls, copies of the batch, the loss that is handed out.

        The two are measured by turns and not at once: where there is next to nothing between, it may be below 0.
        """
        return self.step - sum(self.works)


def low(means: Sequence[float]) -> float:
    """The 10th percentile: near the fastest, and steadier."""
    return float(np.quantile(means, 0.1))
