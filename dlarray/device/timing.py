"""The times of a planned step and of its works, as data.

A backend that plans steps measures them in ``Backend.profile``; ``dlarray bench --profile`` compares them with the
limits of the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlarray.device.description import Description

__all__ = ["Timings", "low"]


@dataclass(frozen=True)
class Timings:
    """The seconds of a step, measured as a whole, and of each of its works, measured one by one within the step."""

    description: Description
    """The plan of the step."""
    works: tuple[float, ...]
    """The seconds of each of ``description.works``; 0 for one that does nothing."""
    step: float
    """The seconds of a call of the step."""
    device: str
    """The device whose library does the work: for steps on torch's CPU that is NumPy's."""

    def __post_init__(self) -> None:
        if len(self.works) != len(self.description.works):
            raise ValueError(f"expected the times of {len(self.description.works)} works, got {len(self.works)}")

    @property
    def between(self) -> float:
        """The seconds of the step beyond its works: calls, copies of the batch, and the loss that is returned.

        Step and works are measured in turns, so a value close to 0 can be negative.
        """
        return self.step - sum(self.works)


def low(means: Sequence[float]) -> float:
    """The 10th percentile: close to the fastest time, and more stable."""
    return float(np.quantile(means, 0.1))
