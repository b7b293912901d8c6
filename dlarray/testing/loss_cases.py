"""The losses of the checks, with outputs and targets: every class with its defaults, and with one field changed.

A new loss is checked without a change here: it gets its targets from its nearest base class in ``TARGETS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from dlarray.losses import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    CategoricalHinge,
    Focal,
    Gamma,
    GaussianNLL,
    Hinge,
    KLDivergence,
    Loss,
    MeanSquaredLogarithmicError,
    MultiMargin,
    Poisson,
    SparseCategoricalCrossEntropy,
    Tweedie,
)
from dlarray.losses.terms import FromLogits
from dlarray.testing.own import own

__all__ = ["LOSSES", "TARGETS", "K", "N", "Rng", "case", "outputs", "targets", "value_and_slope", "variants"]

N, K = 7, 4
"""Examples and outputs."""

Rng = np.random.Generator


def _rows(rng: Rng) -> np.ndarray:
    return rng.dirichlet(np.ones(K), N)


TARGETS: dict[type[Loss], Callable[[Rng], np.ndarray]] = {
    Loss: lambda rng: rng.normal(size=(N, K)),
    Poisson: lambda rng: rng.poisson(2.0, (N, K)).astype(float),
    MeanSquaredLogarithmicError: lambda rng: rng.uniform(-0.5, 5.0, (N, K)),
    GaussianNLL: lambda rng: rng.normal(size=(N, K // 2)),
    CategoricalHinge: lambda rng: rng.integers(0, K, N),
    MultiMargin: lambda rng: rng.integers(0, K, N),
    Gamma: lambda rng: rng.gamma(2.0, size=(N, K)),
    Tweedie: lambda rng: rng.gamma(2.0, size=(N, K)) * rng.integers(0, 2, (N, K)),
    BinaryCrossEntropy: lambda rng: rng.uniform(size=(N, K)),
    Focal: lambda rng: rng.integers(0, 2, (N, K)).astype(float),
    Hinge: lambda rng: rng.integers(0, 2, (N, K)).astype(float),
    CategoricalCrossEntropy: _rows,
    KLDivergence: _rows,
    SparseCategoricalCrossEntropy: lambda rng: rng.integers(0, K, N),
}

OPTIONS: dict[str, list[Any]] = {
    "reduction": ["sum", "none"],
    "from_logits": [False],
    "label_smoothing": [0.1],
    "class_weight": [(0.5, 3.0), (0.5, 3.0, 0.0, 1.25)],
    "pos_weight": [3.0, (0.5, 3.0, 1.0, 1.25)],
    "ignore_index": [2, -1],
    "delta": [0.3],
    "margin": [0.3],
    "exponent": [2],
    "quantile": [0.9],
    "power": [1.1, 1.9],
    "gamma": [0.0, 0.5, 5.0],
    "alpha": [0.25],
}


def variants(cls: type[Loss]) -> list[Loss]:
    """The default, each option of each field, and each option without logits."""
    made = [cls()]
    make: Callable[..., Loss] = cls
    names = {f.name for f in fields(cls)}  # pyright: ignore[reportArgumentType]  # every loss is a dataclass
    for name in OPTIONS.keys() & names:
        for value in OPTIONS[name]:
            if name == "class_weight" and len(value) != (K if issubclass(cls, CategoricalCrossEntropy) else 2):
                continue
            made.append(make(**{name: value}))
            if "from_logits" in names - {name}:
                made.append(make(**{name: value, "from_logits": False}))
    return sorted(made, key=repr)


LOSSES = [loss for cls in own(Loss).values() for loss in variants(cls)]
"""Every loss of the library, with its variants."""


def targets(loss: Loss, rng: Rng) -> np.ndarray:
    """Targets for this loss."""
    return next(TARGETS[cls] for cls in type(loss).__mro__ if cls in TARGETS)(rng)


def outputs(loss: Loss, rng: Rng, scale: float = 2.0) -> np.ndarray:
    """Model outputs for this loss."""
    z = scale * rng.normal(size=(N, K))
    return loss.activation().predict(z) if isinstance(loss, FromLogits) and not loss.from_logits else z


def case(loss: Loss, scale: float = 2.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(z, t, weight) for this loss, always the same."""
    rng = np.random.default_rng(11)
    return outputs(loss, rng, scale), targets(loss, rng), rng.uniform(0.1, 2.0, N)


def value_and_slope(loss: Loss) -> Callable[..., tuple[Any, Any]]:
    """(z, t, weight) -> (L, dz) as one function, which can be compiled."""

    def both(z: Any, t: Any, weight: Any = None) -> tuple[Any, Any]:
        value, saved = loss.forward(z, t, weight)
        return value, loss.backward(saved)

    return both
