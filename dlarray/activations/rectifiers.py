"""Rectifiers: activations that pass positive numbers and reduce negative ones, to 0 or in part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dlarray.core.array import Array, array_namespace, clip
from dlarray.core.check import finite, non_negative, plain_numbers, positive
from dlarray.core.layer import Activation, Shape
from dlarray.initializers import Constant

__all__ = ["CELU", "ELU", "SELU", "LeakyReLU", "LogSigmoid", "PReLU", "ReLU", "ReLU6", "Softplus"]


class _Rectifier(Activation):
    """An activation that passes about half of the numbers: He's initialization is made for these."""

    abstract: ClassVar[bool] = True
    initializer: ClassVar[str] = "he_uniform"


@dataclass(frozen=True)
class ReLU(_Rectifier):
    """y = max(z, 0),  dz = dy where z > 0, else 0. Rectified linear unit, Nair and Hinton 2010.

    Examples
    --------
    >>> import numpy as np
    >>> import dlarray
    >>> relu = dlarray.ReLU()
    >>> y, saved = relu.forward(np.asarray([-1.0, 0.5, 2.0]))
    >>> y
    array([0. , 0.5, 2. ])
    >>> relu.backward(saved, np.ones(3))
    array([0., 1., 1.])
    """

    spelling: ClassVar[str] = "relu"

    def forward(self, z: Array) -> tuple[Array, Array]:
        y = array_namespace(z).maximum(z, 0.0)
        return y, y

    def backward(self, y: Array, dy: Array) -> Array:
        return array_namespace(y).astype(y > 0, dy.dtype) * dy


@dataclass(frozen=True)
class ReLU6(_Rectifier):
    """y = min(max(z, 0), 6),  dz = dy where 0 < z < 6, else 0. Krizhevsky 2010: bounded, for 8-bit numbers."""

    spelling: ClassVar[str] = "relu6"

    def forward(self, z: Array) -> tuple[Array, Array]:
        y = clip(z, 0.0, 6.0)
        return y, y

    def backward(self, y: Array, dy: Array) -> Array:
        return array_namespace(y).where((y > 0) & (y < 6), dy, 0.0)


@dataclass(frozen=True)
class LeakyReLU(_Rectifier):
    """y = max(z, 0) + slope · min(z, 0),  dz = dy where z > 0, else slope · dy. Maas et al. 2013.

    Raises ValueError if slope is below 0: then the sign of z could not be read from y.
    """

    spelling: ClassVar[str] = "leaky_relu"
    slope: float = 0.01

    def __post_init__(self) -> None:
        plain_numbers(self)
        non_negative("slope", self.slope)

    def forward(self, z: Array) -> tuple[Array, Array]:
        y = _leak(z, self.slope)
        return y, y

    def backward(self, y: Array, dy: Array) -> Array:
        return array_namespace(y).where(y > 0, dy, self.slope * dy)


@dataclass(frozen=True)
class PReLU(_Rectifier):
    """LeakyReLU with a trained slope for each feature,  dslope = Σ dy min(z, 0). Parametric ReLU, He et al. 2015.

    The parameter is ``slope``, (features,); the field ``slope`` is its initial value.
    """

    spelling: ClassVar[str] = "prelu"
    slope: float = 0.25

    def __post_init__(self) -> None:
        plain_numbers(self)
        finite("slope", self.slope)

    def shapes(self, inputs: int) -> dict[str, Shape]:
        return {"slope": (inputs,)}

    def initializers(self) -> dict[str, Any]:
        return {"slope": Constant(self.slope)}

    def forward(self, z: Array, slope: Array) -> tuple[Array, Array]:
        return _leak(z, slope), z

    def backward(self, z: Array, dy: Array, slope: Array) -> Array:
        return array_namespace(z).where(z > 0, dy, slope * dy)

    def gradient(self, z: Array, dy: Array, /) -> dict[str, Array]:
        return {"slope": sum_examples(dy * array_namespace(z).minimum(z, 0.0))}


@dataclass(frozen=True)
class ELU(_Rectifier):
    """y = max(z, 0) + α (exp(min(z, 0)) - 1),  dz = dy where z > 0, else α exp(z) dy. Clevert et al. 2016.

    Raises ValueError if alpha is not above 0, as CELU does.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        positive("alpha", self.alpha)

    def forward(self, z: Array) -> tuple[Array, Array]:
        xp = array_namespace(z)
        y = self.alpha * xp.expm1(xp.minimum(z, 0.0))
        y += xp.maximum(z, 0.0)
        return y, z

    def backward(self, z: Array, dy: Array) -> Array:
        xp = array_namespace(z)
        return dy * xp.where(z > 0, 1.0, self.alpha * xp.exp(xp.minimum(z, 0.0)))


@dataclass(frozen=True)
class SELU(Activation):
    """y = λ ELU(z) with α = 1.673 and λ = 1.051,  dz = λ ELU'(z) dy. Klambauer et al. 2017.

    Self-normalising: from layer to layer mean and variance tend to 0 and 1. This is proved for weights of variance
    1 / fan_in, so the Dense layer before it is initialized by LeCun's normal distribution, not He's.
    """

    initializer: ClassVar[str] = "lecun_normal"
    scale: ClassVar[float] = 1.0507009873554804934193349852946
    elu: ClassVar[ELU] = ELU(1.6732632423543772848170429916717)

    def forward(self, z: Array) -> tuple[Array, Array]:
        y, saved = self.elu.forward(z)
        return self.scale * y, saved

    def backward(self, saved: Array, dy: Array) -> Array:
        return self.elu.backward(saved, self.scale * dy)


@dataclass(frozen=True)
class CELU(_Rectifier):
    """y = max(z, 0) + α (exp(min(z, 0) / α) - 1),  dz = dy where z > 0, else exp(z / α) dy. Barron 2017.

    Like ELU, with a slope that is continuous for every α. Raises ValueError if alpha is not above 0.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        positive("alpha", self.alpha)

    def forward(self, z: Array) -> tuple[Array, Array]:
        xp = array_namespace(z)
        n = clip(z, -750 * self.alpha, 0.0) / self.alpha  # exp(-750) = 0, and z / α cannot overflow
        y = self.alpha * xp.expm1(n)
        y += xp.maximum(z, 0.0)
        return y, n

    def backward(self, n: Array, dy: Array) -> Array:
        return dy * array_namespace(n).exp(n)


@dataclass(frozen=True)
class Softplus(_Rectifier):
    """y = log(1 + exp βz) / β = max(z, 0) + log(1 + exp(-β|z|)) / β,  dz = σ(βz) dy = (1 - exp(-βy)) dy.

    A smooth ReLU: the larger β, the closer. torch's threshold is not needed: no z overflows. Raises ValueError if beta
    is not above 0.
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        positive("beta", self.beta)

    def forward(self, z: Array) -> tuple[Array, Array]:
        xp = array_namespace(z)
        far = xp.abs(z)
        if self.beta != 1:
            far = self.beta * xp.minimum(far, 750 / self.beta)  # exp(-750) = 0, and β z cannot overflow
        y = xp.log1p(xp.exp(-far))
        if self.beta != 1:
            y /= self.beta
        y += xp.maximum(z, 0.0)
        return y, y

    def backward(self, y: Array, dy: Array) -> Array:
        xp = array_namespace(y)
        exponent = y if self.beta == 1 else self.beta * xp.minimum(y, 750 / self.beta)
        return -xp.expm1(-exponent) * dy


@dataclass(frozen=True)
class LogSigmoid(Activation):
    """y = log σ(z) = -softplus(-z),  dz = σ(-z) dy = (1 - exp y) dy."""

    def forward(self, z: Array) -> tuple[Array, Array]:
        y = -Softplus().predict(-z)  # log-sigmoid is softplus with two signs changed
        return y, y

    def backward(self, y: Array, dy: Array) -> Array:
        return -array_namespace(y).expm1(y) * dy


def _leak(z: Array, slope: Array | float) -> Array:
    """max(z, 0) + slope · min(z, 0)."""
    xp = array_namespace(z)
    y = slope * xp.minimum(z, 0.0)
    y += xp.maximum(z, 0.0)
    return y


def sum_examples(x: Array) -> Array:
    """The sum over all axes but the last."""
    xp = array_namespace(x)
    return xp.sum(x, axis=tuple(range(x.ndim - 1)))
