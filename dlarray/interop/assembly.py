"""Layers with their arrays, as another library's network gives them, joined to a trained model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dlarray.activations import Identity, LogSoftmax, Sigmoid, Softmax
from dlarray.core.layer import Layer
from dlarray.core.registry import make
from dlarray.device import Device, resolve
from dlarray.layers import Chain
from dlarray.losses import BinaryCrossEntropy, Loss, SparseCategoricalCrossEntropy
from dlarray.model import MLP, on_device
from dlarray.training.data_names import DataNames
from dlarray.training.labels import Label
from dlarray.training.trained import Trained

__all__ = ["Piece", "assemble", "chain"]

DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Piece:
    """A layer with its parameters and buffers, by the layer's own names for them."""

    layer: Layer
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])


def chain(pieces: Sequence[Piece], kind: type[Chain] = Chain) -> Piece:
    """Pieces one after the other as one piece."""
    arrays = {f"{i}.{name}": x for i, piece in enumerate(pieces) for name, x in piece.arrays.items()}
    return Piece(kind([piece.layer for piece in pieces]), arrays)


def assemble(
    inputs: int,
    pieces: Sequence[Piece],
    loss: str | Loss | None,
    device: str | Device | None,
    features: tuple[str, ...] | None = None,
    classes: tuple[Label, ...] | None = None,
) -> Trained:
    """A trained model of these pieces, with a copy of their arrays and the names of its data.

    Without a loss it is the cross-entropy that belongs to a softmax or sigmoid at the end. A last activation that is
    the output activation of the loss becomes a part of the loss: predictions are then those of the pieces.

    Raises ValueError if there is no loss and the last layer names none, for arrays that are not all of float32 or all
    of float64, and for arrays that do not have the shapes of their layers.
    """
    whole = chain(pieces)
    layers = [piece.layer for piece in pieces]
    last = _last(layers)
    loss = _loss_of(last) if loss is None else make(Loss, loss)
    if last == loss.output_activation and last != Identity():
        layers = _without_last(layers) or [Identity()]
    model, arrays, dtype = MLP(inputs, layers), whole.arrays, _dtype(whole.arrays)
    target = resolve(device)
    theta, buffers = (
        on_device(layout, {name: arrays[name] for name, _ in layout.shapes}, target)
        for layout in (model.layout, model.buffer_layout)
    )
    names = DataNames(features, None if loss.task == "regression" else classes).check(loss, model.outputs)
    return Trained(model, theta, buffers, loss, target, dtype, features=names.features, classes=names.classes)


def _last(layers: Sequence[Layer]) -> Layer:
    """The last layer, also if it is in a chain."""
    return _last(layers[-1].layers) if type(layers[-1]) is Chain else layers[-1]


def _without_last(layers: Sequence[Layer]) -> list[Layer]:
    """The layers without the last one, also if it is in a chain."""
    *before, last = layers
    inner = _without_last(last.layers) if type(last) is Chain else []
    return [*before, Chain(inner)] if inner else before


def _loss_of(last: Layer) -> Loss:
    """The loss that a network with this last layer was trained for."""
    if isinstance(last, (Softmax, LogSoftmax)):
        return SparseCategoricalCrossEntropy()
    if isinstance(last, Sigmoid):
        return BinaryCrossEntropy()
    raise ValueError(
        f"the network ends with {last}, which does not tell what it was trained for: give loss=, such as "
        '"sparse_categorical_cross_entropy" for logits of classes, or "mean_squared_error" for numbers'
    )


def _dtype(arrays: Mapping[str, np.ndarray]) -> str:
    """The dtype of all arrays; float32 if there are none."""
    found = sorted({x.dtype.name for x in arrays.values()}) or ["float32"]
    if len(found) > 1 or found[0] not in DTYPES:
        raise ValueError(
            f"weights must all be float32 or all float64, got {' and '.join(found)}: convert the network first"
        )
    return found[0]
