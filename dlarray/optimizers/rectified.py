"""Rectified Adam: Adam whose steps are small as long as its average of squares is uncertain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from dlarray.core.array import Array, array_namespace
from dlarray.optimizers.adam import Moments
from dlarray.optimizers.base import State, bias_correction, ema

__all__ = ["RAdam", "averaged"]


@dataclass(frozen=True)
class RAdam(Moments):
    """θ -= η r m̂ / (√v̂ + ε) where ρ > 5, else θ -= η m̂: Adam without a warm-up. Liu et al. 2020; torch's RAdam.

    ρ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ),  ρ∞ = 2 / (1 - β₂) - 1, the number of gradients that v is an average of;
    r² = (ρ - 4) (ρ - 2) ρ∞ / ((ρ∞ - 4) (ρ∞ - 2) ρ). m, v, m̂ and v̂ as in Adam; torch divides by (√v + ε) / √(1 - β₂ᵗ),
    which is ``eps_mode="hat"``, the default here.
    """

    eps_mode: Literal["outside", "inside", "hat"] = "hat"
    spelling: ClassVar[str] = "radam"

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        xp = array_namespace(theta)
        rate, t, state = self.tick(theta, g, state)
        theta, g = self.decay(theta, g, rate, state)
        m = ema(state["m"], self.beta1, g)
        v = ema(state["v"], self.beta2, g * g)
        rho, most = averaged(self.beta2, t), 2 / (1 - self.beta2) - 1
        known = rho > 5
        rho = xp.where(known, rho, 6.0)
        share = (rho - 4) * (rho - 2) / rho * (most / ((most - 4) * (most - 2)) if most > 5 else 0.0)
        update = rate / bias_correction(self.beta1, t) * m
        theta -= xp.where(known, update * xp.sqrt(share) / self.root(v, bias_correction(self.beta2, t)), update)
        return theta, state | {"m": m, "v": v}


def averaged(beta: float, t: Array) -> Array:
    """2 / (1 - β) - 1 - 2 t βᵗ / (1 - βᵗ): how many numbers an average has seen, about t at first.

    It is c + 2/λ (1 - x / (exp x - 1)) with x = λ t, λ = -log β; a series for small x keeps its digits in float32.
    """
    xp = array_namespace(t)
    if beta == 0:
        return t * 0.0 + 1
    decay = -math.log(beta)
    x = t * decay
    z = xp.minimum(x, 0.25)
    near = z * (1 / 2 - z / 12 * (1 - z * z / 60 * (1 - z * z / 42 * (1 - z * z / 40))))
    part = xp.where(x < 0.25, near, 1 + x * xp.exp(-x) / xp.expm1(-x))
    return 2 / (1 - beta) - 1 - 2 / decay + 2 / decay * part
