"""Activations that map numbers, or rows of numbers, into a bounded range; and the identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarray.core.array import Array, array_namespace, clip
from dlarray.core.check import finite, plain_numbers
from dlarray.core.layer import Activation
from dlarray.core.special import exp_ratio

__all__ = ["HardSigmoid", "HardTanh", "Identity", "LogSoftmax", "Sigmoid", "Softmax", "Softsign", "Tanh"]


@dataclass(frozen=True)
class Identity(Activation):
    """y = z,  dz = dy."""

    aliases: ClassVar[tuple[str, ...]] = ("linear",)

    def forward(self, z: Array) -> tuple[Array, None]:
        return z, None

    def backward(self, saved: None, dy: Array) -> Array:
        return dy


@dataclass(frozen=True)
class Sigmoid(Activation):
    """a = σ(z) = 1 / (1 + exp(-z)),  dz = a b dy,  b = 1 - a = σ(-z): a number in (0, 1), such as a probability.

    With exp z = p / q, a = p / (p + q). b = q / (p + q) keeps the digits that 1 - a loses, which is 0 from z = 37 on.
    """

    aliases: ClassVar[tuple[str, ...]] = ("logistic",)
    gives_probabilities: ClassVar[bool] = True

    def forward(self, z: Array) -> tuple[Array, tuple[Array, Array]]:
        p, q = exp_ratio(z)
        total = p + q
        a, b = p / total, q / total
        return a, (a, b)

    def backward(self, saved: tuple[Array, Array], dy: Array) -> Array:
        a, b = saved
        dz = a * b
        dz *= dy
        return dz


@dataclass(frozen=True)
class Tanh(Activation):
    """a = tanh z,  dz = (1 - a²) dy. Where a rounds to ±1, from |z| = 19 on (9 in float32), the slope is 0."""

    def forward(self, z: Array) -> tuple[Array, Array]:
        a = array_namespace(z).tanh(z)
        return a, a

    def backward(self, a: Array, dy: Array) -> Array:
        dz = 1 - a * a
        dz *= dy
        return dz


@dataclass(frozen=True)
class Softsign(Activation):
    """y = z / (1 + |z|),  dz = dy / (1 + |z|)²."""

    def forward(self, z: Array) -> tuple[Array, Array]:
        xp = array_namespace(z)
        far = clip(z, -1e30, 1e30)  # ±inf gives ±1, not inf / inf
        return far / (1 + xp.abs(far)), z

    def backward(self, z: Array, dy: Array) -> Array:
        q = 1 / (1 + array_namespace(z).abs(z))
        q *= q
        q *= dy
        return q


@dataclass(frozen=True)
class HardSigmoid(Activation):
    """y = min(max(z + 3, 0), 6) / 6,  dz = dy / 6 where |z| < 3, else 0: a piecewise linear sigmoid."""

    def forward(self, z: Array) -> tuple[Array, Array]:
        return clip(z + 3, 0.0, 6.0) / 6, z

    def backward(self, z: Array, dy: Array) -> Array:
        xp = array_namespace(z)
        return xp.where(xp.abs(z) < 3, dy / 6, 0.0)


@dataclass(frozen=True)
class HardTanh(Activation):
    """y = min(max(z, low), high),  dz = dy where low < z < high, else 0. Raises ValueError unless low < high."""

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not finite("low", self.low) < finite("high", self.high):
            raise ValueError(f"low must be below high, got {self.low!r} and {self.high!r}")

    def forward(self, z: Array) -> tuple[Array, Array]:
        y = clip(z, self.low, self.high)
        return y, y

    def backward(self, y: Array, dy: Array) -> Array:
        return array_namespace(y).where((y > self.low) & (y < self.high), dy, 0.0)


@dataclass(frozen=True)
class Softmax(Activation):
    """a = exp z / Σ exp z over the last axis,  dz = a (dy - Σ a dy): probabilities of classes, of which one is right.

    The maximum is subtracted first: exp cannot overflow. -inf gives 0; a row with +inf, or of -inf only, has no softmax
    and gives NaN.
    """

    gives_probabilities: ClassVar[bool] = True

    def forward(self, z: Array) -> tuple[Array, Array]:
        xp = array_namespace(z)
        a = xp.exp(z - _largest(z))
        a /= xp.sum(a, axis=-1, keepdims=True)
        return a, a

    def backward(self, a: Array, dy: Array) -> Array:
        dz = dy - array_namespace(a).sum(a * dy, axis=-1, keepdims=True)
        dz *= a
        return dz


@dataclass(frozen=True)
class LogSoftmax(Activation):
    """y = log softmax(z) = z - log Σ exp z over the last axis,  dz = dy - exp(y) Σ dy. Infinities as in Softmax.

    At the row's largest number m, y = -log(1 + r) with r = Σ exp(z - m) over the others. log1p keeps the digits of a
    small r, which 1 + r would lose.
    """

    def forward(self, z: Array) -> tuple[Array, Array]:
        xp = array_namespace(z)
        y = z - _largest(z)
        first = y == 0
        rest = xp.sum(xp.where(first, 0.0, xp.exp(y)), axis=-1, keepdims=True)
        rest += xp.maximum(xp.sum(xp.astype(first, z.dtype), axis=-1, keepdims=True) - 1, 0.0)  # equal to the largest
        y -= xp.log1p(rest)
        return y, y

    def backward(self, y: Array, dy: Array) -> Array:
        xp = array_namespace(y)
        dz = -xp.exp(y)
        dz *= xp.sum(dy, axis=-1, keepdims=True)
        dz += dy
        return dz


def _largest(z: Array) -> Array:
    """The largest number of each row, as a column; 0 for empty rows."""
    xp = array_namespace(z)
    return xp.max(z, axis=-1, keepdims=True) if z.shape[-1] != 0 else xp.sum(z, axis=-1, keepdims=True)
