"""Optimizers with a state of 16 bits: half the memory to hold, and to read and write at each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from dlarray.core.array import Array, array_namespace
from dlarray.core.bfloat16 import decode, encode, noise
from dlarray.core.check import plain_numbers
from dlarray.core.layout import Layout
from dlarray.optimizers.base import Optimizer, State

__all__ = ["BFloat16State"]


@dataclass(frozen=True)
class BFloat16State(Optimizer):
    """An optimizer whose averages are stored in bfloat16 between steps: decode, optimizer.step(θ, g, state), encode.

    ``BFloat16State(Adam())`` keeps m and v in half the memory. θ and g keep their dtype, and each step computes in it.
    The state is rounded at random and without bias (``core.bfloat16``): v changes by (g² - v) / 1000 in a step, and
    with 8 binary digits rounding to the nearest would lose that change. The random bits are a function of the step's
    number and of the position in θ, so every device rounds in the same way. Stored so are the arrays of the state with
    θ's shape, except the mask of a weight decay.
    """

    abstract: ClassVar[bool] = True  # has a field without default, so no name
    optimizer: Optimizer

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not isinstance(self.optimizer, Optimizer):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"optimizer must be an optimizer, such as Adam(), got {self.optimizer!r}")

    @property
    def scalable(self) -> bool:
        return self.optimizer.scalable

    def init(self, theta: Array, mask: Array | None = None) -> State:
        state = self.optimizer.init(theta, mask)
        return _packed(state, theta, state["t"])

    def rate(self, t: Array) -> Array | float:
        return self.optimizer.rate(t)

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        theta, state = self.optimizer.step(theta, g, _unpacked(state, theta))
        return theta, _packed(state, theta, state["t"])

    def step_all(
        self, thetas: tuple[Array, ...], gs: tuple[Array, ...], states: tuple[State, ...]
    ) -> tuple[tuple[Array, ...], tuple[State, ...]]:
        return self._stepped(self.optimizer.step_all, thetas, gs, states)

    def step_parameters(
        self, thetas: tuple[Array, ...], gs: tuple[Array, ...], states: tuple[State, ...], layout: Layout
    ) -> tuple[tuple[Array, ...], tuple[State, ...]]:
        return self._stepped(partial(self.optimizer.step_parameters, layout=layout), thetas, gs, states)

    def _stepped(
        self, step: Callable[..., Any], thetas: tuple[Array, ...], gs: tuple[Array, ...], states: tuple[State, ...]
    ) -> tuple[tuple[Array, ...], tuple[State, ...]]:
        wide = tuple(_unpacked(state, theta) for state, theta in zip(states, thetas, strict=True))
        thetas, states = step(thetas, gs, wide)
        t = states[0]["t"] if states else None  # the first counts the steps of all
        return thetas, tuple(_packed(state, theta, t) for state, theta in zip(states, thetas, strict=True))


def _unpacked(state: State, theta: Array) -> State:
    """The state in θ's dtype."""
    int16 = array_namespace(theta).int16
    return {name: decode(x, theta.dtype) if x.dtype == int16 else x for name, x in state.items()}


def _packed(state: State, theta: Array, t: Array) -> State:
    """The state after t steps in 16 bits. Two arrays share the two halves of a random word."""
    shape = tuple(theta.shape)
    names = [name for name, x in state.items() if tuple(x.shape) == shape and shape and name != "mask"]
    packed = dict(state)
    for stream in range(0, len(names), 2):
        halves = noise(t, shape, stream)
        packed |= {
            name: encode(state[name], half) for name, half in zip(names[stream : stream + 2], halves, strict=False)
        }
    return packed
