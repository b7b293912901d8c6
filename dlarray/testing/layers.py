"""Every layer of the library that is no activation: values, derivatives, gradients and statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlarray.activations import GELU, Swish, Tanh
from dlarray.core.array import Array
from dlarray.core.layer import Activation, Layer
from dlarray.core.random import key_words
from dlarray.layers import BatchNorm, Chain, Dense, Dropout, Embedding, LayerNorm, Residual, RMSNorm
from dlarray.testing.check import Check, Deviation, NotApplicable
from dlarray.testing.columns import Column
from dlarray.testing.contract import BASIC
from dlarray.testing.formula import beside, largest, short
from dlarray.testing.own import own

__all__ = ["CASES", "LIMIT", "cases", "checks"]

LIMIT = 8.0
"""In ulp of max(|value|, 8): a gradient is a sum over the rows of a batch."""

CASES: list[Layer] = [
    Dense(4),
    Dense(4, bias=False),
    Dropout(0.3),
    Dropout(0.0),
    Embedding(4, 2),
    BatchNorm(),
    BatchNorm(eps=0.1, scale=False),
    BatchNorm(shift=False),
    LayerNorm(),
    LayerNorm(eps=0.1, scale=False),
    LayerNorm(shift=False),
    RMSNorm(eps=1e-3),
    RMSNorm(eps=1e-3, shift=True),
    Residual([Dense(5), Tanh()]),
    Chain([Dense(6), GELU(), LayerNorm(), Residual([Dense(6), Swish(), BatchNorm()]), Dense(2)]),
]
"""Layers with other numbers than their defaults, and those that need numbers."""


def cases() -> dict[str, list[Layer]]:
    """The layers of each class of the library, by its name; one with its defaults where no other is listed."""
    classes = {name: cls for name, cls in own(Layer).items() if not issubclass(cls, Activation)}
    return {name: [f for f in CASES if type(f) is cls] or [cls()] for name, cls in classes.items()}


def checks() -> list[Check]:
    """One check for each layer, with its variants."""
    return [
        Check("layers", name, lambda column, given=given: _measure(column, given), BASIC, LIMIT)
        for name, given in cases().items()
    ]


def _measure(column: Column, layers: list[Layer]) -> Deviation:
    return largest((short(f), lambda f=f: _one(column, f)) for f in layers)


def _one(column: Column, f: Layer) -> Deviation:
    if f.random and not (column.backend.int32_wraps and column.backend.bit_operations):
        raise NotApplicable("the backend states that it has not the integers that random numbers need")
    rng = np.random.default_rng(3)
    x = rng.integers(0, 4, (7, 3)) if f.integers else rng.normal(size=(7, 5))
    p = {name: 0.5 * rng.normal(size=shape) for name, shape in f.shapes(x.shape[1]).items()}
    buffers = {name: rng.uniform(0.5, 1.5, shape) for name, shape in f.buffers(x.shape[1]).items()}
    dy = rng.normal(size=(7, f.width(x.shape[1])))

    def run(x: Array, dy: Array, p: dict[str, Array], buffers: dict[str, Array], key: Array) -> dict[str, Any]:
        y, saved = f.forward(x, **p, **({"key": key} if f.random else {}))
        found: dict[str, Any] = {"forward": y} | f.gradient(saved, dy)
        if not f.integers:
            found["backward"] = f.backward(saved, dy, **p)
        found["predict"] = f.predict(x, **p, **buffers)
        return found | f.update_buffers(saved, **buffers)

    return beside(column, run, x, dy, p, buffers, key_words(3, "masks"), scale=8.0)
