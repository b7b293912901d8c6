"""Normalisations: x̂ has mean 0 and variance 1 over the examples or over the features, or mean square 1.

Features are the last axis. γ (gamma) and β (beta) are trained, one per feature; their initial values are 1 and 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dlarray.core.array import Array, array_namespace, size
from dlarray.core.check import fraction, plain_numbers, positive
from dlarray.core.layer import Layer, Shape
from dlarray.initializers import Ones, Zeros

__all__ = ["BatchNorm", "LayerNorm", "RMSNorm"]


@dataclass(frozen=True)
class BatchNorm(Layer):
    """y = γ x̂ + β,  x̂ = (x - μ) / σ,  σ² = var(x) + eps,  dx = γ/σ (dy - mean(dy) - x̂ mean(dy x̂)).

    Means are taken over the examples of the batch (Ioffe & Szegedy 2015). dγ = Σ dy x̂, dβ = Σ dy. At inference μ and σ²
    are the running ones: at each step r ← r + momentum (new - r), with the unbiased variance, as in torch. Raises
    ValueError for a batch of one example, which has no variance; for eps <= 0; for momentum outside [0, 1).
    """

    eps: float = 1e-5
    momentum: float = 0.1

    def __post_init__(self) -> None:
        plain_numbers(self)
        positive("eps", self.eps)
        fraction("momentum", self.momentum)

    @property
    def min_batch_size(self) -> int:
        return 2

    def shapes(self, inputs: int) -> dict[str, Shape]:
        return {"gamma": (inputs,), "beta": (inputs,)}

    def buffers(self, inputs: int) -> dict[str, Shape]:
        return {"mean": (inputs,), "variance": (inputs,)}

    def initializers(self) -> dict[str, Any]:
        return {"gamma": Ones(), "beta": Zeros(), "mean": Zeros(), "variance": Ones()}

    def forward(self, x: Array, gamma: Array, beta: Array) -> tuple[Array, Any]:
        xp = array_namespace(x)
        axes = tuple(range(x.ndim - 1))
        if (n := size(tuple(x.shape[:-1]))) < 2:
            raise ValueError(f"BatchNorm needs at least 2 examples in a batch of training, got {n}: use a larger batch")
        mean = xp.mean(x, axis=axes)
        x_hat = x - mean
        variance = xp.mean(x_hat * x_hat, axis=axes)
        sigma = xp.sqrt(variance + self.eps)
        x_hat /= sigma
        y = gamma * x_hat
        y += beta
        return y, (x_hat, sigma, mean, variance)

    def backward(self, saved: Any, dy: Array, gamma: Array, beta: Array) -> Array:
        x_hat, sigma, _, _ = saved
        xp = array_namespace(dy)
        axes = tuple(range(dy.ndim - 1))
        dx = dy - xp.mean(dy, axis=axes)
        dx -= x_hat * xp.mean(dy * x_hat, axis=axes)
        dx *= gamma / sigma
        return dx

    def gradient(self, saved: Any, dy: Array, /) -> dict[str, Array]:
        xp = array_namespace(dy)
        axes = tuple(range(dy.ndim - 1))
        return {"gamma": xp.sum(dy * saved[0], axis=axes), "beta": xp.sum(dy, axis=axes)}

    def predict(self, x: Array, gamma: Array, beta: Array, mean: Array, variance: Array) -> Array:
        return gamma * (x - mean) / array_namespace(x).sqrt(variance + self.eps) + beta

    def statistics(self, saved: Any, /) -> dict[str, Array]:
        x_hat, _, mean, variance = saved
        n = size(tuple(x_hat.shape[:-1]))
        return {"mean": mean, "variance": variance * (n / (n - 1))}

    def update_buffers(self, saved: Any, /, **buffers: Array) -> dict[str, Array]:
        found = self.statistics(saved)
        return {name: old + self.momentum * (found[name] - old) for name, old in buffers.items()}


@dataclass(frozen=True)
class LayerNorm(Layer):
    """y = γ x̂ + β,  x̂ = (x - μ) / σ,  σ² = var(x) + eps,  dx = (ĝ - mean(ĝ) - x̂ mean(ĝ x̂)) / σ,  ĝ = γ dy.

    Means are taken over the features of each example: a batch may have one example, and inference is the same as
    training (Ba et al. 2016). dγ = Σ dy x̂, dβ = Σ dy over the examples. Raises ValueError if eps <= 0.
    """

    eps: float = 1e-5

    def __post_init__(self) -> None:
        plain_numbers(self)
        positive("eps", self.eps)

    def shapes(self, inputs: int) -> dict[str, Shape]:
        return {"gamma": (inputs,), "beta": (inputs,)}

    def initializers(self) -> dict[str, Any]:
        return {"gamma": Ones(), "beta": Zeros()}

    def forward(self, x: Array, gamma: Array, beta: Array) -> tuple[Array, Any]:
        xp = array_namespace(x)
        x_hat = x - _mean(x)
        sigma = xp.sqrt(_mean(x_hat * x_hat) + self.eps)
        x_hat /= sigma
        y = gamma * x_hat
        y += beta
        return y, (x_hat, sigma)

    def backward(self, saved: Any, dy: Array, gamma: Array, beta: Array) -> Array:
        x_hat, sigma = saved
        g = gamma * dy
        dx = g - _mean(g)
        dx -= x_hat * _mean(g * x_hat)
        dx /= sigma
        return dx

    def gradient(self, saved: Any, dy: Array, /) -> dict[str, Array]:
        xp = array_namespace(dy)
        axes = tuple(range(dy.ndim - 1))
        return {"gamma": xp.sum(dy * saved[0], axis=axes), "beta": xp.sum(dy, axis=axes)}


@dataclass(frozen=True)
class RMSNorm(Layer):
    """y = γ x̂,  x̂ = x / r,  r² = mean(x²) + eps,  dx = (ĝ - x̂ mean(ĝ x̂)) / r,  ĝ = γ dy.

    LayerNorm without the mean (Zhang & Sennrich 2019). dγ = Σ dy x̂ over the examples. ``eps`` None means the
    machine epsilon of x's dtype, as in torch. Raises ValueError if eps <= 0.
    """

    eps: float | None = None

    def __post_init__(self) -> None:
        plain_numbers(self)
        if self.eps is not None:
            positive("eps", self.eps)

    def shapes(self, inputs: int) -> dict[str, Shape]:
        return {"gamma": (inputs,)}

    def initializers(self) -> dict[str, Any]:
        return {"gamma": Ones()}

    def forward(self, x: Array, gamma: Array) -> tuple[Array, Any]:
        xp = array_namespace(x)
        eps = float(xp.finfo(x.dtype).eps) if self.eps is None else self.eps
        r = xp.sqrt(_mean(x * x) + eps)
        x_hat = x / r
        return gamma * x_hat, (x_hat, r)

    def backward(self, saved: Any, dy: Array, gamma: Array) -> Array:
        x_hat, r = saved
        g = gamma * dy
        dx = g - x_hat * _mean(g * x_hat)
        dx /= r
        return dx

    def gradient(self, saved: Any, dy: Array, /) -> dict[str, Array]:
        axes = tuple(range(dy.ndim - 1))
        return {"gamma": array_namespace(dy).sum(dy * saved[0], axis=axes)}


def _mean(x: Array) -> Array:
    """The mean over the features, as a column; 0 if there are no features."""
    xp = array_namespace(x)
    return xp.mean(x, axis=-1, keepdims=True) if x.shape[-1] else xp.sum(x, axis=-1, keepdims=True)
