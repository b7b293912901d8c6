"""The interface of every optimizer, and the common part of first-order optimizers.

    state = optimizer.init(theta, mask)
    theta, state = optimizer.step(theta, g, state)      g is dL/dθ

The formula is for ONE array. ``step`` consumes θ, g and state: the same lines write into arrays that can be written
(NumPy, CuPy, torch) and make new ones of arrays that cannot (JAX). So always rebind, and never use the old θ, g or
state again. ``init_all`` and ``step_parameters`` do the same for the θ of a model, a tuple of vectors.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from dlarray.core.array import Array, array_namespace, copy_array, device, fits, is_array, same_library
from dlarray.core.check import non_negative, plain_numbers, positive
from dlarray.core.keywords import WithSynonyms
from dlarray.core.layout import Layout
from dlarray.schedules import Schedule

__all__ = ["DecoupledDecay", "FirstOrder", "Optimizer", "State", "bias_correction", "decaying", "ema"]

State = dict[str, Array]
"""An optimizer's state: arrays by name, including "t", the number of steps done, a 0-d int32 array."""


class Optimizer(WithSynonyms, ABC):
    """A formula that changes θ by the gradient of the loss. Subclasses are frozen dataclasses and hold no arrays."""

    abstract: ClassVar[bool] = True
    elementwise: ClassVar[bool] = False
    """Whether each number of θ moves by its own gradient and state, so that a part of θ can move without the rest."""

    @property
    def scalable(self) -> bool:
        """Whether a step multiplies its learning rate by the state's "scale", a 0-d array, if the state has one."""
        return False

    @abstractmethod
    def init(self, theta: Array, mask: Array | None = None) -> State:
        """The state before the first step. Weights decay where ``mask`` is 1 and not where it is 0; None: all do."""

    @abstractmethod
    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        """The next θ and state, from θ and the gradient g of the loss at θ. Consumes all three."""

    @abstractmethod
    def rate(self, t: Array) -> Array | float:
        """The learning rate after t steps; t is floating-point."""

    def init_all(self, thetas: tuple[Array, ...], masks: tuple[Array, ...] | None = None) -> tuple[State, ...]:
        """``init`` for each array of a tuple. Only the first state holds "t", which counts the steps of all."""
        states = [self.init(theta, mask) for theta, mask in zip(thetas, masks or (None,) * len(thetas), strict=True)]
        return tuple(_without_t(state) if i else state for i, state in enumerate(states))

    def step_all(
        self, thetas: tuple[Array, ...], gs: tuple[Array, ...], states: tuple[State, ...]
    ) -> tuple[tuple[Array, ...], tuple[State, ...]]:
        """``step`` for each array of a tuple. Consumes all three. For the θ of a model use ``step_parameters``.

        Only one "t": a compiled step has a cost for every array that goes in and comes out, and for all that it
        computes from each t. With a t for each parameter a small step on JAX takes 1.5 times as long.
        """
        counted = [_with_t_of(states[0], state) if i else state for i, state in enumerate(states)]
        moved = [self.step(theta, g, state) for theta, g, state in zip(thetas, gs, counted, strict=True)]
        return tuple(theta for theta, _ in moved), tuple(
            _without_t(state) if i else state for i, (_, state) in enumerate(moved)
        )

    def step_parameters(
        self, thetas: tuple[Array, ...], gs: tuple[Array, ...], states: tuple[State, ...], layout: Layout
    ) -> tuple[tuple[Array, ...], tuple[State, ...]]:
        """The step of a model's θ, whose layout is ``model.layout_of(theta)``. Consumes θ, gradients and states.

        It is ``step_all``, except for optimizers that look at each parameter as a whole, such as LAMB and Muon.
        """
        return self.step_all(thetas, gs, states)


@dataclass(frozen=True)
class FirstOrder(Optimizer):
    """An optimizer with a learning rate η, a number or a schedule, and a weight decay λ.

    The decay is that of a penalty ½ λ |θ|² in the loss (L2): g + λ θ. Raises ValueError if the rate is not above 0 or
    the decay is negative, TypeError if they are no numbers.
    """

    abstract: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True
    learning_rate: float | Schedule = 0.01
    weight_decay: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not isinstance(self.learning_rate, Schedule):
            positive("learning_rate", self.learning_rate)
        non_negative("weight_decay", self.weight_decay)

    def init(self, theta: Array, mask: Array | None = None) -> State:
        xp = array_namespace(theta)
        state: State = {"t": xp.zeros((), dtype=xp.int32, device=device(theta))}
        if mask is not None and self.weight_decay:
            state["mask"] = xp.astype(mask, theta.dtype)
        return state

    @property
    def scalable(self) -> bool:
        return True

    def rate(self, t: Array) -> Array | float:
        return self.learning_rate(t) if isinstance(self.learning_rate, Schedule) else self.learning_rate

    def tick(self, theta: Array, g: Array, state: State) -> tuple[Array | float, Array, State]:
        """The step's learning rate, its number t (from 1, in θ's dtype), and a new state with t steps done.

        Raises, before anything is written, ValueError if g has another shape than θ or θ is read-only, TypeError if
        they are no arrays of one library.
        """
        _check_pair(theta, g)
        done = state["t"]
        before = array_namespace(theta).astype(done, theta.dtype)
        done += 1
        rate = self.rate(before)
        if "scale" in state:  # only after a callback has changed the rate
            rate = rate * state["scale"]
        return rate, before + 1, state | {"t": done}

    def decay(self, theta: Array, g: Array, rate: Array | float, state: State) -> tuple[Array, Array]:
        """θ and g with the weight decay applied. Consumes both."""
        if self.weight_decay:
            g += self.weight_decay * decaying(theta, state)
        return theta, g


@dataclass(frozen=True)
class DecoupledDecay(FirstOrder):
    """Weight decay that does not change the gradient: θ -= η λ θ before the step. Loshchilov and Hutter 2019."""

    abstract: ClassVar[bool] = True

    def decay(self, theta: Array, g: Array, rate: Array | float, state: State) -> tuple[Array, Array]:
        if self.weight_decay:
            theta -= rate * self.weight_decay * decaying(theta, state)
        return theta, g


def _without_t(state: State) -> State:
    return {name: x for name, x in state.items() if name != "t"}


def _with_t_of(first: State, state: State) -> State:
    """A state with a copy of the first one's t, because a step may write into it."""
    if "t" not in first or "t" in state:
        return state
    return state | {"t": copy_array(first["t"])}


def _check_pair(theta: Array, g: Array) -> None:
    if not is_array(theta) or not is_array(g) or not same_library(theta, g):
        raise TypeError(f"theta and g must be arrays of one library, got {type(theta).__name__} and {type(g).__name__}")
    if not fits(tuple(g.shape), tuple(theta.shape)):
        raise ValueError(f"g must have the shape of theta, {tuple(theta.shape)}, got {tuple(g.shape)}")
    if not getattr(getattr(theta, "flags", None), "writeable", True):  # only NumPy has this flag
        raise ValueError("theta is read-only, and a step writes into it: give it a copy")


def decaying(theta: Array, state: State) -> Array:
    """θ where its weights decay, 0 elsewhere."""
    return theta * state["mask"] if "mask" in state else theta


def ema(m: Array, beta: float, x: Array) -> Array:
    """The exponential moving average m = β m + (1 - β) x. Consumes m."""
    m *= beta
    m += (1 - beta) * x
    return m


def bias_correction(beta: float, t: Array) -> Array:
    """1 - βᵗ, the sum of an average's weights after t steps; expm1 keeps its digits in float32."""
    return -array_namespace(t).expm1(t * (math.log(beta) if beta else -math.inf))
