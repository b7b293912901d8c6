"""Trained models as modules of PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlarray.activations import PReLU, Swish
from dlarray.core.layer import Layer
from dlarray.device import to_numpy
from dlarray.interop.torch_table import ACTIVATIONS, import_torch
from dlarray.layers import BatchNorm, Chain, Dense, Dropout, Embedding, LayerNorm, Residual, RMSNorm
from dlarray.training.trained import Trained

__all__ = ["to_torch"]

LEAVES = {BatchNorm, Dense, Dropout, Embedding, LayerNorm, PReLU, RMSNorm, Swish} | {row.ours for row in ACTIVATIONS}
"""The layers without layers inside that have a module."""


def to_torch(trained: Trained) -> Any:
    """The model as an ``nn.Sequential`` with a copy of the weights: its outputs are ``trained.outputs(x)``.

    For a loss with an output activation these are logits, as the losses of torch take them. Modules have the numbers of
    the layers, so "0.W" is "0.weight", transposed. An ``Embedding`` is an ``nn.Sequential`` of ``nn.Embedding`` and
    ``nn.Flatten``. ``Residual``, ``Swish`` other than SiLU and ``RMSNorm`` with a shift are small modules of dlarray,
    because torch has none for them.

    The module has the dtype of the model, and is in eval mode: call ``train()`` before you train it. It is on the
    device of θ if that is an array of torch, otherwise on the CPU.

    Raises
    ------
    ValueError
        For layers of classes outside dlarray, which it names.
    ImportError
        If PyTorch is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> import dlarray
    >>> x, y = np.eye(3), np.asarray([0, 1, 2])
    >>> trained = dlarray.fit(dlarray.mlp(3, 4, 3), x, y, batch_size=3, progress=False)
    >>> net = dlarray.to_torch(trained)
    >>> net
    Sequential(
      (0): Linear(in_features=3, out_features=4, bias=True)
      (1): ReLU()
      (2): Linear(in_features=4, out_features=3, bias=True)
    )
    >>> z = net(torch.eye(3)).numpy(force=True)
    >>> bool(np.allclose(z, trained.outputs(x), atol=1e-6))
    True
    """
    if not isinstance(trained, Trained):  # pyright: ignore[reportUnnecessaryIsInstance]
        remedy = "; its to_trained() is one" if hasattr(trained, "to_trained") else ""
        raise TypeError(f"to_torch takes a trained model, as fit returns it, got {type(trained).__name__}{remedy}")
    torch = import_torch()
    model = trained.model
    if unknown := _unknown(model.chain):
        raise ValueError(
            f"to_torch has no module for {', '.join(unknown)}: write an nn.Module for each, with the weights in "
            "trained.parameters"
        )
    arrays = {name: to_numpy(x) for name, x in (trained.parameters | model.named_buffers(trained.buffers)).items()}
    module = _module(torch, model.chain, model.inputs, arrays)
    home: Any = trained.theta[0] if trained.theta else None
    return module.to(home.device if isinstance(home, torch.Tensor) else "cpu").eval()


def _unknown(layer: Layer, number: str = "") -> list[str]:
    """The layers, with their numbers, for which there is no module."""
    if type(layer) in (Chain, Residual):
        inside = layer.layers if isinstance(layer, Chain) else ()
        return [name for i, f in enumerate(inside) for name in _unknown(f, f"{number}{i}.")]
    return [] if type(layer) in LEAVES else [f"layer {number[:-1]}, {layer}"]


def _module(torch: Any, layer: Layer, n: int, arrays: Mapping[str, np.ndarray]) -> Any:
    """The module of a layer with n inputs; its arrays are copied."""
    nn = torch.nn
    p = {name: torch.tensor(x) for name, x in arrays.items() if "." not in name}

    def filled(module: Any, **own: str) -> Any:
        """The module with these parameters, by dlarray's names for them; None where the layer has none."""
        for theirs, name in own.items():
            setattr(module, theirs, nn.Parameter(p[name]) if name in p else None)
        return module

    match layer:
        case Chain():
            parts: list[Any] = []
            for i, (f, width) in enumerate(zip(layer.layers, layer.widths(n), strict=False)):
                own = {name.partition(".")[2]: x for name, x in arrays.items() if name.partition(".")[0] == str(i)}
                parts.append(_module(torch, f, width, own))
            return (_own("Residual") if isinstance(layer, Residual) else nn.Sequential)(*parts)
        case Dense():
            linear = nn.Linear(n, layer.units, bias="b" in p, device="meta")  # draws no random numbers
            p["W"] = p["W"].T.contiguous()
            return filled(linear, weight="W") if layer.bias is False else filled(linear, weight="W", bias="b")
        case Embedding():
            return nn.Sequential(nn.Embedding.from_pretrained(p["W"], freeze=False), nn.Flatten())
        case Dropout():
            return nn.Dropout(layer.rate)
        case BatchNorm():
            norm = filled(nn.BatchNorm1d(n, layer.eps, layer.momentum), weight="gamma", bias="beta")
            norm.running_mean, norm.running_var = p["mean"], p["variance"]
            return norm
        case LayerNorm():
            return filled(nn.LayerNorm(n, layer.eps), weight="gamma", bias="beta")
        case RMSNorm():
            kind = _own("ShiftedRMSNorm") if layer.shift else nn.RMSNorm
            norm = filled(kind(n, layer.eps), weight="gamma")
            return filled(norm, bias="beta") if layer.shift else norm
        case PReLU():
            return filled(nn.PReLU(n), weight="slope")
        case Swish():
            if "beta" in p:
                return _own("Swish")(nn.Parameter(p["beta"]))
            return nn.SiLU() if layer.beta == 1 else _own("Swish")(layer.beta)
        case _:
            row = next(row for row in ACTIVATIONS if row.ours is type(layer))
            options = {theirs: getattr(layer, ours) for ours, theirs in row.fields.items()}
            return getattr(nn, row.theirs)(**options, **row.also)


def _own(name: str) -> Any:
    """A module of dlarray, by name."""
    from dlarray.interop import torch_layers

    return getattr(torch_layers, name)
