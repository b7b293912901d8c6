"""Clipping: gradients limited in size, and an optimizer of clipped gradients.

The functions take a tuple of gradients, because θ is a tuple of vectors, and return another; they change no argument.
They raise ValueError if the limit is not above 0. ``Clipped(Adam(), clip_by_global_norm, 1.0)`` is Adam on clipped
gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

from dlarray.core.array import Array, array_namespace, clip
from dlarray.core.check import plain_numbers, positive
from dlarray.core.layout import Layout
from dlarray.optimizers.base import Optimizer, State

__all__ = ["Clipped", "Gradients", "clip_by_global_norm", "clip_by_norm", "clip_by_value", "scaled_norm"]

Gradients = tuple[Array, ...]


def clip_by_value(gs: Gradients, limit: float) -> Gradients:
    """min(max(g, -limit), limit), element-wise. torch's clip_grad_value_."""
    limit = positive("limit", limit)
    return tuple(clip(g, -limit, limit) for g in gs)


def clip_by_global_norm(gs: Gradients, limit: float) -> Gradients:
    """Each g · min(1, limit / |g|), |g| the norm of all gradients together: the direction does not change.

    Pascanu, Mikolov and Bengio 2013; torch's clip_grad_norm_, which adds 1e-6 to the norm. No square overflows; zero
    gradients stay zero.
    """
    limit = positive("limit", limit)
    xp = array_namespace(*gs)
    largest, root = scaled_norm(gs)
    bound = limit / xp.maximum(root, 1.0)  # the limit of the largest element
    scale = bound / xp.maximum(largest, bound)
    return tuple(g * scale for g in gs)


def scaled_norm(gs: Gradients) -> tuple[Array, Array]:
    """(m, r) with |g| = m r, |g| the norm of all gradients together: m is the largest element, or 1 if all are 0.

    r = |g / m|: no square overflows.
    """
    xp = array_namespace(*gs)
    largest = reduce(xp.maximum, [xp.max(xp.abs(g)) for g in gs])
    largest = xp.where(largest > 0, largest, 1.0)
    return largest, xp.sqrt(sum(xp.sum(xp.square(g / largest)) for g in gs))


def clip_by_norm(gs: Gradients, limit: float, layout: Layout) -> Gradients:
    """Each parameter's gradient clipped by its own norm: g · min(1, limit / |g|). Keras's clipnorm.

    ``layout`` holds the slot of each parameter in the vectors: ``partial(clip_by_norm, layout=model.layout)``.
    """
    parts = layout.split(gs)
    return layout.join({name: clip_by_global_norm((g,), limit)[0] for name, g in parts.items()})


@dataclass(frozen=True)
class Clipped(Optimizer):
    """An optimizer of clipped gradients: optimizer.step_all(θ, clip(g, limit), state).

    ``clip`` is one of the functions above or another function clip(gs, limit). ``step`` clips one gradient,
    ``step_all`` all of them together. Raises ValueError if limit <= 0.
    """

    abstract: ClassVar[bool] = True  # has fields without defaults, so no name
    optimizer: Optimizer
    clip: Callable[[Gradients, float], Gradients]
    limit: float

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not isinstance(self.optimizer, Optimizer):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"optimizer must be an optimizer, such as Adam(), got {self.optimizer!r}")
        if not callable(self.clip):
            raise TypeError(f"clip must be a function, such as clip_by_global_norm, got {self.clip!r}")
        positive("limit", self.limit)

    @property
    def scalable(self) -> bool:
        return self.optimizer.scalable

    def init(self, theta: Array, mask: Array | None = None) -> State:
        return self.optimizer.init(theta, mask)

    def rate(self, t: Array) -> Array | float:
        return self.optimizer.rate(t)

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        (g,) = self.clip((g,), self.limit)
        return self.optimizer.step(theta, g, state)

    def step_all(
        self, thetas: tuple[Array, ...], gs: Gradients, states: tuple[State, ...]
    ) -> tuple[tuple[Array, ...], tuple[State, ...]]:
        return self.optimizer.step_all(thetas, self.clip(gs, self.limit), states)

    def step_parameters(
        self, thetas: tuple[Array, ...], gs: Gradients, states: tuple[State, ...], layout: Layout
    ) -> tuple[tuple[Array, ...], tuple[State, ...]]:
        return self.optimizer.step_parameters(thetas, self.clip(gs, self.limit), states, layout)
