"""Activations by their names in ``torch.nn``, with the names of their fields there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dlarray import activations as f
from dlarray.core.layer import Activation

__all__ = ["ACTIVATIONS", "Row", "import_torch"]


@dataclass(frozen=True)
class Row:
    """An activation of dlarray and the module of torch with the same formula."""

    ours: type[Activation]
    theirs: str
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    """torch's name of each field."""
    also: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Other arguments of torch's module."""


ACTIVATIONS = (
    Row(f.CELU, "CELU", {"alpha": "alpha"}),
    Row(f.ELU, "ELU", {"alpha": "alpha"}),
    Row(f.GELU, "GELU", {"approximate": "approximate"}),
    Row(f.HardShrink, "Hardshrink", {"threshold": "lambd"}),
    Row(f.HardSigmoid, "Hardsigmoid"),
    Row(f.HardSwish, "Hardswish"),
    Row(f.HardTanh, "Hardtanh", {"low": "min_val", "high": "max_val"}),
    Row(f.Identity, "Identity"),
    Row(f.LeakyReLU, "LeakyReLU", {"slope": "negative_slope"}),
    Row(f.LogSigmoid, "LogSigmoid"),
    Row(f.LogSoftmax, "LogSoftmax", also={"dim": -1}),
    Row(f.Mish, "Mish"),
    Row(f.ReLU, "ReLU"),
    Row(f.ReLU6, "ReLU6"),
    Row(f.SELU, "SELU"),
    Row(f.Sigmoid, "Sigmoid"),
    Row(f.SoftShrink, "Softshrink", {"threshold": "lambd"}),
    Row(f.Softmax, "Softmax", also={"dim": -1}),
    Row(f.Softplus, "Softplus", {"beta": "beta"}, also={"threshold": 40.0}),  # above it exp(-β z) is no digit of β z
    Row(f.Softsign, "Softsign"),
    Row(f.Tanh, "Tanh"),
    Row(f.Threshold, "Threshold", {"threshold": "threshold", "value": "value"}),
)


def import_torch() -> Any:
    """The module torch. Raises ImportError with the remedy if it is not installed."""
    try:
        import torch
    except ImportError as error:
        raise ImportError('to_torch and from_torch need PyTorch: pip install "dlarray[torch]"') from error
    return torch
