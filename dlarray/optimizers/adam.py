"""Adam and its variants: an average of gradients divided by the root of an average of their squares."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from dlarray.core.array import Array, array_namespace
from dlarray.core.check import fraction, non_negative, one_of, positive
from dlarray.optimizers.base import DecoupledDecay, FirstOrder, State, bias_correction, ema
from dlarray.schedules import Schedule

__all__ = ["AMSGrad", "Adam", "AdamW", "Adamax", "NAdam"]


@dataclass(frozen=True)
class Moments(FirstOrder):
    """An optimizer with an average m of gradients and v of their squares, and the place of ε in the formula."""

    abstract: ClassVar[bool] = True
    learning_rate: float | Schedule = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    eps_mode: Literal["outside", "inside", "hat"] = "outside"

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("beta1", self.beta1)
        fraction("beta2", self.beta2)
        positive("eps", self.eps)
        one_of("eps_mode", self.eps_mode, ("outside", "inside", "hat"))

    def init(self, theta: Array, mask: Array | None = None) -> State:
        zeros = array_namespace(theta).zeros_like
        return super().init(theta, mask) | {"m": zeros(theta), "v": zeros(theta)}

    def root(self, v: Array, seen: Array) -> Array:
        """√v̂ + ε where v̂ = v / seen; √(v̂ + ε) with ε inside; (√v + ε) / √seen in the form that the paper calls ε̂.

        Only one number is divided, because a division takes several times as long as a product.
        """
        xp = array_namespace(v)
        if self.eps_mode == "inside":
            return xp.sqrt(v * (1 / seen) + self.eps)
        if self.eps_mode == "hat":
            return (xp.sqrt(v) + self.eps) * (1 / xp.sqrt(seen))
        return xp.sqrt(v * (1 / seen)) + self.eps


@dataclass(frozen=True)
class Adam(Moments):
    """m = β₁ m + (1 - β₁) g,  v = β₂ v + (1 - β₂) g²,  m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ),  θ -= η m̂ / (√v̂ + ε).

    Kingma and Ba 2015; torch's Adam. m̂ and v̂ correct for the initial value 0 of both averages. ``eps_mode="hat"`` is
    the paper's faster form θ -= η √(1 - β₂ᵗ) / (1 - β₁ᵗ) m / (√v + ε̂), the one in Keras and scikit-learn; "inside"
    divides by √(v̂ + ε).

    Examples
    --------
    >>> import numpy as np
    >>> import dlarray
    >>> adam = dlarray.Adam(learning_rate=0.1)
    >>> theta = np.asarray([1.0, -2.0])
    >>> theta, state = adam.step(theta, np.asarray([3.0, -0.01]), adam.init(theta))
    >>> print(theta.round(4))  # in the first step every number changes by the rate
    [ 0.9 -1.9]
    """

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        rate, t, state = self.tick(theta, g, state)
        theta, g = self.decay(theta, g, rate, state)
        m = ema(state["m"], self.beta1, g)
        v = ema(state["v"], self.beta2, g * g)
        theta -= rate / bias_correction(self.beta1, t) * m / self.root(v, bias_correction(self.beta2, t))
        return theta, state | {"m": m, "v": v}


@dataclass(frozen=True)
class AMSGrad(Moments):
    """Adam with w = max(w, v) instead of v, which never decreases. Reddi et al. 2018.

    θ -= η m̂ / (√ŵ + ε), ŵ = w / (1 - β₂ᵗ); torch's Adam with amsgrad=True.
    """

    spelling: ClassVar[str] = "amsgrad"

    def init(self, theta: Array, mask: Array | None = None) -> State:
        return super().init(theta, mask) | {"w": array_namespace(theta).zeros_like(theta)}

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        rate, t, state = self.tick(theta, g, state)
        theta, g = self.decay(theta, g, rate, state)
        m = ema(state["m"], self.beta1, g)
        v = ema(state["v"], self.beta2, g * g)
        w = array_namespace(theta).maximum(state["w"], v)
        theta -= rate / bias_correction(self.beta1, t) * m / self.root(w, bias_correction(self.beta2, t))
        return theta, state | {"m": m, "v": v, "w": w}


@dataclass(frozen=True)
class AdamW(Adam, DecoupledDecay):  # Adam's defaults and step, the other's decay
    """Adam with decoupled weight decay: θ -= η λ θ, then Adam's step without decay.

    Loshchilov and Hutter 2019; torch's AdamW.
    """

    weight_decay: float = field(default=0.01, kw_only=True)
    spelling: ClassVar[str] = "adamw"


@dataclass(frozen=True)
class NAdam(Moments):
    """Adam with Nesterov's momentum: θ -= η (μₜ₊₁ m / (1 - Π μ μₜ₊₁) + (1 - μₜ) g / (1 - Π μ)) / (√v̂ + ε).

    μₜ = β₁ (1 - ½ 0.96^(ψ t)) with ψ the ``momentum_decay``, Π μ = μ₁ ⋯ μₜ; m, v and v̂ as in Adam. Dozat 2016; torch's
    NAdam.
    """

    learning_rate: float | Schedule = 2e-3
    momentum_decay: float = 4e-3
    spelling: ClassVar[str] = "nadam"

    def __post_init__(self) -> None:
        super().__post_init__()
        non_negative("momentum_decay", self.momentum_decay)

    def init(self, theta: Array, mask: Array | None = None) -> State:
        state = super().init(theta, mask)
        xp = array_namespace(theta)
        return state | {"product": xp.ones_like(state["t"], dtype=theta.dtype)}

    def _mu(self, t: Array) -> Array:
        return self.beta1 * (1 - 0.5 * array_namespace(t).exp(t * (self.momentum_decay * math.log(0.96))))

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        rate, t, state = self.tick(theta, g, state)
        theta, g = self.decay(theta, g, rate, state)
        m = ema(state["m"], self.beta1, g)
        v = ema(state["v"], self.beta2, g * g)
        mu, ahead = self._mu(t), self._mu(t + 1)
        product = state["product"]
        product *= mu
        update = ahead / (1 - product * ahead) * m
        update += (1 - mu) / (1 - product) * g
        theta -= rate * update / self.root(v, bias_correction(self.beta2, t))
        return theta, state | {"m": m, "v": v, "product": product}


@dataclass(frozen=True)
class Adamax(FirstOrder):
    """m = β₁ m + (1 - β₁) g,  u = max(β₂ u, |g| + ε),  θ -= η m̂ / u: Adam with the largest |g| instead of √v.

    Kingma and Ba 2015; torch's Adamax. ``eps_mode="outside"`` is Keras's form: u = max(β₂ u, |g|),  θ -= η m̂ / (u + ε).
    """

    learning_rate: float | Schedule = 2e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    eps_mode: Literal["inside", "outside"] = "inside"

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("beta1", self.beta1)
        fraction("beta2", self.beta2)
        positive("eps", self.eps)
        one_of("eps_mode", self.eps_mode, ("inside", "outside"))

    def init(self, theta: Array, mask: Array | None = None) -> State:
        zeros = array_namespace(theta).zeros_like
        return super().init(theta, mask) | {"m": zeros(theta), "u": zeros(theta)}

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        rate, t, state = self.tick(theta, g, state)
        theta, g = self.decay(theta, g, rate, state)
        xp = array_namespace(theta)
        m = ema(state["m"], self.beta1, g)
        largest = xp.abs(g) + self.eps if self.eps_mode == "inside" else xp.abs(g)
        u = xp.maximum(self.beta2 * state["u"], largest)
        root = u if self.eps_mode == "inside" else u + self.eps
        theta -= rate / bias_correction(self.beta1, t) * m / root
        return theta, state | {"m": m, "u": u}
