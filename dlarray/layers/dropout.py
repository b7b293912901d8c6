"""Dropout: in training, numbers are set to 0 at random."""

from __future__ import annotations

from dataclasses import dataclass

from dlarray.core.array import Array, array_namespace
from dlarray.core.check import fraction, plain_numbers
from dlarray.core.layer import Layer
from dlarray.core.random import bernoulli_mask

__all__ = ["Dropout"]


@dataclass(frozen=True)
class Dropout(Layer):
    """y = x m / (1 - rate),  dx = dy m / (1 - rate),  m = 1 with probability 1 - rate, else 0.

    Each number is dropped independently in training, none at inference; the division keeps the mean (Srivastava et al.
    2014, in the inverted form of torch's Dropout). The mask depends on seed, layer and step only: it is the same on
    every device. Raises ValueError if rate is outside [0, 1).
    """

    rate: float = 0.5

    def __post_init__(self) -> None:
        plain_numbers(self)
        fraction("rate", self.rate)

    @property
    def random(self) -> bool:
        return self.rate > 0

    def forward(self, x: Array, key: Array | None = None) -> tuple[Array, Array | None]:
        if key is None:  # the rate is 0: the chain gives a key to every random layer
            return x, None
        m = array_namespace(x).astype(bernoulli_mask(key, x, 1 - self.rate), x.dtype)
        m *= 1 / (1 - self.rate)
        return x * m, m

    def backward(self, m: Array | None, dy: Array) -> Array:
        return dy if m is None else dy * m

    def predict(self, x: Array) -> Array:
        return x
