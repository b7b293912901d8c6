"""Activations and losses by their names in Keras 3."""

from __future__ import annotations

from dlarray import activations as f
from dlarray.core.layer import Activation
from dlarray.losses import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    LogCosh,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossEntropy,
)

__all__ = ["ACTIVATIONS", "LOSSES", "LOSSES_OF_LOGITS"]

ACTIVATIONS: dict[str, Activation] = {
    "celu": f.CELU(),
    "elu": f.ELU(),
    "gelu": f.GELU(),
    "hard_shrink": f.HardShrink(),
    "hard_sigmoid": f.HardSigmoid(),
    "hard_silu": f.HardSwish(),
    "hard_tanh": f.HardTanh(),
    "leaky_relu": f.LeakyReLU(0.2),
    "linear": f.Identity(),
    "log_sigmoid": f.LogSigmoid(),
    "log_softmax": f.LogSoftmax(),
    "mish": f.Mish(),
    "relu": f.ReLU(),
    "relu6": f.ReLU6(),
    "selu": f.SELU(),
    "sigmoid": f.Sigmoid(),
    "silu": f.Swish(),
    "soft_shrink": f.SoftShrink(),
    "softmax": f.Softmax(),
    "softplus": f.Softplus(),
    "softsign": f.Softsign(),
    "tanh": f.Tanh(),
}
"""The functions of ``keras.activations`` with their defaults."""
LOSSES: dict[str, Loss] = {
    "logcosh": LogCosh(),
    "meanabsoluteerror": MeanAbsoluteError(),
    "mae": MeanAbsoluteError(),
    "meansquarederror": MeanSquaredError(),
    "mse": MeanSquaredError(),
}
"""Losses without options of a compiled model."""
LOSSES_OF_LOGITS: dict[str, Loss] = {
    "BinaryCrossentropy": BinaryCrossEntropy(),
    "CategoricalCrossentropy": CategoricalCrossEntropy(),
    "SparseCategoricalCrossentropy": SparseCategoricalCrossEntropy(),
}
"""Losses of a compiled model that are given ``from_logits=True``."""
