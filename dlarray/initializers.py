"""Initializers: the weights before the first step.

``W = initializer(bits, shape)`` takes the host's random bits and returns a NumPy array in float64, which the model
copies once to its device: the same seed gives the same weights on every device. With weights that are too small
gradients vanish, with weights that are too large training is unstable, and with equal weights all units learn the same.
So most initializers scale by the layer's size: fan_in, the number of inputs, is the product of all lengths of the shape
but the last; fan_out, the number of outputs, is the last length. A vector, mostly a bias, counts as the weights of one
constant input: fan_in = 1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarray.core.array import size
from dlarray.core.check import finite, plain_numbers, positive
from dlarray.core.layer import Shape
from dlarray.core.random import Bits

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LeCunNormal",
    "LeCunUniform",
    "Normal",
    "Ones",
    "Orthogonal",
    "TruncatedNormal",
    "Uniform",
    "Zeros",
]


class Initializer(ABC):
    """A distribution of weights. Subclasses are frozen dataclasses.

    Raises ValueError if the scale depends on the layer's size and fan_in or fan_out is 0.
    """

    abstract: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, bits: Bits, shape: Shape) -> np.ndarray:
        """A float64 array of this shape."""


@dataclass(frozen=True)
class Zeros(Initializer):
    """W = 0: for biases."""

    def __call__(self, bits: Bits, shape: Shape) -> np.ndarray:
        return np.zeros(shape)


@dataclass(frozen=True)
class Ones(Initializer):
    """W = 1: for the scales γ of normalisations."""

    def __call__(self, bits: Bits, shape: Shape) -> np.ndarray:
        return np.ones(shape)


@dataclass(frozen=True)
class Constant(Initializer):
    """W = value."""

    value: float = 0.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        finite("value", self.value)

    def __call__(self, bits: Bits, shape: Shape) -> np.ndarray:
        return np.full(shape, self.value, dtype=np.float64)


@dataclass(frozen=True)
class Normal(Initializer):
    """W ~ N(0, std²), independent of the layer's size. 0.05 is Keras's default."""

    std: float = 0.05

    def __post_init__(self) -> None:
        plain_numbers(self)
        positive("std", self.std)

    def __call__(self, bits: Bits, shape: Shape) -> np.ndarray:
        return self.std * _normal(bits, shape)


@dataclass(frozen=True)
class TruncatedNormal(Initializer):
    """W ~ N(0, std²) within ±2 std: numbers outside are drawn again.

    The standard deviation of the result is 0.88 std. 0.05 is Keras's default.
    """

    std: float = 0.05

    def __post_init__(self) -> None:
        plain_numbers(self)
        positive("std", self.std)

    def __call__(self, bits: Bits, shape: Shape) -> np.ndarray:
        return self.std * _truncated_normal(bits, shape)


@dataclass(frozen=True)
class Uniform(Initializer):
    """W ~ U(-a, a), a = ``limit``, by default 1 / √fan_in, the initializer of torch's Linear."""

    limit: float | None = None

    def __post_init__(self) -> None:
        plain_numbers(self)
        if self.limit is not None:
            positive("limit", self.limit)

    def __call__(self, bits: Bits, shape: Shape) -> np.ndarray:
        limit = 1 / math.sqrt(_fans(shape)[0]) if self.limit is None else self.limit
        return limit * _uniform(bits, shape)


@dataclass(frozen=True)
class _ScaledNormal(Initializer):
    """A normal distribution whose σ is a function of fan_in and fan_out."""

    truncated: bool = False

    @abstractmethod
    def std(self, fan_in: int, fan_out: int) -> float:
        """The standard deviation of the weights."""

    def __call__(self, bits: Bits, shape: Shape) -> np.ndarray:
        std = self.std(*_fans(shape))
        if self.truncated:
            return std / TRUNCATED_STD * _truncated_normal(bits, shape)
        return std * _normal(bits, shape)


@dataclass(frozen=True)
class _ScaledUniform(Initializer):
    """A uniform distribution in ±a, a function of fan_in and fan_out; its standard deviation is a / √3."""

    @abstractmethod
    def limit(self, fan_in: int, fan_out: int) -> float:
        """The largest weight."""

    def __call__(self, bits: Bits, shape: Shape) -> np.ndarray:
        return self.limit(*_fans(shape)) * _uniform(bits, shape)


@dataclass(frozen=True)
class GlorotNormal(_ScaledNormal):
    """W ~ N(0, σ²), σ = √(2 / (fan_in + fan_out)): for sigmoid and tanh. Glorot and Bengio 2010.

    ``truncated`` takes a normal distribution within two of its standard deviations, scaled so that the result has
    standard deviation σ: Keras's form.
    """

    aliases: ClassVar[tuple[str, ...]] = ("xavier_normal",)

    def std(self, fan_in: int, fan_out: int) -> float:
        return math.sqrt(2 / (fan_in + fan_out))


@dataclass(frozen=True)
class GlorotUniform(_ScaledUniform):
    """W ~ U(-a, a), a = √(6 / (fan_in + fan_out)): for sigmoid and tanh. Glorot and Bengio 2010."""

    aliases: ClassVar[tuple[str, ...]] = ("xavier_uniform",)

    def limit(self, fan_in: int, fan_out: int) -> float:
        return math.sqrt(6 / (fan_in + fan_out))


@dataclass(frozen=True)
class HeNormal(_ScaledNormal):
    """W ~ N(0, σ²), σ = √(2 / fan_in): for ReLU and similar activations. He et al. 2015.

    ``truncated`` as in GlorotNormal.

    Examples
    --------
    >>> import dlarray
    >>> W = dlarray.HeNormal()(dlarray.core.random.Bits(0, "an example"), (200, 100))
    >>> W.shape, round(float(W.std()), 2)  # √(2 / 200) = 0.1
    ((200, 100), 0.1)
    >>> layer = dlarray.Dense(100, weight="he_normal")
    """

    aliases: ClassVar[tuple[str, ...]] = ("kaiming_normal",)

    def std(self, fan_in: int, fan_out: int) -> float:
        return math.sqrt(2 / fan_in)


@dataclass(frozen=True)
class HeUniform(_ScaledUniform):
    """W ~ U(-a, a), a = √(6 / fan_in): for ReLU and similar activations. He et al. 2015."""

    aliases: ClassVar[tuple[str, ...]] = ("kaiming_uniform",)

    def limit(self, fan_in: int, fan_out: int) -> float:
        return math.sqrt(6 / fan_in)


@dataclass(frozen=True)
class LeCunNormal(_ScaledNormal):
    """W ~ N(0, σ²), σ = √(1 / fan_in): for SELU. LeCun et al. 1998. ``truncated`` as in GlorotNormal."""

    spelling: ClassVar[str] = "lecun_normal"

    def std(self, fan_in: int, fan_out: int) -> float:
        return math.sqrt(1 / fan_in)


@dataclass(frozen=True)
class LeCunUniform(_ScaledUniform):
    """W ~ U(-a, a), a = √(3 / fan_in): for SELU. LeCun et al. 1998."""

    spelling: ClassVar[str] = "lecun_uniform"

    def limit(self, fan_in: int, fan_out: int) -> float:
        return math.sqrt(3 / fan_in)


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """W = gain · Q with WᵀW = gain² I, or WWᵀ = gain² I where there are more columns than rows. Saxe et al. 2014.

    Q is from A = QR, A normal, with the diagonal of R made positive: Q is then uniform among all such matrices, and
    does not depend on the signs that the library chooses. All lengths of the shape but the last are rows.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        positive("gain", self.gain)

    def __call__(self, bits: Bits, shape: Shape) -> np.ndarray:
        rows, columns = _fans(shape)
        tall = (max(rows, columns), min(rows, columns))
        q, r = np.linalg.qr(_normal(bits, tall))
        q *= np.copysign(1.0, np.diagonal(r))
        return np.reshape(self.gain * (q if rows >= columns else q.T), shape)


def _fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out) of a shape. Raises ValueError if one of them is 0."""
    fan_in, fan_out = size(shape[:-1]), size(shape[-1:])
    if not fan_in or not fan_out:
        raise ValueError(
            f"weights of shape {tuple(shape)} have fan_in {fan_in} and fan_out {fan_out}; both must be above 0"
        )
    return fan_in, fan_out


CUT = 2.0
"""The limit of a truncated normal distribution, in standard deviations."""

TRUNCATED_STD = math.sqrt(1 - CUT * math.exp(-(CUT**2) / 2) * math.sqrt(2 / math.pi) / math.erf(CUT / math.sqrt(2)))
"""The standard deviation of a standard normal distribution within this limit: 0.8796."""


def _uniform(bits: Bits, shape: Shape) -> np.ndarray:
    """U(-1, 1)."""
    return np.reshape(2 * bits.uniform(size(shape)) - 1, shape)


def _normal(bits: Bits, shape: Shape) -> np.ndarray:
    """N(0, 1)."""
    return np.reshape(bits.normal(size(shape)), shape)


def _truncated_normal(bits: Bits, shape: Shape) -> np.ndarray:
    """N(0, 1) within ±CUT; about one number in 22 is drawn again."""
    z = bits.normal(size(shape))
    while (outside := np.flatnonzero(np.abs(z) > CUT)).size:
        z[outside] = bits.normal(outside.size)
    return np.reshape(z, shape)
