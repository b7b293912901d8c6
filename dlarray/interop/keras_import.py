"""Models of Keras 3 as trained models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import prod
from typing import Any, cast

import numpy as np

from dlarray import activations as f
from dlarray.device import Device
from dlarray.interop.assembly import Piece, assemble, chain
from dlarray.interop.keras_table import ACTIVATIONS, LOSSES, LOSSES_OF_LOGITS
from dlarray.layers import BatchNorm, Dense, Dropout, Embedding, LayerNorm, RMSNorm
from dlarray.losses import Loss
from dlarray.training.trained import Trained

__all__ = ["from_keras"]


def from_keras(model: Any, loss: str | Loss | None = None, *, device: str | Device | None = None) -> Trained:
    """A model of Keras 3 as a trained model with a copy of its weights.

    It is a ``keras.Sequential`` or a functional model whose layers follow each other. It may hold such models,
    ``Dense``, ``Activation`` and the layers of activations, ``BatchNormalization``, ``LayerNormalization``,
    ``RMSNormalization``, ``Dropout``, ``Embedding`` and ``Flatten``. Keras can run on any of its backends.

    The result predicts, evaluates, is saved, and can be trained further: ``fit(trained.model, x, y, loss=trained.loss,
    dtype=trained.dtype, theta=trained.theta, buffers=trained.buffers)``.

    Parameters
    ----------
    model
        The model, which has been built.
    loss
        The loss that the model was trained for, or its name. It can be left out if the last activation is softmax or
        sigmoid, or if the model has been compiled with the mean squared error, the mean absolute error, log-cosh, or a
        cross-entropy with ``from_logits=True``. If the last activation is the output activation of the loss, it becomes
        a part of the loss: ``predict`` then gives what the model's ``predict`` gives. Otherwise ``outputs`` does.
    device
        The device of the result; by default the current device.

    Raises
    ------
    TypeError
        For anything but a sequential or functional model of Keras 3.
    ValueError
        For a layer, an activation or an option that dlarray does not have: the message names the layer. For layers
        that do not follow each other, if a loss is needed, and for weights that are neither all float32 nor all
        float64.
    ImportError
        If Keras is not installed.
    """
    try:
        import keras
    except ImportError as error:
        raise ImportError("from_keras needs Keras 3: pip install keras") from error
    if not _is_model(keras, model):
        raise TypeError(
            f"from_keras takes a keras.Sequential or a functional model of Keras 3, got {type(model).__name__}"
        )
    if not model.built:
        raise ValueError("the model has no weights yet: call model.build((None, inputs)) first")
    pieces = _pieces(keras, model)
    return assemble(_inputs(model), pieces, _compiled_loss(model) if loss is None else loss, device)


def _is_model(keras: Any, model: Any) -> bool:
    """Whether the layers of a model tell what it computes: a sequential or functional one."""
    if isinstance(model, keras.Sequential):
        kind = cast("Any", type(model))
        return kind.call is keras.Sequential.call
    return isinstance(model, keras.Model) and type(model).__name__ == "Functional"


def _refusal(layer: Any, reason: str) -> ValueError:
    return ValueError(f"from_keras cannot read layer {layer.name!r}, {type(layer).__name__}: {reason}")


def _layers(keras: Any, model: Any) -> list[Any]:
    """The layers of a model in order. Raises ValueError if they do not follow each other."""
    if isinstance(model, keras.Sequential):
        return model.layers
    for before, entry in pairwise(model.get_config()["layers"]):
        if (found := list(_origins(entry["inbound_nodes"]))) != [before["name"]]:
            raise ValueError(
                f"from_keras reads layers that follow each other: {entry['name']!r} takes the outputs of "
                f"{', '.join(map(repr, found)) or 'no layer'}, not only those of {before['name']!r} before it"
            )
    if len(model.outputs) > 1:
        raise ValueError(f"from_keras reads models with one output, got {len(model.outputs)}")
    first, *operations = model.operations  # layers, and functions such as keras.ops.exp
    assert isinstance(first, keras.layers.InputLayer)
    return operations


def _origins(data: Any) -> Iterator[str]:
    """The names of the layers whose outputs are arguments in the nodes of a layer's configuration."""
    if isinstance(data, dict):
        entry = cast("dict[str, Any]", data)
        if "keras_history" in entry:
            yield entry["keras_history"][0]
        else:
            yield from _origins(list(entry.values()))
    elif isinstance(data, (list, tuple)):
        for item in cast("Sequence[Any]", data):
            yield from _origins(item)


def _inputs(model: Any) -> int:
    """The number of inputs. Raises ValueError if it is unknown."""
    shape = tuple(model.input_shape[1:])
    if not shape or None in shape:
        raise ValueError(f"the model must have inputs of a known size, (None, inputs), got {model.input_shape}")
    return prod(shape)


def _pieces(keras: Any, model: Any) -> list[Piece]:
    """The layers of a model as pieces; a Dense layer with an activation gives two."""
    pieces: list[Piece] = []
    axes = len(model.input_shape)
    for layer in _layers(keras, model):
        kind = type(layer).__name__
        if axes > 2 and kind not in ("Flatten", "Embedding", "Identity"):
            raise _refusal(layer, f"its inputs have {axes} axes, and dlarray's have two: put a Flatten before it")
        if kind == "Flatten":
            axes = 2
            continue  # the inputs of a model are rows already
        if kind == "Embedding":
            axes += 1
        pieces += _read(keras, layer)
    return pieces or [Piece(f.Identity())]


def _read(keras: Any, layer: Any) -> list[Piece]:
    """The pieces of one layer."""
    if _is_model(keras, layer):
        return [chain(_pieces(keras, layer))]
    if isinstance(layer, keras.layers.Activation):
        return _activation(keras, layer)
    read = READERS.get(type(layer).__name__)
    if read is None or type(layer) is not getattr(keras.layers, type(layer).__name__, None):
        raise _refusal(layer, f"dlarray has no such layer; it has Activation, Flatten, {', '.join(READERS)}")
    try:
        piece = read(layer)
    except ValueError as error:
        raise _refusal(layer, str(error)) from None
    return [piece, *(_activation(keras, layer) if hasattr(layer, "activation") else [])]


def _activation(keras: Any, layer: Any) -> list[Piece]:
    """The activation of a layer; no piece for the identity."""
    function = layer.activation
    if isinstance(function, keras.layers.Layer):
        return _read(keras, function)
    name = getattr(function, "__name__", str(function))
    if name not in ACTIVATIONS or function is not getattr(keras.activations, name):
        raise _refusal(layer, f"dlarray has no activation {name!r}; it has {', '.join(ACTIVATIONS)}")
    return [] if name == "linear" else [Piece(ACTIVATIONS[name])]


def _compiled_loss(model: Any) -> Loss | None:
    """The loss of a compiled model, if it is one of those that ``from_keras`` names."""
    given: Any = getattr(model, "loss", None) or ""
    options: dict[str, Any] = given.get_config() if hasattr(given, "get_config") else {}
    if options.get("from_logits") and not options.get("label_smoothing"):
        return LOSSES_OF_LOGITS.get(type(given).__name__)
    name = given if isinstance(given, str) else getattr(given, "__name__", type(given).__name__)
    return LOSSES.get(name.replace("_", "").lower())


def _arrays(**named: Any) -> dict[str, np.ndarray]:
    """Copies of variables on the host, without those that are None."""
    from keras import ops

    return {name: np.array(ops.convert_to_numpy(x)) for name, x in named.items() if x is not None}


def _dense(layer: Any) -> Piece:
    if getattr(layer, "quantization_mode", None) is not None or getattr(layer, "lora_enabled", False):
        raise ValueError("dlarray has no quantized and no LoRA weights")
    return Piece(Dense(layer.units, bias=layer.use_bias), _arrays(W=layer.kernel, b=layer.bias))


def _embedding(layer: Any) -> Piece:
    return Piece(Embedding(layer.input_dim, layer.output_dim), _arrays(W=layer.embeddings))


def _batch_norm(layer: Any) -> Piece:
    _check_axis(layer)
    if layer.renorm:
        raise ValueError("dlarray has no batch renormalization")
    norm = BatchNorm(layer.epsilon, round(1 - layer.momentum, 12), scale=layer.scale, shift=layer.center)
    buffers = _arrays(mean=layer.moving_mean, variance=layer.moving_variance)
    return Piece(norm, _arrays(gamma=layer.gamma, beta=layer.beta) | buffers)


def _layer_norm(layer: Any) -> Piece:
    _check_axis(layer)
    norm = LayerNorm(layer.epsilon, scale=layer.scale, shift=layer.center)
    return Piece(norm, _arrays(gamma=layer.gamma, beta=layer.beta))


def _rms_norm(layer: Any) -> Piece:
    _check_axis(layer)
    return Piece(RMSNorm(layer.epsilon), _arrays(gamma=layer.scale))


def _softmax(layer: Any) -> Piece:
    _check_axis(layer)
    return Piece(f.Softmax())


def _check_axis(layer: Any) -> None:
    """Raise ValueError if a layer does not act over the features."""
    if layer.axis not in (-1, 1, [-1], [1], (-1,), (1,)):
        raise ValueError(f"dlarray's layer is over the features, axis=-1, got axis={layer.axis}")


def _relu(layer: Any) -> Piece:
    slope: float = layer.negative_slope or 0.0
    low: float = layer.threshold or 0.0
    high: float | None = layer.max_value
    if high is None and not low:
        return Piece(f.LeakyReLU(slope) if slope else f.ReLU())
    if high is None and not slope:
        return Piece(f.Threshold(low))
    if high is None or slope or low:
        raise ValueError(f"dlarray has no ReLU with negative_slope={slope}, threshold={low} and max_value={high}")
    return Piece(f.ReLU6() if high == 6 else f.HardTanh(0.0, high))


READERS: dict[str, Callable[[Any], Piece]] = {
    "BatchNormalization": _batch_norm,
    "Dense": _dense,
    "Dropout": lambda layer: Piece(Dropout(layer.rate)),
    "ELU": lambda layer: Piece(f.ELU(layer.alpha)),
    "Embedding": _embedding,
    "Identity": lambda layer: Piece(f.Identity()),
    "LayerNormalization": _layer_norm,
    "LeakyReLU": lambda layer: Piece(f.LeakyReLU(layer.negative_slope)),
    "PReLU": lambda layer: Piece(f.PReLU(), _arrays(slope=layer.alpha)),
    "RMSNormalization": _rms_norm,
    "ReLU": _relu,
    "Softmax": _softmax,
}
"""How a layer of each class is read, without its activation."""
