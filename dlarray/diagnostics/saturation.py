"""What an activation does far from 0, found from its derivative: this works for a user's activation as well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlarray.core.layer import Activation
from dlarray.core.random import Bits

__all__ = ["Saturation", "saturation"]

FAR = 1e4
FLAT = 1e-3
"""A derivative below this counts as 0 at ±FAR: it is 0.01 for leaky ReLU, 1e-8 for softsign, 0 for a sigmoid."""


@dataclass(frozen=True)
class Saturation:
    """``flat_sides`` is how many sides have derivative 0: 1 for ReLU, 2 for sigmoid, 0 for leaky ReLU.

    ``steepest`` is the largest |da/dz| for z from -8 to 8.
    """

    flat_sides: int
    steepest: float


def saturation(f: Activation) -> Saturation | None:
    """How an element-wise activation saturates; None for an activation of whole rows, such as softmax.

    Trainable parameters have their initial values.
    """
    initializers = {name: f.initializers().get(name) for name in f.shapes(2)}
    if None in initializers.values():
        return None
    p = {name: initializers[name](Bits(0, "saturation"), shape) for name, shape in f.shapes(2).items()}  # pyright: ignore[reportOptionalCall]
    with np.errstate(all="ignore"):
        rows = f.predict(np.array([[0.0, 0.0], [0.0, 1.0]]), **p)
        if rows[0, 0] != rows[1, 0]:
            return None  # the first output depends on the second input
        near, _ = np.meshgrid(np.linspace(-8.0, 8.0, 321), [0.0, 0.0], indexing="ij")
        far = np.array([[-FAR, -FAR], [FAR, FAR]])
        slopes = [np.abs(f.backward(f.forward(z, **p)[1], np.ones_like(z), **p)) for z in (near, far)]
    ends = np.max(slopes[1], axis=1)
    return Saturation(int(np.sum(ends < FLAT)), float(np.max(slopes[0])))
