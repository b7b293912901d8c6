"""Steps that the tests explain."""

from __future__ import annotations

from typing import Any

import numpy as np

import dlarray
from dlarray.core.array import array_namespace
from dlarray.explanation import Explanation, explain

X = np.random.default_rng(0).standard_normal((8, 5)).astype(np.float32)
T = np.arange(8, dtype=np.int32) % 3


def array(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def layer(state: dict[str, Any], batch: tuple[Any, Any]) -> tuple[Any, Any]:
    """One layer with ReLU, half its squared error, and descent."""
    x, t = batch
    xp = array_namespace(x)
    z = x @ state["W"]
    z += state["b"]
    d = xp.maximum(z, 0.0) - t
    dz = d * xp.astype(z > 0, d.dtype)
    W, b = state["W"], state["b"]
    W -= 0.5 * (x.T @ dz)
    b -= 0.5 * xp.sum(dz, axis=0)
    return {"W": W, "b": b}, 0.5 * xp.sum(d * d)


def layers(accumulate: int = 1, **options: Any) -> Explanation:
    model = dlarray.mlp(5, 4, 3)
    return explain(*dlarray.first_step(model, X, T, batch_size=8, accumulate=accumulate, **options))
