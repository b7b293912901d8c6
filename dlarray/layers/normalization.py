"""Normalisations: x̂ has mean 0 and variance 1 over the examples or over the features, or mean square 1.

Features are the last axis. γ (gamma) and β (beta) are trained, one per feature; their initial values are 1 and 0.
``scale=False`` leaves out γ, ``shift=False`` β: then γ is 1 and β is 0.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from dlarray.core.array import Array, array_namespace, device, example_count
from dlarray.core.check import fraction, plain_numbers, positive
from dlarray.core.layer import Layer, Shape
from dlarray.core.ranks import ALONE, Ranks
from dlarray.initializers import Ones, Zeros

__all__ = ["BatchNorm", "LayerNorm", "RMSNorm"]


@dataclass(frozen=True)
class _Scaled(Layer):
    """y = γ x̂ + β: the parameters of every normalisation."""

    abstract: ClassVar[bool] = True
    scale: bool = field(default=True, kw_only=True)
    shift: bool = field(default=True, kw_only=True)

    def shapes(self, inputs: int) -> dict[str, Shape]:
        return {name: (inputs,) for name, used in (("gamma", self.scale), ("beta", self.shift)) if used}

    def initializers(self) -> dict[str, Any]:
        return ({"gamma": Ones()} if self.scale else {}) | ({"beta": Zeros()} if self.shift else {})

    def scaled(self, x_hat: Array, gamma: Array | None, beta: Array | None) -> Array:
        """γ x̂ + β."""
        if gamma is None:
            return x_hat if beta is None else x_hat + beta
        y = gamma * x_hat
        if beta is not None:
            y += beta
        return y

    def gradient(self, saved: Any, dy: Array, /) -> dict[str, Array]:
        xp = array_namespace(dy)
        axes = tuple(range(dy.ndim - 1))
        found = {"gamma": xp.sum(dy * saved[0], axis=axes)} if self.scale else {}
        return found | ({"beta": xp.sum(dy, axis=axes)} if self.shift else {})


@dataclass(frozen=True)
class BatchNorm(_Scaled):
    """y = γ x̂ + β,  x̂ = (x - μ) / σ,  σ² = var(x) + eps,  dx = γ/σ (dy - mean(dy) - x̂ mean(dy x̂)).

    Means are taken over the examples of the batch (Ioffe & Szegedy 2015). dγ = Σ dy x̂, dβ = Σ dy. At inference μ and σ²
    are the running ones: at each step r ← r + momentum (new - r), with the unbiased variance, as in torch. Raises
    ValueError for a batch of one example, which has no variance; for eps <= 0; for momentum outside [0, 1).

    Where ranks share a batch, means are taken over the examples of all of them: torch's SyncBatchNorm.
    """

    eps: float = 1e-5
    momentum: float = 0.1
    _ranks: ClassVar[Ranks] = ALONE

    def __post_init__(self) -> None:
        plain_numbers(self)
        positive("eps", self.eps)
        fraction("momentum", self.momentum)

    @property
    def min_batch_size(self) -> int:
        return 2

    def over(self, ranks: Ranks) -> Self:
        same = copy(self)
        object.__setattr__(same, "_ranks", ranks)
        return same

    def buffers(self, inputs: int) -> dict[str, Shape]:
        return {"mean": (inputs,), "variance": (inputs,)}

    def initializers(self) -> dict[str, Any]:
        return super().initializers() | {"mean": Zeros(), "variance": Ones()}

    def forward(self, x: Array, gamma: Array | None = None, beta: Array | None = None) -> tuple[Array, Any]:
        xp = array_namespace(x)
        n = example_count(x)
        if isinstance(n, int) and n < 2 and self._ranks.size == 1:
            raise ValueError(f"BatchNorm needs at least 2 examples in a batch of training, got {n}: use a larger batch")
        (mean,), of_all = self._means(x)
        x_hat = x - mean
        (variance,), _ = self._means(x_hat * x_hat)
        sigma = xp.sqrt(variance + self.eps)
        x_hat /= sigma
        return self.scaled(x_hat, gamma, beta), (x_hat, sigma, mean, variance, n if of_all is None else of_all)

    def backward(self, saved: Any, dy: Array, gamma: Array | None = None, beta: Array | None = None) -> Array:
        x_hat, sigma, _, _, _ = saved
        (mean, product), _ = self._means(dy, dy * x_hat)
        dx = dy - mean
        dx -= x_hat * product
        dx *= (1 if gamma is None else gamma) / sigma
        return dx

    def predict(
        self, x: Array, gamma: Array | None = None, beta: Array | None = None, *, mean: Array, variance: Array
    ) -> Array:
        y = x - mean
        if gamma is not None:
            y *= gamma
        y /= array_namespace(x).sqrt(variance + self.eps)
        return y if beta is None else y + beta

    def statistics(self, saved: Any, /) -> dict[str, Array]:
        _, _, mean, variance, n = saved
        return {"mean": mean, "variance": variance * (n / (n - 1))}

    def update_buffers(self, saved: Any, /, **buffers: Array) -> dict[str, Array]:
        found = self.statistics(saved)
        return {name: old + self.momentum * (found[name] - old) for name, old in buffers.items()}

    def _means(self, *xs: Array) -> tuple[list[Array], Array | None]:
        """The means over the examples; on ranks, those of all ranks by one sum, and the number of their examples."""
        xp, axes = array_namespace(*xs), tuple(range(xs[0].ndim - 1))
        if self._ranks.size == 1:
            return [xp.mean(x, axis=axes) for x in xs], None
        own = xp.full((1,), float(example_count(xs[0])), dtype=xs[0].dtype, device=device(xs[0]))
        total = self._ranks.sum(xp.concat([*(xp.sum(x, axis=axes) for x in xs), own]))
        n, features = total[-1:], xs[0].shape[-1]
        return [total[i * features : (i + 1) * features] / n for i in range(len(xs))], n


@dataclass(frozen=True)
class LayerNorm(_Scaled):
    """y = γ x̂ + β,  x̂ = (x - μ) / σ,  σ² = var(x) + eps,  dx = (ĝ - mean(ĝ) - x̂ mean(ĝ x̂)) / σ,  ĝ = γ dy.

    Means are taken over the features of each example: a batch may have one example, and inference is the same as
    training (Ba et al. 2016). dγ = Σ dy x̂, dβ = Σ dy over the examples. Raises ValueError if eps <= 0.
    """

    eps: float = 1e-5

    def __post_init__(self) -> None:
        plain_numbers(self)
        positive("eps", self.eps)

    def forward(self, x: Array, gamma: Array | None = None, beta: Array | None = None) -> tuple[Array, Any]:
        xp = array_namespace(x)
        x_hat = x - _mean(x)
        sigma = xp.sqrt(_mean(x_hat * x_hat) + self.eps)
        x_hat /= sigma
        return self.scaled(x_hat, gamma, beta), (x_hat, sigma)

    def backward(self, saved: Any, dy: Array, gamma: Array | None = None, beta: Array | None = None) -> Array:
        x_hat, sigma = saved
        g = dy if gamma is None else gamma * dy
        dx = g - _mean(g)
        dx -= x_hat * _mean(g * x_hat)
        dx /= sigma
        return dx


@dataclass(frozen=True)
class RMSNorm(_Scaled):
    """y = γ x̂,  x̂ = x / r,  r² = mean(x²) + eps,  dx = (ĝ - x̂ mean(ĝ x̂)) / r,  ĝ = γ dy.

    LayerNorm without the mean (Zhang & Sennrich 2019), by default without β. dγ = Σ dy x̂ over the examples. ``eps``
    None means the machine epsilon of x's dtype, as in torch. Raises ValueError if eps <= 0.
    """

    eps: float | None = None
    shift: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        plain_numbers(self)
        if self.eps is not None:
            positive("eps", self.eps)

    def forward(self, x: Array, gamma: Array | None = None, beta: Array | None = None) -> tuple[Array, Any]:
        xp = array_namespace(x)
        eps = float(xp.finfo(x.dtype).eps) if self.eps is None else self.eps
        r = xp.sqrt(_mean(x * x) + eps)
        x_hat = x / r
        return self.scaled(x_hat, gamma, beta), (x_hat, r)

    def backward(self, saved: Any, dy: Array, gamma: Array | None = None, beta: Array | None = None) -> Array:
        x_hat, r = saved
        g = dy if gamma is None else gamma * dy
        dx = g - x_hat * _mean(g * x_hat)
        dx /= r
        return dx


def _mean(x: Array) -> Array:
    """The mean over the features, as a column; 0 if there are no features."""
    xp = array_namespace(x)
    return xp.mean(x, axis=-1, keepdims=True) if x.shape[-1] != 0 else xp.sum(x, axis=-1, keepdims=True)
