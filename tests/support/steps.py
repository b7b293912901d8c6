"""A small step and random arrays that several tests of the planner use."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlarray.core.array import array_namespace

__all__ = ["arrays", "descent"]


def descent(state: Any, batch: Any) -> Any:
    """θ -= 0.1 x̄, t += 1; the loss is Σ θ² before."""
    theta, t = state["theta"], state["t"]
    xp = array_namespace(theta)
    loss = xp.sum(theta * theta)
    theta -= 0.1 * xp.mean(batch, axis=0)
    t += 1
    return {"theta": theta, "t": t}, loss


def arrays(*shapes: tuple[int, ...], dtype: str = "float64") -> tuple[np.ndarray, ...]:
    """Normal random numbers in these shapes, the same in every call."""
    r = np.random.default_rng(3)
    return tuple(r.standard_normal(s).astype(dtype) for s in shapes)
