"""Activations that set small numbers to 0: they keep a few large ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarray.core.array import Array, array_namespace, clip
from dlarray.core.check import finite, non_negative, plain_numbers
from dlarray.core.layer import Activation

__all__ = ["HardShrink", "SoftShrink", "Threshold"]


@dataclass(frozen=True)
class Threshold(Activation):
    """y = z where z > threshold, else value,  dz = dy where z > threshold, else 0.

    torch's Threshold. With ``value`` 0 it is Keras's ThresholdedReLU, Konda et al. 2014.
    """

    initializer: ClassVar[str] = "he_uniform"
    threshold: float = 1.0
    value: float = 0.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        finite("threshold", self.threshold)
        finite("value", self.value)

    def forward(self, z: Array) -> tuple[Array, Array]:
        return array_namespace(z).where(z <= self.threshold, self.value, z), z

    def backward(self, z: Array, dy: Array) -> Array:
        return array_namespace(z).where(z <= self.threshold, 0.0, dy)


@dataclass(frozen=True)
class HardShrink(Activation):
    """y = z where |z| > threshold, else 0,  dz = dy where |z| > threshold, else 0.

    Raises ValueError if threshold is below 0, as SoftShrink does.
    """

    threshold: float = 0.5

    def __post_init__(self) -> None:
        plain_numbers(self)
        non_negative("threshold", self.threshold)

    def forward(self, z: Array) -> tuple[Array, Array]:
        xp = array_namespace(z)
        return xp.where(xp.abs(z) <= self.threshold, 0.0, z), z

    def backward(self, z: Array, dy: Array) -> Array:
        xp = array_namespace(z)
        return xp.where(xp.abs(z) <= self.threshold, 0.0, dy)


@dataclass(frozen=True)
class SoftShrink(HardShrink):
    """y = z - clip(z, -threshold, threshold),  dz = dy where |z| > threshold, else 0: HardShrink without a jump.

    Each number moves towards 0 by the threshold, and not further than to 0: the proximal operator of the L1 penalty.
    """

    def forward(self, z: Array) -> tuple[Array, Array]:
        return z - clip(z, -self.threshold, self.threshold), z
