"""One step of training in scikit-learn's terms: its L2 penalty, its momentum, and inputs that may be sparse.

    batch = (x, t, weight)
    state, (value, dp, buffers) = gradient(state, (θ, buffers, key, batch))     gradient of the loss by name
    state, value = descent(state, batch)                                         the step

Like ``dlarray.training.Step`` they consist of array operations only, so a backend can compile them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from dlarray.core.array import Array, array_namespace, copy_array, device
from dlarray.core.layer import Layer, Shape
from dlarray.core.layout import Theta
from dlarray.core.random import fold_in
from dlarray.device import Device
from dlarray.estimators.losses import total_weight
from dlarray.layers import Chain
from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.optimizers import Adam, Optimizer
from dlarray.optimizers.base import State
from dlarray.schedules import Schedule
from dlarray.training.binding import Bound, bind
from dlarray.training.step import Step

__all__ = ["AddBias", "Compile", "Descent", "Gradient", "RateInVelocity", "SparseDescent", "SparseGradient"]

Compile = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A function that returns a faster step: a backend's ``compile``."""


@dataclass(frozen=True)
class RateInVelocity(Optimizer):
    """v = γ v + η g,  θ -= v: the learning rate within the velocity, as scikit-learn and Keras keep it.

    ``momentum`` is an optimizer of rate 1 that gets η g instead of g. η is in the state, where it can be changed
    between steps; a schedule gives the η of the step.
    """

    abstract: ClassVar[bool] = True
    momentum: Optimizer
    learning_rate: float | Schedule

    def rate(self, t: Array) -> Array | float:
        return self.learning_rate(t) if isinstance(self.learning_rate, Schedule) else self.learning_rate

    def init(self, theta: Array, mask: Array | None = None) -> State:
        state = self.momentum.init(theta, mask)
        if not isinstance(self.learning_rate, Schedule):
            xp = array_namespace(theta)
            state["rate"] = xp.full((), self.learning_rate, dtype=theta.dtype, device=device(theta))
        return state

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        rate = state["rate"] if "rate" in state else self.rate(array_namespace(theta).astype(state["t"], theta.dtype))
        return self.momentum.step(theta, g * rate, state)


@dataclass(frozen=True)
class Gradient:
    """Forward feed and back propagation: a batch's loss, its gradient by name, and the buffers after it."""

    model: MLP
    loss: Loss

    def __call__(self, state: Any, batch: Any) -> tuple[Any, Any]:
        theta, buffers, key, (x, t, weight) = batch
        chain = self.model.chain
        z, saved = chain.forward(x, key, **self.model.parameters(theta))
        value, terms = self.loss.forward(z, t, weight)
        dp = chain.gradient(saved, self.loss.backward(terms))
        return state, (value, dp, self.model.update_buffers(saved, buffers))


@dataclass(frozen=True)
class AddBias(Layer):
    """y = x + b,  dx = dy,  db = Σ dy: the rest of a Dense layer after x W."""

    abstract: ClassVar[bool] = True

    def shapes(self, inputs: int) -> dict[str, Shape]:
        return {"b": (inputs,)}

    def forward(self, x: Array, b: Array) -> tuple[Array, None]:
        return x + b, None

    def backward(self, saved: None, dy: Array, b: Array) -> Array:
        return dy

    def gradient(self, saved: None, dy: Array, /) -> dict[str, Array]:
        return {"b": array_namespace(dy).sum(dy, axis=0)}


@dataclass(frozen=True)
class _AfterFirstProduct:
    """``Gradient`` from the first layer's x W on. It also returns the gradient with respect to x W."""

    model: MLP
    loss: Loss

    def __call__(self, state: Any, batch: Any) -> tuple[Any, Any]:
        theta, buffers, key, (product, t, weight) = batch
        chain = Chain([AddBias(), *self.model.layers[1:]])  # keeps the names and the keys of the masks
        p = {name: array for name, array in self.model.parameters(theta).items() if name != "0.W"}
        z, saved = chain.forward(product, key, **p)
        value, terms = self.loss.forward(z, t, weight)
        d, dp = chain.pullback(saved, self.loss.backward(terms))
        return state, (value, d, dp, self.model.update_buffers(saved, buffers))


class SparseGradient:
    """``Gradient`` for a sparse x: x W and xᵀ dy are sparse products; everything between them is compiled."""

    def __init__(self, model: MLP, loss: Loss, compile: Compile) -> None:  # noqa: A002 - the field's word for it
        self.model = model
        self._behind = compile(_AfterFirstProduct(model, loss))

    def __call__(self, state: Any, batch: Any) -> tuple[Any, Any]:
        theta, buffers, key, (x, t, weight) = batch
        product = x @ self.model.parameters(theta)["0.W"]
        state, (value, d, dp, buffers) = self._behind(state, (theta, buffers, key, (product, t, weight)))
        return state, (value, {**dp, "0.W": x.T @ d}, buffers)


@dataclass(frozen=True)
class Descent:
    """θ ← optimizer(θ, dJ/dθ) with J = loss + α (½ (1 - r) |W|² + r Σ |W|) / Σ w over the weights of Dense layers.

    r is ``l1_ratio``. The derivative of |W| is its sign, and 0 at 0.
    """

    gradient: Gradient
    optimizer: Optimizer
    alpha: float
    l1_ratio: float = 0.0

    def init(self, theta: Theta, buffers: Theta, seed: int, device: Device) -> dict[str, Any]:
        """The initial state, like that of ``Step``. θ and the buffers in it will be consumed."""
        return dict(Step(self.gradient.model, self.gradient.loss, self.optimizer).init(theta, buffers, seed, device))

    def shared(self, state: dict[str, Any]) -> tuple[Descent, dict[str, Any]]:
        """The step with α and scikit-learn's learning rates in the state, so that one plan serves them all; that state.

        In float64 the numbers are the same to the last bit. In other types the step stays as it is: α / Σ w would be
        rounded twice.
        """
        if not state["theta"] or str(state["theta"][0].dtype) != "float64":
            return self, state
        (theta, *_), optimizer, states = state["theta"], self.optimizer, state["optimizer"]
        xp, where = array_namespace(theta), device(theta)
        if type(optimizer) is RateInVelocity and all("rate" in own for own in states):
            optimizer = replace(optimizer, learning_rate=1.0)
        elif type(optimizer) is Adam and isinstance(optimizer.learning_rate, float) and "scale" not in states[0]:
            rate = xp.full((), optimizer.learning_rate, dtype=theta.dtype, device=where)
            states = tuple({**own, "scale": copy_array(rate)} for own in states)
            optimizer = replace(optimizer, learning_rate=1.0)
        alpha = {"alpha": xp.full((), self.alpha, dtype=theta.dtype, device=where)} if self.alpha else {}
        own = replace(self, optimizer=optimizer, alpha=1.0 if self.alpha else 0.0)
        return own, {**state, "optimizer": states, **alpha}

    def key(self, state: dict[str, Any]) -> Array | None:
        """The key of this step's masks; None if no layer is random."""
        return fold_in(state["key"], state["steps"]) if self.gradient.model.chain.random else None

    def __call__(self, state: Any, batch: Any) -> tuple[Any, Array]:
        own = (state["theta"], state["buffers"], self.key(state), batch)
        _, (value, dp, buffers) = self.gradient((), own)
        return self.update(state, (value, dp, buffers, batch[1], batch[2]))

    def update(self, state: Any, found: Any) -> tuple[Any, Array]:
        """The rest of the step, from the loss and its gradient on."""
        value, dp, buffers, t, weight = found
        theta, steps, model = state["theta"], state["steps"], self.gradient.model
        if self.alpha:
            dp, pull = dict(dp), state.get("alpha", self.alpha) / total_weight(t, weight, value.dtype)
            for name, W in model.parameters(theta).items():
                if name.endswith(".W"):
                    penalty, slope = self._penalty(W)
                    value = value + pull * penalty
                    dp[name] = dp[name] + pull * slope
        layout = model.layout_of(theta)
        theta, optimizer = self.optimizer.step_parameters(theta, layout.join(dp), state["optimizer"], layout)
        steps += 1
        return {**state, "theta": theta, "optimizer": optimizer, "buffers": buffers, "steps": steps}, value

    def _penalty(self, W: Array) -> tuple[Array, Array]:
        """½ (1 - r) |W|² + r Σ |W| and its derivative."""
        xp, r = array_namespace(W), self.l1_ratio
        squares = 0.5 * xp.sum(W * W)
        if not r:
            return squares, W
        return (1 - r) * squares + r * xp.sum(xp.abs(W)), (1 - r) * W + r * xp.sign(W)


@dataclass(frozen=True)
class _BehindProduct:
    """``_AfterFirstProduct`` in a step: θ, buffers and the key of the masks are those of the state, which stays."""

    descent: Descent

    def __call__(self, state: Any, batch: Any) -> tuple[Any, Any]:
        gradient = self.descent.gradient
        own = (state["theta"], state["buffers"], self.descent.key(state), batch)
        return state, _AfterFirstProduct(gradient.model, gradient.loss)((), own)[1]


class SparseDescent:
    """``Descent`` for sparse inputs: the products with them are sparse, everything else is compiled."""

    def __init__(self, descent: Descent, compile: Compile) -> None:  # noqa: A002 - the field's word for it
        self._model = descent.gradient.model
        self._behind = compile(_BehindProduct(descent))
        self._update = compile(descent.update)

    @property
    def programs(self) -> Any:
        """The kinds of batches that the step has been planned for, if its backend plans."""
        return getattr(self._behind, "programs", ())

    def bind(self, state: Any) -> _BoundSparseDescent:
        """The step on this state."""
        return _BoundSparseDescent(self._model, bind(self._behind, state), bind(self._update, state))


class _BoundSparseDescent:
    """``bound(batch) -> loss``, with its state."""

    def __init__(self, model: MLP, behind: Bound, update: Bound) -> None:
        self._model = model
        self._behind = behind
        self._update = update

    @property
    def state(self) -> Any:
        """The state after the latest step."""
        return self._update.state

    @state.setter
    def state(self, state: Any) -> None:
        self._behind.state = self._update.state = state

    def __call__(self, batch: Any) -> Array:
        x, t, weight = batch
        product = x @ self._model.parameters(self.state["theta"])["0.W"]
        value, d, dp, buffers = self._behind((product, t, weight))
        if self._behind.state is not self.state:
            self._update.state = self._behind.state
        value = array_namespace(product).asarray(value)  # a scalar of NumPy's would not be recognised as an array
        value = self._update((value, {**dp, "0.W": x.T @ d}, buffers, t, weight))
        if self._behind.state is not self.state:
            self._behind.state = self.state
        return value

    def release(self) -> int | None:
        """Let go of batches. Returns the bytes that the plans keep; None if the steps keep none."""
        parts = [getattr(part, "release", None) for part in (self._behind, self._update)]
        return None if None in parts else sum(release() for release in parts if release is not None)
