"""Every activation of the library: value, derivative and the gradients of its parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlarray.activations import (
    CELU,
    ELU,
    GELU,
    HardShrink,
    HardTanh,
    LeakyReLU,
    Softplus,
    SoftShrink,
    Swish,
    Threshold,
)
from dlarray.core.array import Array
from dlarray.core.layer import Activation
from dlarray.testing.check import Check, Deviation
from dlarray.testing.columns import Column
from dlarray.testing.contract import BASIC
from dlarray.testing.formula import beside, largest, short
from dlarray.testing.own import own

__all__ = ["LIMIT", "SHAPES", "VARIANTS", "cases", "checks", "numbers", "parameters"]

LIMIT = 8.0
"""In ulp of max(|value|, 1): of up to ten operations two at most are exponentials or such, and libraries compute these
within 4 ulp."""

VARIANTS: list[Activation] = [
    LeakyReLU(0.3),
    LeakyReLU(0.0),
    ELU(0.7),
    CELU(0.7),
    CELU(2.5),
    HardTanh(-0.5, 3),
    HardTanh(0.25, 2),
    Softplus(2.5),
    Softplus(0.3),
    Threshold(-0.5, 2.0),
    HardShrink(1.25),
    SoftShrink(1.25),
    GELU("tanh"),
    Swish(1.7),
    Swish(-0.6),
    Swish(trainable=True),
]
"""Activations with other numbers than their defaults."""

SHAPES = [(4, 5), (5,), (2, 3, 5), (0, 5)]


def cases() -> list[Activation]:
    """Every activation of the library with its defaults, and the variants."""
    return [cls() for cls in own(Activation).values()] + VARIANTS


def parameters(f: Activation, features: int) -> dict[str, np.ndarray]:
    """Numbers for the activation's parameters, by name."""
    return {name: np.random.default_rng(8).uniform(0.1, 1.9, shape) for name, shape in f.shapes(features).items()}


def numbers(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Inputs that reach every branch, none on a kink, and the gradient that comes back."""
    rng = np.random.default_rng(7)
    return 3 * rng.normal(size=shape), rng.normal(size=shape)


def checks() -> list[Check]:
    """One check for each activation, with its variants."""
    by_class = {name: [f for f in cases() if type(f) is cls] for name, cls in own(Activation).items()}
    return [
        Check("activations", name, lambda column, fs=fs: _measure(column, fs), needs=BASIC, limit=LIMIT)
        for name, fs in by_class.items()
    ] + [Check("activations", "all, without examples", _empty, BASIC, 0.0)]


def _measure(column: Column, fs: list[Activation]) -> Deviation:
    shapes = [shape for shape in SHAPES if 0 not in shape]
    tried = [(fs[0], shape) for shape in shapes] + [(f, shapes[0]) for f in fs[1:]]
    return largest((f"{short(f)} {shape}", lambda f=f, shape=shape: _one(column, f, shape)) for f, shape in tried)


def _empty(column: Column) -> Deviation:
    return largest((short(f), lambda f=f: _one(column, f, (0, 5))) for f in cases())


def _one(column: Column, f: Activation, shape: tuple[int, ...]) -> Deviation:
    def run(z: Array, dy: Array, p: dict[str, Array]) -> dict[str, Any]:
        y, saved = f.forward(z, **p)
        dz = f.backward(saved, dy, **p)
        return {"forward": y, "backward": dz, "predict": f.predict(z, **p)} | f.gradient(saved, dy)

    z, dy = numbers(shape)
    return beside(column, run, z, dy, parameters(f, shape[-1]))
