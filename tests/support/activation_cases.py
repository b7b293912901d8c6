"""The activations of the tests, with inputs, gradients and parameters: every class with its defaults, and variants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dlarray.activations import CELU, ELU, GELU, LeakyReLU, Swish
from dlarray.core.layer import Activation
from dlarray.core.registry import classes
from tests.support.matrix import On

torch = pytest.importorskip("torch")
F = torch.nn.functional
VARIANTS: list[tuple[Activation, Callable[..., Any]]] = [
    (LeakyReLU(0.3), lambda z: F.leaky_relu(z, 0.3)),
    (LeakyReLU(0.0), F.relu),
    (ELU(0.7), lambda z: F.elu(z, 0.7)),
    (CELU(0.7), lambda z: torch.where(z > 0, z, 0.7 * torch.expm1(z / 0.7))),  # F.celu divides by a float32 0.7
    (CELU(2.5), lambda z: F.celu(z, 2.5)),
    (GELU("tanh"), lambda z: F.gelu(z, approximate="tanh")),
    (Swish(1.7), lambda z: z * torch.sigmoid(1.7 * z)),
    (Swish(-0.6), lambda z: z * torch.sigmoid(-0.6 * z)),
    (Swish(trainable=True), lambda z, beta: z * torch.sigmoid(beta * z)),
]
ALL = [cls() for cls in classes(Activation).values()] + [f for f, _ in VARIANTS]
SHAPES = [(4, 5), (5,), (2, 3, 5), (0, 5)]


def one(x: Any) -> str:
    return "" if callable(x) else str(x)


def parameters(f: Activation, features: int) -> dict[str, np.ndarray]:
    return {name: np.random.default_rng(8).uniform(0.1, 1.9, shape) for name, shape in f.shapes(features).items()}


def numbers(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Inputs that reach every branch, none on a kink, and the gradient that comes back."""
    rng = np.random.default_rng(7)
    return 3 * rng.normal(size=shape), rng.normal(size=shape)


def forward_backward(on: On, f: Activation, z: Any, dy: Any, p: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """There and back: y, dz and dp. One jitted function where there is jit; else call by call, so that on the read-only
    device what forward saves is read-only too."""

    def steps(run: Callable[..., Any], z: Any, dy: Any, p: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
        y, saved = run(f.forward, z, **p)
        return y, run(f.backward, saved, dy, **p), run(f.gradient, saved, dy)

    if on.jit:
        return on.run(lambda *args: steps(lambda g, *a, **k: g(*a, **k), *args), z, dy, p)
    return steps(on.run, z, dy, p)


INF = float("inf")
