"""Modules of PyTorch as trained models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np

from dlarray.activations import Identity, PReLU, Softplus, Swish
from dlarray.device import Device
from dlarray.interop.assembly import Piece, assemble, chain
from dlarray.interop.torch_table import ACTIVATIONS, Row, import_torch
from dlarray.layers import BatchNorm, Dense, Dropout, Embedding, LayerNorm, Residual, RMSNorm
from dlarray.losses import Loss
from dlarray.training.trained import Trained

__all__ = ["from_torch"]

MODULES = ("torch.nn.modules.", "dlarray.interop.")
"""The homes of the classes that are read: others of the same name may compute something else."""


def from_torch(
    module: Any, loss: str | Loss | None = None, *, inputs: int | None = None, device: str | Device | None = None
) -> Trained:
    """An ``nn.Sequential`` as a trained model with a copy of its weights.

    It may hold other ``nn.Sequential``, ``Linear``, ``BatchNorm1d``, ``LayerNorm``, ``RMSNorm``, ``Embedding``,
    ``Dropout``, ``Flatten``, the activations that dlarray has, and what ``to_torch`` makes. Layers keep their numbers.

    The result predicts, evaluates, is saved, and can be trained further: ``fit(trained.model, x, y, loss=trained.loss,
    dtype=trained.dtype, theta=trained.theta, buffers=trained.buffers)``. dlarray trains all parameters, also those with
    ``requires_grad=False``.

    Parameters
    ----------
    module
        The module, on any device.
    loss
        The loss that the module was trained for, or its name. It can be left out if the last module is ``Softmax``,
        ``LogSoftmax`` or ``Sigmoid``: the cross-entropy of classes, or the binary one. If the last module is the output
        activation of the loss, it becomes a part of the loss: ``predict`` then gives what the module gives. Otherwise
        ``outputs`` does.
    inputs
        The number of inputs, which is only needed if no module states it.
    device
        The device of the result; by default the current device.

    Raises
    ------
    TypeError
        For anything but an ``nn.Sequential``.
    ValueError
        For a module inside for which dlarray has no layer, and for options that dlarray does not have: the message
        names the module. If a loss or inputs is needed. For weights that are neither all float32 nor all float64.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> import dlarray
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    >>> trained = dlarray.from_torch(net, "mean_squared_error")
    >>> trained.model.layers
    (Dense(units=3, weight=None, bias=Zeros()), Tanh(), Dense(units=1, weight=None, bias=Zeros()))
    >>> bool(np.allclose(trained.predict(np.ones((1, 2))), net(torch.ones(1, 2)).numpy(force=True), atol=1e-6))
    True
    """
    nn = import_torch().nn
    if not _is_sequential(nn, module):
        raise TypeError(
            f"from_torch takes an nn.Sequential, got {type(module).__name__}: the forward of another module cannot be "
            "read; write its layers as nn.Sequential(…)"
        )
    leaves = list(_leaves(nn, module, ""))
    _check_shared(leaves)
    given = _inputs(leaves) if inputs is None else inputs
    return assemble(given, _pieces(nn, module, given, ""), loss, device)


def _is_sequential(nn: Any, module: Any) -> bool:
    """Whether this is an ``nn.Sequential``, or of a subclass with the same forward."""
    kind = cast("Any", type(module))
    return isinstance(module, nn.Sequential) and kind.forward is nn.Sequential.forward


def _is_residual(module: Any) -> bool:
    from dlarray.interop.torch_layers import Residual as Module

    return type(module) is Module


def _refusal(number: str, module: Any, reason: str) -> ValueError:
    return ValueError(f"from_torch cannot read module {number}, {type(module).__name__}: {reason}")


def _leaves(nn: Any, module: Any, number: str) -> Iterator[tuple[str, Any]]:
    """The modules that are read as one layer, in order, with their numbers. Raises ValueError for any other module."""
    if module._forward_hooks or module._forward_pre_hooks:
        raise _refusal(number or "itself", module, "it has hooks, which may change what it computes")
    if _is_sequential(nn, module) or _is_residual(module):
        for i, inner in enumerate(module):
            yield from _leaves(nn, inner, f"{number}.{i}" if number else str(i))
    elif type(module).__name__ in READERS and type(module).__module__.startswith(MODULES):
        yield number, module
    else:
        raise _refusal(number, module, f"dlarray has no such layer; it has {', '.join(sorted(READERS))}")


def _check_shared(leaves: list[tuple[str, Any]]) -> None:
    """Raise ValueError for parameters or buffers that are used twice: each layer of dlarray has its own."""
    first: dict[int, str] = {}
    for number, module in leaves:
        for x in (*module.parameters(), *module.buffers()):
            if first.setdefault(id(x), number) != number:
                reason = f"it shares arrays with module {first[id(x)]}, and dlarray has no shared weights"
                raise _refusal(number, module, reason)


def _inputs(leaves: list[tuple[str, Any]]) -> int:
    """The number of inputs of the first module that states one; of an Embedding, the number of its fields."""
    units = 1
    for _, module in leaves:
        match type(module).__name__:
            case "Linear":
                return module.in_features // units
            case "BatchNorm1d":
                return module.num_features // units
            case "LayerNorm" | "RMSNorm" | "ShiftedRMSNorm":
                return module.normalized_shape[-1] // units
            case "Embedding":
                units = module.embedding_dim
            case _:
                pass
    raise ValueError("no module states the number of inputs: give inputs=")


def _pieces(nn: Any, module: Any, n: int, number: str) -> list[Piece]:
    """The pieces of the modules inside an ``nn.Sequential`` that takes n numbers."""
    pieces: list[Piece] = []
    for i, inner in enumerate(module):
        pieces.append(_piece(nn, inner, n, f"{number}{i}"))
        n = pieces[-1].layer.width(n)
    return pieces


def _piece(nn: Any, module: Any, n: int, number: str) -> Piece:
    """A module that takes n numbers, as a layer with its arrays."""
    if _is_residual(module):
        return chain(_pieces(nn, module, n, f"{number}."), Residual)
    if _is_sequential(nn, module):
        pieces = _pieces(nn, module, n, f"{number}.")
        if [type(inner) for inner in module] == [nn.Embedding, nn.Flatten]:  # as to_torch writes it
            return pieces[0]
        return chain(pieces)
    try:
        piece = READERS[type(module).__name__](module, n)
    except ValueError as error:
        raise _refusal(number, module, str(error)) from None
    for own, shape in (piece.layer.shapes(n) | piece.layer.buffers(n)).items():
        if piece.arrays[own].shape != shape:
            raise _refusal(
                number, module, f"its {own} has shape {piece.arrays[own].shape}, and {n} inputs need {shape}"
            )
    return piece


def _arrays(**named: Any) -> dict[str, np.ndarray]:
    """Copies of tensors on the host, without those that are None. Raises ValueError for other types of numbers."""
    given = {name: x for name, x in named.items() if x is not None}
    for x in given.values():
        if str(x.dtype) not in ("torch.float32", "torch.float64"):
            raise ValueError(f"weights must be float32 or float64, got {x.dtype}: convert the module first")
    return {name: np.array(x.numpy(force=True)) for name, x in given.items()}


def _linear(module: Any, n: int) -> Piece:
    bias = module.bias is not None
    return Piece(Dense(module.out_features, bias=bias), _arrays(W=module.weight.T, b=module.bias))


def _embedding(module: Any, n: int) -> Piece:
    if module.padding_idx is not None or module.max_norm is not None:
        raise ValueError("dlarray's Embedding has no padding_idx and no max_norm")
    return Piece(Embedding(module.num_embeddings, module.embedding_dim), _arrays(W=module.weight))


def _flatten(module: Any, n: int) -> Piece:
    if (module.start_dim, module.end_dim) not in ((1, -1), (-1, -1), (1, 1)):
        raise ValueError(f"only start_dim=1 and end_dim=-1 keep the examples, got {module.start_dim}, {module.end_dim}")
    return Piece(Identity())  # the inputs of a model are rows already


def _batch_norm(module: Any, n: int) -> Piece:
    if module.momentum is None:
        raise ValueError("dlarray has no cumulative average, momentum=None: set a momentum, such as 0.1")
    if module.running_mean is None:
        raise ValueError("dlarray's BatchNorm has running statistics: track_running_stats=False is not possible")
    layer = BatchNorm(module.eps, module.momentum, **_scaled(module))
    buffers = _arrays(mean=module.running_mean, variance=module.running_var)
    return Piece(layer, _arrays(gamma=module.weight, beta=module.bias) | buffers)


def _layer_norm(module: Any, n: int) -> Piece:
    return Piece(LayerNorm(module.eps, **_scaled(module)), _arrays(gamma=module.weight, beta=module.bias))


def _rms_norm(module: Any, n: int) -> Piece:
    arrays = _arrays(gamma=module.weight, beta=getattr(module, "bias", None))
    return Piece(RMSNorm(module.eps, **_scaled(module)), arrays)


def _scaled(module: Any) -> dict[str, bool]:
    """Which parameters a normalization has. Raises ValueError if it has more than one axis."""
    if len(shape := getattr(module, "normalized_shape", (1,))) != 1:
        raise ValueError(f"dlarray normalizes one axis, got normalized_shape={tuple(shape)}")
    return {"scale": module.weight is not None, "shift": getattr(module, "bias", None) is not None}


def _prelu(module: Any, n: int) -> Piece:
    slope = _arrays(slope=module.weight)["slope"]
    return Piece(PReLU(), {"slope": np.repeat(slope, n) if slope.size == 1 else slope})


def _swish(module: Any, n: int) -> Piece:
    if isinstance(module.beta, float):
        return Piece(Swish(module.beta))
    return Piece(Swish(trainable=True), _arrays(beta=module.beta))


def _activation(row: Row) -> Callable[[Any, int], Piece]:
    """The reader of the modules of a row."""

    def read(module: Any, n: int) -> Piece:
        if "dim" in row.also and module.dim not in (1, -1):
            raise ValueError(f"dlarray's {row.ours.__name__} is over the features, dim=1, got dim={module.dim}")
        if row.ours is Softplus and module.threshold < 20:
            raise ValueError(f"dlarray's Softplus has no threshold; one below 20 changes it, got {module.threshold}")
        return Piece(row.ours(**{ours: getattr(module, theirs) for ours, theirs in row.fields.items()}))

    return read


READERS: dict[str, Callable[[Any, int], Piece]] = {
    **{row.theirs: _activation(row) for row in ACTIVATIONS},
    "BatchNorm1d": _batch_norm,
    "Dropout": lambda module, n: Piece(Dropout(module.p)),
    "Embedding": _embedding,
    "Flatten": _flatten,
    "LayerNorm": _layer_norm,
    "Linear": _linear,
    "PReLU": _prelu,
    "RMSNorm": _rms_norm,
    "ShiftedRMSNorm": _rms_norm,
    "SiLU": lambda module, n: Piece(Swish()),
    "Swish": _swish,
}
"""How a module of each class is read: its layer and its arrays, for n inputs."""
