"""What an activation does far from 0, found by looking at its slope: so it holds for a user's own class as well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlarray.core.layer import Activation
from dlarray.core.random import Bits

__all__ = ["Saturation", "saturation"]

FAR = 1e4
FLAT = 1e-3
"""A slope that counts as none, far out: leaky ReLU leaves 0.01 there, softsign 1e-8, a sigmoid nothing."""


@dataclass(frozen=True)
class Saturation:
    """``flat`` is the number of sides on which the slope ends: ReLU has 1, sigmoid 2, leaky ReLU none."""

    flat: int
    steepest: float


def saturation(f: Activation) -> Saturation | None:
    """The nature of an activation that acts on each number alone; None for one of rows, such as softmax.

    A parameter has the value it starts from.
    """
    given = {name: f.initializers().get(name) for name in f.shapes(2)}
    if None in given.values():
        return None
    p = {name: given[name](Bits(0, "nature"), shape) for name, shape in f.shapes(2).items()}  # pyright: ignore[reportOptionalCall]
    with np.errstate(all="ignore"):
        rows = f.predict(np.array([[0.0, 0.0], [0.0, 1.0]]), **p)
        if rows[0, 0] != rows[1, 0]:
            return None  # the second number has changed the first
        near, _ = np.meshgrid(np.linspace(-8.0, 8.0, 321), [0.0, 0.0], indexing="ij")
        far = np.array([[-FAR, -FAR], [FAR, FAR]])
        slopes = [np.abs(f.backward(f.forward(z, **p)[1], np.ones_like(z), **p)) for z in (near, far)]
    ends = np.max(slopes[1], axis=1)
    return Saturation(int(np.sum(ends < FLAT)), float(np.max(slopes[0])))
