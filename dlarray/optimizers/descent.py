"""Descent along the gradient, an average of gradients or their signs: momentum, Nesterov's momentum, Lion, Rprop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarray.core.array import Array, array_namespace, clip
from dlarray.core.check import fraction, positive
from dlarray.optimizers.base import DecoupledDecay, FirstOrder, State, ema
from dlarray.schedules import Schedule

__all__ = ["GradientDescent", "Lion", "Momentum", "Nesterov", "Rprop"]


@dataclass(frozen=True)
class GradientDescent(FirstOrder):
    """θ -= η g. g is the mean over all examples, over a mini-batch or of one example. torch's SGD."""

    aliases: ClassVar[tuple[str, ...]] = ("sgd",)

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        rate, _, state = self.tick(theta, g, state)
        theta, g = self.decay(theta, g, rate, state)
        theta -= rate * g
        return theta, state


@dataclass(frozen=True)
class Momentum(FirstOrder):
    """v = γ v + g,  θ -= η v. Polyak 1964; torch's SGD with momentum γ.

    The rate multiplies the velocity. In the textbook and in Keras it is inside, v = γ v + η g, which is the same while
    the rate is constant.
    """

    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("momentum", self.momentum)

    def init(self, theta: Array, mask: Array | None = None) -> State:
        return super().init(theta, mask) | {"v": array_namespace(theta).zeros_like(theta)}

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        rate, _, state = self.tick(theta, g, state)
        theta, g = self.decay(theta, g, rate, state)
        v = state["v"]
        v *= self.momentum
        v += g
        theta -= rate * v
        return theta, state | {"v": v}


@dataclass(frozen=True)
class Nesterov(Momentum):
    """v = γ v + g,  θ -= η (g + γ v): momentum that looks one step ahead. torch's SGD with nesterov=True.

    Nesterov 1983, in the form of Sutskever et al. 2013.
    """

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        rate, _, state = self.tick(theta, g, state)
        theta, g = self.decay(theta, g, rate, state)
        v = state["v"]
        v *= self.momentum
        v += g
        g += self.momentum * v
        theta -= rate * g
        return theta, state | {"v": v}


@dataclass(frozen=True)
class Lion(DecoupledDecay):
    """θ -= η (sign(β₁ m + (1 - β₁) g) + λ θ),  m = β₂ m + (1 - β₂) g. Chen et al. 2023.

    Every number changes by η, whatever the size of its gradient, so rates are about ten times smaller than Adam's.
    """

    learning_rate: float | Schedule = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("beta1", self.beta1)
        fraction("beta2", self.beta2)

    def init(self, theta: Array, mask: Array | None = None) -> State:
        return super().init(theta, mask) | {"m": array_namespace(theta).zeros_like(theta)}

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        rate, _, state = self.tick(theta, g, state)
        theta, g = self.decay(theta, g, rate, state)
        m = state["m"]
        theta -= rate * array_namespace(theta).sign(self.beta1 * m + (1 - self.beta1) * g)
        return theta, state | {"m": ema(m, self.beta2, g)}


@dataclass(frozen=True)
class Rprop(FirstOrder):
    """θ -= s sign g;  s grows by ``grow`` where g has the sign of the step before, and shrinks by ``shrink`` where not.

    Where the sign has changed, this step is left out, and the next one counts as the first. s begins at the learning
    rate and stays in [``least``, ``most``]. For batch descent: the signs of mini-batches change by chance. A rate that
    a callback changes scales all steps. Raises TypeError for a schedule; ValueError unless 0 < shrink < 1 < grow and
    least < most. Riedmiller and Braun 1993; torch's Rprop.
    """

    grow: float = 1.2
    shrink: float = 0.5
    least: float = 1e-6
    most: float = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.learning_rate, Schedule):
            raise TypeError(
                "Rprop changes the rate of each number itself: learning_rate must be a number, not a schedule"
            )
        if not 0 < fraction("shrink", self.shrink) < 1 < positive("grow", self.grow):
            raise ValueError(f"shrink must be below 1 and grow above it, got {self.shrink!r} and {self.grow!r}")
        if not positive("least", self.least) < positive("most", self.most):
            raise ValueError(f"least must be below most, got {self.least!r} and {self.most!r}")

    def init(self, theta: Array, mask: Array | None = None) -> State:
        xp, state = array_namespace(theta), super().init(theta, mask)
        return state | {"s": xp.full_like(theta, self.rate(state["t"])), "before": xp.zeros_like(theta)}

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        xp = array_namespace(theta)
        rate, t, state = self.tick(theta, g, state)
        theta, g = self.decay(theta, g, rate, state)
        same = g * xp.sign(state["before"])
        s = state["s"]
        s *= xp.where(same > 0, self.grow, xp.where(same < 0, self.shrink, xp.ones_like(s)))
        s = clip(s, self.least, self.most)
        g = xp.where(same < 0, 0.0, g)
        theta -= rate / self.rate(t) * s * xp.sign(g)
        return theta, state | {"s": s, "before": g}
