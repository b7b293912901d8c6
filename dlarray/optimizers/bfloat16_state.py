"""Optimizers that remember in 16 bits: less memory, and less of it to read and write at each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarray.core.array import Array, array_namespace
from dlarray.core.bfloat16 import decode, encode, noise
from dlarray.core.check import plain_numbers
from dlarray.optimizers.base import Optimizer, State

__all__ = ["BFloat16State"]


@dataclass(frozen=True)
class BFloat16State(Optimizer):
    """An optimizer whose averages lie in bfloat16 between two steps: decode, optimizer.step(θ, g, state), encode.

    ``BFloat16State(Adam())`` keeps m and v in half the memory. θ and g stay what they are, and each step computes in
    θ's type. The state is rounded at random and without bias (``core.bfloat16``), for v moves by g² - v in a thousand
    parts, and 8 digits rounded to the nearest would not follow. The chance is a function of the step's number and of
    the position in θ, so every device rounds alike. What has θ's shape and is a number that changes is kept so: not t,
    not the mask of a weight decay.
    """

    abstract: ClassVar[bool] = True  # has no defaults, so no name of its own
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
        wide = tuple(_unpacked(state, theta) for state, theta in zip(states, thetas, strict=True))
        thetas, states = self.optimizer.step_all(thetas, gs, wide)
        t = states[0]["t"] if states else None  # the first counts the steps of all
        return thetas, tuple(_packed(state, theta, t) for state, theta in zip(states, thetas, strict=True))


def _unpacked(state: State, theta: Array) -> State:
    """The state in θ's type."""
    int16 = array_namespace(theta).int16
    return {name: decode(x, theta.dtype) if x.dtype == int16 else x for name, x in state.items()}


def _packed(state: State, theta: Array, t: Array) -> State:
    """The state after t steps in 16 bits. Two arrays share a word of noise."""
    names = [name for name, x in state.items() if x.shape == theta.shape and x.shape and name != "mask"]
    packed = dict(state)
    for stream in range(0, len(names), 2):
        halves = noise(t, theta.shape, stream)
        packed |= {
            name: encode(state[name], half) for name, half in zip(names[stream : stream + 2], halves, strict=False)
        }
    return packed
