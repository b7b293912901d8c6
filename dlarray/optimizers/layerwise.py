"""Optimizers that look at each parameter as a whole: at its norm, or at the singular values of a matrix.

Their ``step`` is for ONE parameter in its own shape. ``step_parameters``, which ``fit`` calls, takes the vectors of θ
apart by their layout; ``step_all`` takes each array of a tuple for one parameter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from dlarray.core.array import Array, array_namespace, copy_array
from dlarray.core.check import at_least_one, fraction, one_of, positive
from dlarray.core.layout import Layout
from dlarray.optimizers.adam import AdamW, Moments
from dlarray.optimizers.base import DecoupledDecay, State, bias_correction, decaying, ema
from dlarray.optimizers.clipping import scaled_norm
from dlarray.schedules import Schedule

__all__ = ["LAMB", "Muon"]


@dataclass(frozen=True)
class _LayerWise(DecoupledDecay):
    abstract: ClassVar[bool] = True
    elementwise: ClassVar[bool] = False

    def step_parameters(
        self, thetas: tuple[Array, ...], gs: tuple[Array, ...], states: tuple[State, ...], layout: Layout
    ) -> tuple[tuple[Array, ...], tuple[State, ...]]:
        if not states:
            return thetas, states
        vectors = [name for name, x in states[0].items() if x.ndim]
        parts = {name: _split(layout, tuple(state[name] for state in states)) for name in vectors}
        numbers = [{name: x for name, x in state.items() if not x.ndim} for state in states]
        own = tuple(
            {name: parts[name][parameter] for name in vectors}
            | {name: x for name, x in numbers[slot.vector].items() if i == 0 or name != "t"}
            for i, (parameter, slot) in enumerate(layout.slots.items())
        )
        theta, g = _split(layout, thetas), _split(layout, gs)
        moved, after = self.step_all(tuple(theta.values()), tuple(g.values()), own)
        numbers[0]["t"] = after[0]["t"]
        joined = {name: layout.join({p: s[name] for p, s in zip(theta, after, strict=True)}) for name in vectors}
        following = tuple(  # a plan is known by the order of the names too
            {name: joined[name][i] if name in joined else numbers[i][name] for name in state}
            for i, state in enumerate(states)
        )
        return layout.join(dict(zip(theta, moved, strict=True))), following


@dataclass(frozen=True)
class LAMB(Moments, _LayerWise):
    """r = m̂ / (√v̂ + ε) + λ θ,  θ -= η |θ| / |r| r: Adam's step with the length of the parameter itself.

    m̂ and v̂ as in Adam, λ the ``weight_decay``; the norms are those of each parameter, so a model's θ needs
    ``step_parameters``. Where one of them is 0 the step is η r. For very large batches. You et al. 2020, "Large Batch
    Optimization for Deep Learning"; optax's lamb.
    """

    eps: float = 1e-6
    spelling: ClassVar[str] = "lamb"

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        xp = array_namespace(theta)
        rate, t, state = self.tick(theta, g, state)
        m = ema(state["m"], self.beta1, g)
        v = ema(state["v"], self.beta2, g * g)
        r = m * (1 / bias_correction(self.beta1, t)) / self.root(v, bias_correction(self.beta2, t))
        if self.weight_decay:
            r += self.weight_decay * decaying(theta, state)
        (large, length), (most, norm) = scaled_norm((theta,)), scaled_norm((r,))
        known = (length > 0) & (norm > 0)
        trust = xp.where(known, large * length / xp.where(known, most * norm, 1.0), 1.0)
        theta -= rate * trust * r
        return theta, state | {"m": m, "v": v}


@dataclass(frozen=True)
class Muon(_LayerWise):
    """m = μ m + (1 - μ) g,  u = μ m + (1 - μ) g,  θ -= η (k O(u) + λ θ) for a matrix; AdamW for every other parameter.

    O(u) is u with all singular values near 1, by ``iterations`` steps of Newton and Schulz from x = u / |u|, transposed
    if u is higher than wide: x ← a x + (b x xᵀ + c (x xᵀ)²) x, (a, b, c) = (3.4445, -4.775, 2.0315). So every direction
    of a matrix learns at the same pace. k = 0.2 √max(inputs, units), for steps of the size of AdamW's: one rate serves
    both. ``scaling="original"``: k = √max(1, units / inputs). Jordan et al. 2024; Liu et al. 2025 (k); torch's Muon,
    whose products are in bfloat16. A model's θ needs ``step_parameters``: ``step_all`` sees vectors, and no matrices.
    """

    learning_rate: float | Schedule = 1e-3
    momentum: float = 0.95
    iterations: int = 5
    scaling: Literal["matched", "original"] = "matched"
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = field(default=0.1, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("momentum", self.momentum)
        at_least_one("iterations", self.iterations)
        one_of("scaling", self.scaling, ("matched", "original"))
        fraction("beta1", self.beta1)
        fraction("beta2", self.beta2)
        positive("eps", self.eps)

    def init(self, theta: Array, mask: Array | None = None) -> State:
        zeros = array_namespace(theta).zeros_like
        return super().init(theta, mask) | {"m": zeros(theta), "v": zeros(theta)}

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        if theta.ndim != 2:
            adam = AdamW(self.learning_rate, self.beta1, self.beta2, self.eps, weight_decay=self.weight_decay)
            return adam.step(theta, g, state)
        rate, _, state = self.tick(theta, g, state)
        theta, g = self.decay(theta, g, rate, state)
        m = ema(state["m"], self.momentum, g)
        inputs, units = theta.shape
        scale = (
            0.2 * math.sqrt(max(inputs, units)) if self.scaling == "matched" else math.sqrt(max(1.0, units / inputs))
        )
        theta -= rate * scale * _orthogonal(self.momentum * m + (1 - self.momentum) * g, self.iterations)
        return theta, state | {"m": m}


def _split(layout: Layout, vectors: tuple[Array, ...]) -> dict[str, Array]:
    """The parameters, copied: a step writes into them, and a plan follows no views that are written."""
    return {name: copy_array(x) for name, x in layout.split(vectors).items()}


def _orthogonal(u: Array, iterations: int) -> Array:
    """u with singular values near 1; 0 stays 0."""
    xp = array_namespace(u)
    high = u.shape[0] > u.shape[1]
    largest, norm = scaled_norm((u,))
    x = u / (largest * xp.maximum(norm, 1.0))
    x = xp.matrix_transpose(x) if high else x
    for _ in range(iterations):
        gram = x @ xp.matrix_transpose(x)
        x = 3.4445 * x + (-4.775 * gram + 2.0315 * (gram @ gram)) @ x
    return xp.matrix_transpose(x) if high else x
