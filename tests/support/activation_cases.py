"""The activations of the tests, with inputs, gradients and parameters: every class with its defaults, and variants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dlarray.core.layer import Activation
from dlarray.testing import activations
from dlarray.testing.activations import SHAPES, numbers, parameters
from tests.support.matrix import On

__all__ = ["ALL", "INF", "SHAPES", "VARIANTS", "F", "forward_backward", "numbers", "one", "parameters", "torch"]

torch = pytest.importorskip("torch")
F = torch.nn.functional
OF_TORCH: dict[str, Callable[..., Any]] = {
    "LeakyReLU(slope=0.3)": lambda z: F.leaky_relu(z, 0.3),
    "LeakyReLU(slope=0.0)": F.relu,
    "ELU(alpha=0.7)": lambda z: F.elu(z, 0.7),
    "CELU(alpha=0.7)": lambda z: torch.where(z > 0, z, 0.7 * torch.expm1(z / 0.7)),  # F.celu divides by a float32 0.7
    "CELU(alpha=2.5)": lambda z: F.celu(z, 2.5),
    "HardTanh(low=-0.5, high=3)": lambda z: F.hardtanh(z, -0.5, 3),
    "HardTanh(low=0.25, high=2)": lambda z: torch.clamp(z, 0.25, 2),
    "Softplus(beta=2.5)": lambda z: F.softplus(z, 2.5, threshold=100),
    "Softplus(beta=0.3)": lambda z: F.softplus(0.3 * z, threshold=100) / 0.3,  # F.softplus has a float32 0.3
    "Threshold(threshold=-0.5, value=2.0)": lambda z: F.threshold(z, -0.5, 2),
    "HardShrink(threshold=1.25)": lambda z: F.hardshrink(z, 1.25),
    "SoftShrink(threshold=1.25)": lambda z: F.softshrink(z, 1.25),
    "GELU(approximate='tanh')": lambda z: F.gelu(z, approximate="tanh"),
    "Swish(beta=1.7, trainable=False)": lambda z: z * torch.sigmoid(1.7 * z),
    "Swish(beta=-0.6, trainable=False)": lambda z: z * torch.sigmoid(-0.6 * z),
    "Swish(beta=1.0, trainable=True)": lambda z, beta: z * torch.sigmoid(beta * z),
}
VARIANTS = [(f, OF_TORCH[repr(f)]) for f in activations.VARIANTS]
ALL = activations.cases()


def one(x: Any) -> str:
    return "" if callable(x) else str(x)


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
