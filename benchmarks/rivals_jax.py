"""The step as JAX's own users write it: jax.jit and optax; and Keras 3 on JAX."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from dlarray.bench import Case, Player, Problem

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "gelu": partial(jax.nn.gelu, approximate=False),
}


def start(problem: Problem) -> list[dict[str, Any]]:
    """Weights and, where the case has them, the norms' scales and shifts."""
    parameters: list[dict[str, Any]] = []
    for i, (w, b) in enumerate(problem.weights):
        parameters.append({"W": jnp.array(w), "b": jnp.array(b)})
        if problem.case.norm and i < len(problem.weights) - 1:
            parameters[-1] |= {"scale": jnp.ones(b.shape, b.dtype), "shift": jnp.zeros(b.shape, b.dtype)}
    return parameters


def dense(x: Any, w: Any, b: Any) -> Any:
    """y = x W + b."""
    return x @ w + b


def forward(case: Case, parameters: list[dict[str, Any]], x: Any, key: Any, dense: Any = dense) -> Any:
    """The logits."""
    for i, p in enumerate(parameters):
        x = dense(x, p["W"], p["b"])
        if i == len(parameters) - 1:
            break
        if case.norm:
            centred = x - x.mean(axis=1, keepdims=True)
            x = centred * jax.lax.rsqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5) * p["scale"] + p["shift"]
        x = ACTIVATIONS[case.activation](x)
        if case.dropout:
            keep = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - case.dropout, x.shape)
            x = jnp.where(keep, x / (1 - case.dropout), 0)
    return x


class Optax(Player):
    """The whole step in one jax.jit, parameters and optimizer state donated. ``dense`` is its product and bias."""

    def __init__(self, problem: Problem, dense: Any = dense) -> None:
        import optax

        case, self.problem, self.adam = problem.case, problem, optax.adam(1e-3)

        def mean_loss(parameters: Any, x: Any, t: Any, key: Any) -> Any:
            z = forward(case, parameters, x, key, dense).astype(x.dtype)
            return optax.softmax_cross_entropy_with_integer_labels(z, t).mean()

        def step(parameters: Any, state: Any, key: Any, x: Any, t: Any) -> Any:
            key, own = jax.random.split(key) if case.dropout else (key, key)
            loss, gradient = jax.value_and_grad(mean_loss)(parameters, x, t, own)
            updates, state = self.adam.update(gradient, state, parameters)
            return optax.apply_updates(parameters, updates), state, key, loss

        self.plain = step
        self.compiled = jax.jit(step, donate_argnums=(0, 1, 2))
        self.batches = [(jnp.array(x), jnp.array(t)) for x, t in problem.batches]
        self.restart()

    def restart(self) -> None:
        parameters = start(self.problem)
        self.state = parameters, self.adam.init(parameters), jax.random.key(0)

    def step(self, i: int) -> Any:
        *self.state, loss = self.compiled(*self.state, *self.batches[i % len(self.batches)])
        return loss

    def wait(self, loss: Any) -> None:
        jax.block_until_ready((self.state, loss))


class Keras(Player):
    """Keras 3 on JAX: ``train_on_batch``, which compiles its step; ε is dlarray's, where Keras puts it."""

    def __init__(self, problem: Problem) -> None:
        import keras

        case = problem.case
        keras.config.set_floatx(case.dtype)
        self.keras, self.problem = keras, problem
        layers: list[Any] = [keras.Input((case.widths[0],))]
        for i, (_, b) in enumerate(problem.weights):
            layers.append(keras.layers.Dense(len(b)))
            if i < len(problem.weights) - 1:
                layers += [keras.layers.LayerNormalization(epsilon=1e-5)] if case.norm else []
                layers += [keras.layers.Activation(case.activation)]
                layers += [keras.layers.Dropout(case.dropout)] if case.dropout else []
        self.model = keras.Sequential(layers)
        self.initial = [p for pair in problem.weights for p in pair]
        self.model.compile(
            optimizer=keras.optimizers.Adam(1e-3, epsilon=1e-8),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        self.first = [variable.numpy() for variable in self.model.optimizer.variables]
        self.restart()

    def restart(self) -> None:
        dense = [layer for layer in self.model.layers if isinstance(layer, self.keras.layers.Dense)]
        for layer, (w, b) in zip(dense, self.problem.weights, strict=True):
            layer.set_weights([w, b])
        for variable in self.model.optimizer.variables:
            if variable.path.rpartition("/")[2] != "learning_rate":
                variable.assign(0 * variable)

    def step(self, i: int) -> Any:
        self.model.reset_metrics()  # or it reports the mean of all losses so far
        return self.model.train_on_batch(*self.problem.batches[i % len(self.problem.batches)])
