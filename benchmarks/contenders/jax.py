"""The step as JAX's own users write it: jax.jit and optax, one step a call or many by ``lax.scan``."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from contenders.base import ManySteps, Measured, Shuffled
from dlarray.bench import Case, Workload, operands
from dlarray.device import resolve
from setting import JAX, Setting

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "gelu": partial(jax.nn.gelu, approximate=False),
}


def start(workload: Workload) -> list[dict[str, Any]]:
    """Weights and, where the case has them, the norms' scales and shifts."""
    parameters: list[dict[str, Any]] = []
    for i, (w, b) in enumerate(workload.weights):
        parameters.append({"W": jnp.array(w), "b": jnp.array(b)})
        if workload.case.norm and i < len(workload.weights) - 1:
            parameters[-1] |= {"scale": jnp.ones(b.shape, b.dtype), "shift": jnp.zeros(b.shape, b.dtype)}
    return parameters


def dense(x: Any, w: Any, b: Any) -> Any:
    """y = x W + b."""
    return x @ w + b


def dense_in_bfloat16(x: Any, w: Any, b: Any) -> Any:
    """y = x W + b with everything cast to bfloat16; the last layer's logits are cast back by the loss."""
    return dense(*(a.astype(jnp.bfloat16) for a in (x, w, b)))


def forward(case: Case, parameters: list[dict[str, Any]], x: Any, key: Any, dense: Any) -> Any:
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


class Optax(Measured):
    """The whole step in one jax.jit, parameters and optimizer state donated."""

    library = "jax"

    def __init__(self, workload: Workload, setting: Setting) -> None:
        optax: Any = import_module("optax")
        jax.config.update("jax_default_matmul_precision", JAX[setting.precision])
        case, self.workload, self.setting, self.adam = workload.case, workload, setting, optax.adam(1e-3)
        product = dense_in_bfloat16 if setting.precision == "bfloat16" else dense

        def mean_loss(parameters: Any, x: Any, t: Any, key: Any) -> Any:
            z = forward(case, parameters, x, key, product).astype(x.dtype)
            return optax.softmax_cross_entropy_with_integer_labels(z, t).mean()

        def step(parameters: Any, state: Any, key: Any, x: Any, t: Any) -> Any:
            key, own = jax.random.split(key) if case.dropout else (key, key)
            loss, gradient = jax.value_and_grad(mean_loss)(parameters, x, t, own)
            updates, state = self.adam.update(gradient, state, parameters)
            return optax.apply_updates(parameters, updates), state, key, loss

        self.one_step: Any = step
        self.compiled = jax.jit(step, donate_argnums=(0, 1, 2))
        self.batches = [(jnp.array(x), jnp.array(t)) for x, t in workload.batches]
        self.restart()

    def restart(self) -> None:
        parameters = start(self.workload)
        self.state = parameters, self.adam.init(parameters), jax.random.key(0)

    def step(self, i: int) -> Any:
        *self.state, loss = self.compiled(*self.state, *self.batches[i % len(self.batches)])
        return loss

    def wait(self, loss: Any) -> None:
        jax.block_until_ready((self.state, loss))

    def gradient(self) -> list[np.ndarray]:
        self.restart()
        self.wait(self.step(0))
        averages = self.state[1][0].mu
        return [np.asarray(p[name], np.float64) / (1 - 0.9) for p in averages for name in ("W", "b")]

    def about(self) -> dict[str, Any]:
        return {"platform of JAX": jax.devices()[0].client.platform_version}


class Products(Measured):
    """The products of a step alone, all in one call. Each call waits for the one before, whose memory it writes."""

    library = "jax"

    def __init__(self, workload: Workload, setting: Setting) -> None:
        jax.config.update("jax_default_matmul_precision", JAX[setting.precision])
        pairs = operands(workload.case, resolve("cpu"))
        transposed = [[not x.flags.c_contiguous for x in pair] for pair in pairs]
        self.stored = [
            [jnp.array(x.T if t else x) for x, t in zip(*of, strict=True)] for of in zip(pairs, transposed, strict=True)
        ]
        self.results: Any = [jnp.zeros((a.shape[0], b.shape[1]), a.dtype) for a, b in pairs]

        def products(stored: Any, before: Any) -> Any:
            found: list[Any] = []
            for of in zip(stored, transposed, strict=True):
                a, b = (x.T if t else x for x, t in zip(*of, strict=True))
                found.append(a @ b)
            return found

        self.compiled = jax.jit(products, donate_argnums=1, keep_unused=True)

    def step(self, i: int) -> Any:
        self.results = self.compiled(self.stored, self.results)
        return self.results

    def wait(self, loss: Any) -> None:
        jax.block_until_ready(loss)


class Scanned(ManySteps, Optax):
    """Many steps in one compiled call; each gathers its batch by an order."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        self.together = setting.in_one_call
        self.examples = Shuffled.of(workload, self.together)
        self.data = (jnp.array(self.examples.x), jnp.array(self.examples.t), jnp.array(self.examples.order))
        super().__init__(workload, setting)
        batch = self.examples.batch

        def many(parameters: Any, state: Any, key: Any, x: Any, t: Any, order: Any, start: Any) -> Any:
            def one(carry: Any, i: Any) -> Any:
                rows = jax.lax.dynamic_slice(order, (start + i * batch,), (batch,))
                *carry, loss = self.one_step(*carry, x[rows], t[rows])
                return tuple(carry), loss

            return jax.lax.scan(one, (parameters, state, key), jnp.arange(self.together, dtype=jnp.int32))

        self.compiled = jax.jit(many, donate_argnums=(0, 1, 2))

    def step(self, i: int) -> Any:
        start = jnp.asarray(self.examples.start(i), jnp.int32)
        self.state, losses = self.compiled(*self.state, *self.data, start)
        return losses
