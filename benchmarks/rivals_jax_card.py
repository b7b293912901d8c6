"""JAX with optax on a card: a jit for each step, and a scan over many. On a CPU it is the same.

Nothing of this has ever run on a card.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import rivals_jax
from setting import JAX, Setting
from timed import Clock, Measured, NoClock
from whole import Whole

from dlarray.bench import Problem


def dense_in_bfloat16(x: Any, w: Any, b: Any) -> Any:
    """y = x W + b with everything cast to bfloat16; the last layer's logits are cast back by the loss."""
    half = jnp.bfloat16
    return x.astype(half) @ w.astype(half) + b.astype(half)


class Jitted(rivals_jax.Optax, Measured):
    """One compiled call for each step."""

    def __init__(self, problem: Problem, setting: Setting) -> None:
        jax.config.update("jax_default_matmul_precision", JAX[setting.precision])
        super().__init__(problem, dense_in_bfloat16 if setting.precision == "bfloat16" else rivals_jax.dense)

    def clock(self) -> Clock:
        return NoClock()

    def gradient(self) -> list[np.ndarray]:
        self.restart()
        self.wait(self.step(0))
        averages = self.state[1][0].mu
        return [np.asarray(p[name], np.float64) / (1 - 0.9) for p in averages for name in ("W", "b")]

    def about(self) -> dict[str, Any]:
        return {"platform of JAX": jax.devices()[0].client.platform_version}


class Scanned(Jitted):
    """Many steps in one compiled call by ``lax.scan``; each gathers its batch by an order."""

    def __init__(self, problem: Problem, setting: Setting) -> None:
        self.together = setting.in_one_call
        self.whole = Whole.of(problem, self.together)
        self.data = (jnp.array(self.whole.x), jnp.array(self.whole.t), jnp.array(self.whole.order))
        super().__init__(problem, setting)
        batch = self.whole.batch

        def many(parameters: Any, state: Any, key: Any, x: Any, t: Any, order: Any, start: Any) -> Any:
            def one(carry: Any, i: Any) -> Any:
                rows = jax.lax.dynamic_slice(order, (start + i * batch,), (batch,))
                *carry, loss = self.plain(*carry, x[rows], t[rows])
                return tuple(carry), loss

            return jax.lax.scan(one, (parameters, state, key), jnp.arange(self.together, dtype=jnp.int32))

        self.many = jax.jit(many, donate_argnums=(0, 1, 2))

    def step(self, i: int) -> Any:
        start = jnp.asarray(self.whole.start(i), jnp.int32)
        self.state, losses = self.many(*self.state, *self.data, start)
        return losses

    def losses(self, steps: int, patience: float = float("inf")) -> list[float]:
        self.restart()
        found = [np.asarray(self.step(i)) for i in range(-(-steps // self.together))]
        return np.concatenate(found)[:steps].astype(float).tolist()

    def gradient(self) -> list[np.ndarray]:
        raise NotImplementedError("the gradient is gone after many steps; it is the single step's")


def jitted(problem: Problem, setting: Setting) -> Measured:
    """jax.jit for each step."""
    return Jitted(problem, setting)


def scanned(problem: Problem, setting: Setting) -> Measured:
    """jax.jit of a scan over steps."""
    return Scanned(problem, setting)
