"""The network from an estimator's parameters, its initial weights, and scikit-learn's names for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import numpy as np

from dlarray.activations import Activation
from dlarray.core.layer import Layer
from dlarray.core.random import Bits
from dlarray.core.registry import make
from dlarray.layers import Dense, Dropout
from dlarray.model import MLP

__all__ = ["activations_of", "dense_names", "initial_parameters", "network"]

_Draw = Callable[[int, int, Activation, str], tuple[np.ndarray, np.ndarray]]
"""Returns W and b of a Dense layer from inputs, units, the next activation and the dtype."""


def network(
    inputs: int,
    hidden: Sequence[int],
    outputs: int,
    activations: Sequence[Activation],
    normalization: Any = None,
    dropout: float | Sequence[float] = 0.0,
    output_activation: Any = None,
) -> MLP:
    """For each hidden layer Dense, the normalization, the activation, dropout; then Dense and the output activation.

    Raises ValueError for an unknown normalization, with the closest match, and unless there is a rate for each hidden
    layer.
    """
    rates = _per_layer("dropout", dropout, len(hidden))
    norm = [] if normalization is None else [make(Layer, normalization)]
    if norm and (isinstance(norm[0], Activation) or [norm[0].width(n) for n in (2, 3)] != [2, 3]):
        raise ValueError(
            f"normalization must be a layer that keeps the number of features, such as batch_norm, layer_norm or "
            f"rms_norm, got {norm[0]!r}"
        )
    layers: list[Layer] = []
    for units, activation, rate in zip(hidden, activations, rates, strict=True):
        layers += [Dense(units), *norm, activation, *([Dropout(rate)] if rate else [])]
    bound = [] if output_activation is None else [make(Activation, output_activation)]
    return MLP(inputs, [*layers, Dense(outputs), *bound])


def activations_of(given: Any, hidden: int) -> list[Activation]:
    """An activation for each hidden layer, from one for all or a list, by name or as objects."""
    return [make(Activation, f) for f in _per_layer("activation", given, hidden)]


def _per_layer(name: str, given: Any, hidden: int) -> list[Any]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        return [given] * hidden
    items = list(cast("Iterable[Any]", given))
    if len(items) != hidden:
        raise ValueError(f"{name} must be one for all hidden layers or one for each of {hidden}, got {len(items)}")
    return items


def dense_names(model: MLP) -> list[tuple[str, str]]:
    """The names of each Dense layer's W and b, in order: ``coefs_`` and ``intercepts_``."""
    return [(f"{i}.W", f"{i}.b") for i, f in enumerate(model.layers) if isinstance(f, Dense)]


def initial_parameters(model: MLP, activations: Sequence[Activation], draw: _Draw, dtype: str) -> dict[str, np.ndarray]:
    """The initial parameters by name: those of Dense layers from ``draw``, others from dlarray's initializers.

    Raises ValueError if a drawn array has another shape than its parameter.
    """
    initializers = model.chain.initializers()
    drawn: dict[str, np.ndarray] = {}
    shapes = dict(model.layout.shapes)
    names = dense_names(model)
    behind = [*activations, *activations[-1:]] or [Activation()]
    for (W, b), f in zip(names, behind, strict=True):
        drawn[W], drawn[b] = draw(shapes[W][0], shapes[W][1], f, dtype)
    for name, shape in shapes.items():
        if name not in drawn:
            drawn[name] = np.asarray(initializers[name](Bits(0, f"parameter {name}"), shape))
    return {name: np.asarray(array, dtype=dtype) for name, array in drawn.items()}
