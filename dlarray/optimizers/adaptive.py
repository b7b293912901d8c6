"""A separate rate for every number: the gradient divided by the root of the sum or average of its squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from dlarray.core.array import Array, array_namespace
from dlarray.core.check import fraction, non_negative, one_of, positive
from dlarray.optimizers.base import FirstOrder, State, ema
from dlarray.schedules import Schedule

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


@dataclass(frozen=True)
class Adagrad(FirstOrder):
    """s = s + g²,  θ -= η g / (√s + ε). Duchi, Hazan and Singer 2011; torch's Adagrad.

    The sum s only grows, so the effective rate tends to 0. Its initial value is ``initial_accumulator``.
    ``eps_mode="inside"`` divides by √(s + ε), as the textbook and Keras do. torch's lr_decay is the schedule
    InverseTimeDecay.
    """

    eps: float = 1e-10
    eps_mode: Literal["outside", "inside"] = "outside"
    initial_accumulator: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("eps", self.eps)
        one_of("eps_mode", self.eps_mode, ("outside", "inside"))
        non_negative("initial_accumulator", self.initial_accumulator)

    def init(self, theta: Array, mask: Array | None = None) -> State:
        return super().init(theta, mask) | {"s": array_namespace(theta).full_like(theta, self.initial_accumulator)}

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        rate, _, state = self.tick(theta, g, state)
        theta, g = self.decay(theta, g, rate, state)
        s = state["s"]
        s += g * g
        theta -= rate * g / _root(s, self.eps, self.eps_mode)
        return theta, state | {"s": s}


@dataclass(frozen=True)
class RMSprop(FirstOrder):
    """v = ρ v + (1 - ρ) g²,  θ -= η g / (√v + ε). Tieleman and Hinton 2012; torch's RMSprop.

    Adagrad with a moving average instead of a sum; the textbook calls it Adadelta. With ``centered`` the variance
    v - m², m = ρ m + (1 - ρ) g, is used instead of v (Graves 2013). With ``momentum`` γ above 0,
    b = γ b + g / (√v + ε),  θ -= η b.
    ``eps_mode="inside"`` divides by √(v + ε), as Keras does.
    """

    rho: float = 0.99
    eps: float = 1e-8
    eps_mode: Literal["outside", "inside"] = "outside"
    momentum: float = 0.0
    centered: bool = False
    spelling: ClassVar[str] = "rmsprop"

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("rho", self.rho)
        positive("eps", self.eps)
        one_of("eps_mode", self.eps_mode, ("outside", "inside"))
        fraction("momentum", self.momentum)

    def init(self, theta: Array, mask: Array | None = None) -> State:
        zeros = array_namespace(theta).zeros_like
        state = super().init(theta, mask) | {"v": zeros(theta)}
        if self.centered:
            state["m"] = zeros(theta)
        if self.momentum:
            state["b"] = zeros(theta)
        return state

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        rate, _, state = self.tick(theta, g, state)
        theta, g = self.decay(theta, g, rate, state)
        v = state["v"] = ema(state["v"], self.rho, g * g)
        if self.centered:
            m = state["m"] = ema(state["m"], self.rho, g)
            v = array_namespace(theta).maximum(v - m * m, 0.0)  # rounding may make it negative
        update = g / _root(v, self.eps, self.eps_mode)
        if self.momentum:
            b = state["b"]
            b *= self.momentum
            b += update
            update = state["b"] = b
        theta -= rate * update
        return theta, state


@dataclass(frozen=True)
class Adadelta(FirstOrder):
    """v = ρ v + (1 - ρ) g²,  Δ = g √(u + ε) / √(v + ε),  u = ρ u + (1 - ρ) Δ²,  θ -= η Δ.

    Zeiler 2012; torch's Adadelta. The average u of squared updates replaces the rate and gives Δ the units of θ.
    """

    learning_rate: float | Schedule = 1.0
    rho: float = 0.9
    eps: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("rho", self.rho)
        positive("eps", self.eps)

    def init(self, theta: Array, mask: Array | None = None) -> State:
        zeros = array_namespace(theta).zeros_like
        return super().init(theta, mask) | {"v": zeros(theta), "u": zeros(theta)}

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        rate, _, state = self.tick(theta, g, state)
        theta, g = self.decay(theta, g, rate, state)
        v = ema(state["v"], self.rho, g * g)
        delta = _root(state["u"], self.eps, "inside")
        delta /= _root(v, self.eps, "inside")
        delta *= g
        u = ema(state["u"], self.rho, delta * delta)
        theta -= rate * delta
        return theta, state | {"v": v, "u": u}


def _root(v: Array, eps: float, eps_mode: str) -> Array:
    """√v + ε, or √(v + ε) with ε inside."""
    xp = array_namespace(v)
    if eps_mode == "inside":
        return xp.sqrt(v + eps)
    root = xp.sqrt(v)
    root += eps
    return root
