"""Activations z g(z) with a gate g, which is 0 far to the left and 1 far to the right: all are smooth ReLUs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi, sqrt
from typing import Any, ClassVar

from dlarray.activations.rectifiers import sum_examples
from dlarray.activations.squashing import HardSigmoid, Sigmoid
from dlarray.core.array import Array, array_namespace, clip
from dlarray.core.check import finite, one_of, plain_numbers
from dlarray.core.layer import Activation, Shape
from dlarray.core.special import exp_ratio, normal_cdf, normal_pdf
from dlarray.initializers import Constant

__all__ = ["GELU", "HardSwish", "Mish", "Swish"]


class _Gated(Activation):
    """y = z g(z),  dz = (g(z) + z g'(z)) dy.

    A subclass defines ``gate(z, **p) -> g(z), saved`` and ``slope(z, saved, **p) -> g'(z)``.
    """

    abstract: ClassVar[bool] = True
    initializer: ClassVar[str] = "he_uniform"
    gate: Callable[..., tuple[Array, Any]]
    slope: Callable[..., Array]

    def forward(self, z: Array, **p: Array) -> tuple[Array, tuple[Array, Array, Any]]:
        g, of_gate = self.gate(z, **p)
        return _through(z, g), (z, g, of_gate)

    def backward(self, saved: tuple[Array, Array, Any], dy: Array, **p: Array) -> Array:
        z, g, of_gate = saved
        dz = _through(z, self.slope(z, of_gate, **p))
        dz += g
        dz *= dy
        return dz


@dataclass(frozen=True)
class GELU(_Gated):
    """y = z Φ(z),  dz = (Φ(z) + z φ(z)) dy,  with the standard normal Φ and φ. Hendrycks and Gimpel 2016.

    ``approximate="tanh"``: Φ(z) ≈ (1 + tanh u) / 2 = σ(2u),  u = √(2/π) (z + 0.044715 z³), as in GPT-2. Raises
    ValueError if approximate is neither "none" nor "tanh".
    """

    approximate: str = "none"

    def __post_init__(self) -> None:
        one_of("approximate", self.approximate, ("none", "tanh"))

    def gate(self, z: Array) -> tuple[Array, Any]:
        if self.approximate == "none":
            return normal_cdf(z), None
        z = clip(z, -30.0, 30.0)  # there σ(2u) is 0 and 1, and z³ cannot overflow
        g, (_, rest) = Sigmoid().forward(2 * sqrt(2 / pi) * (z + 0.044715 * (z * z * z)))
        return g, (z, g * rest)

    def slope(self, z: Array, saved: Any) -> Array:
        if self.approximate == "none":
            return normal_pdf(z)
        z, slope = saved
        return 2 * sqrt(2 / pi) * (1 + 3 * 0.044715 * (z * z)) * slope


@dataclass(frozen=True)
class Swish(_Gated):
    """y = z σ(βz),  dz = (σ(βz) + βz σ(βz) σ(-βz)) dy,  dβ = Σ dy z² σ(βz) σ(-βz). Ramachandran et al. 2017.

    ``trainable=True`` makes β a parameter ``beta``, (features,), whose initial value is the field ``beta``. With β = 1
    it is also called SiLU.
    """

    aliases: ClassVar[tuple[str, ...]] = ("silu",)
    beta: float = 1.0
    trainable: bool = False

    def __post_init__(self) -> None:
        plain_numbers(self)
        finite("beta", self.beta)

    def shapes(self, inputs: int) -> dict[str, Shape]:
        return {"beta": (inputs,)} if self.trainable else {}

    def initializers(self) -> dict[str, Any]:
        return {"beta": Constant(self.beta)} if self.trainable else {}

    def gate(self, z: Array, beta: Array | None = None) -> tuple[Array, Array]:
        g, (_, rest) = Sigmoid().forward(z * (self.beta if beta is None else beta))
        return g, g * rest

    def slope(self, z: Array, saved: Array, beta: Array | None = None) -> Array:
        return saved * (self.beta if beta is None else beta)

    def gradient(self, saved: tuple[Array, Array, Array], dy: Array, /) -> dict[str, Array]:
        z, _, slope = saved
        return {"beta": sum_examples(_through(z, _through(z, slope)) * dy)} if self.trainable else {}


@dataclass(frozen=True)
class Mish(_Gated):
    """y = z g,  g = tanh(log(1 + n)) = (n² + 2n) / (n² + 2n + 2),  n = exp z,  dz = (g + z g') dy. Misra 2019.

    g' = 4n (n + 1) / (n² + 2n + 2)². Written with n = p / q, which cannot overflow.
    """

    def gate(self, z: Array) -> tuple[Array, Any]:
        p, q = exp_ratio(z)
        top = p * (p + 2 * q)
        bottom = top + 2 * q * q
        return top / bottom, (p, q, bottom)

    def slope(self, z: Array, saved: tuple[Array, Array, Array]) -> Array:
        p, q, bottom = saved
        return 4 * p * (p + q) * (q * q) / (bottom * bottom)


@dataclass(frozen=True)
class HardSwish(_Gated):
    """y = z h(z),  dz = (h(z) + z h'(z)) dy,  with h = HardSigmoid. Howard et al. 2019 (MobileNetV3)."""

    def gate(self, z: Array) -> tuple[Array, None]:
        return HardSigmoid().predict(z), None

    def slope(self, z: Array, saved: None) -> Array:
        xp = array_namespace(z)
        return xp.where(xp.abs(z) < 3, 1 / 6, xp.zeros_like(z))


def _through(z: Array, gate: Array) -> Array:
    """z · gate, and 0 if the gate is 0, even for an infinite z."""
    return array_namespace(z).where(gate == 0, 0.0, z) * gate
