"""Models refuse layers that cannot work, and training refuses models that do not fit the loss or the batches."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import dlarray as dl
from tests.support.bad_input import LABELS, NORMED, Case, X, check_refusal, fit


@dataclass(frozen=True)
class Wide(dl.Layer):
    """A layer that takes five inputs and no other number."""

    def width(self, inputs: int) -> int:
        if inputs != 5:
            raise ValueError(f"it takes 5 inputs, got {inputs}")
        return 5


LAYERS: dict[str, Case] = {
    "softmax twice": (
        lambda: fit(model=dl.MLP(4, [dl.Dense(3), "softmax"])),
        ValueError,
        r"applies Softmax itself.*drop the layer \(better\) or use SparseCategoricalCrossEntropy\(from_logits=False\)",
    ),
    "softmax twice, deeper": (
        lambda: fit(model=dl.MLP(4, [dl.Chain([dl.Dense(3), "softmax"])])),
        ValueError,
        "applies Softmax itself",
    ),
    "sigmoid twice": (
        lambda: fit(y=LABELS > 0, model=dl.MLP(4, [dl.Dense(1), "sigmoid"])),
        ValueError,
        "BinaryCrossEntropy applies Sigmoid itself",
    ),
    "batch norm of one row": (
        lambda: fit(X[:1], LABELS[:1], NORMED, batch_size=None),
        ValueError,
        "this model needs at least 2 examples.*with 1 examples.*has 1: there are too few examples",
    ),
    "batch norm, stochastic": (
        lambda: fit(model=NORMED, batch_size=1),
        ValueError,
        "with 8 examples, batch_size 1 .*the smallest batch or part has 1: use batch_size=2",
    ),
    "batch norm, a last batch of one": (
        lambda: fit(X[:7], LABELS[:7], NORMED, batch_size=3),
        ValueError,
        "with 7 examples, batch_size 3 .*the smallest batch or part has 1: use batch_size=4",
    ),
    "batch norm in parts of one": (
        lambda: fit(model=NORMED, accumulate=4),
        ValueError,
        "batch_size 4 and accumulate 4 the smallest batch or part has 1: use batch_size=8",
    ),
    "batch norm in too many parts": (lambda: fit(model=NORMED, accumulate=8), ValueError, "or too many parts"),
    "batch norm inside": (
        lambda: fit(model=dl.MLP(4, [dl.Residual([dl.Chain([dl.BatchNorm()])]), dl.Dense(3)]), batch_size=1),
        ValueError,
        "this model needs at least 2 examples",
    ),
    "widths that do not meet": (
        lambda: dl.MLP(4, [dl.Dense(6), "relu", Wide()]),
        ValueError,
        r"layer 2, Wide\(\), cannot take 6 inputs: it takes 5 inputs, got 6",
    ),
    "widths that do not meet inside": (
        lambda: dl.MLP(4, [dl.Dense(6), dl.Residual([dl.Dense(5)])]),
        ValueError,
        "layer 1, Residual.*cannot take 6 inputs: the layers inside give 5 outputs",
    ),
    "an embedding behind": (
        lambda: dl.MLP(4, [dl.Dense(2), dl.Embedding(3, 2)]),
        ValueError,
        "must be the first layer",
    ),
    "an embedding behind, deeper": (
        lambda: dl.MLP(4, [dl.Dense(2), dl.Chain([dl.Embedding(3, 2)])]),
        ValueError,
        "must be the first layer",
    ),
    "no layers": (lambda: dl.MLP(4, []), ValueError, "at least one layer"),
    "a layer without brackets": (
        lambda: dl.MLP(4, dl.Dense(3)),
        TypeError,
        r"must be a list of layers, got Dense\(.*brackets",
    ),
    "a name without brackets": (lambda: dl.MLP(4, "relu"), TypeError, "must be a list of layers, got 'relu'"),
    "a layer that is a class": (lambda: dl.MLP(4, [dl.Dense]), TypeError, "a name or an instance, got <class"),
    "an unknown activation": (
        lambda: dl.mlp(4, 3, 2, activation="rely"),
        ValueError,
        "unknown activation 'rely', did you mean 'relu'",
    ),
    "an unknown initializer": (
        lambda: dl.Dense(3, weight="he_unifrom"),
        ValueError,
        "unknown initializer 'he_unifrom', did you mean 'he_uniform'",
    ),
    "more weights than memory": (lambda: fit(model=dl.mlp(4, 10**15, 3)), MemoryError, r"allocate .* (T|P|E)iB|memory"),
    "zero units": (lambda: dl.mlp(4, 0, 2), ValueError, "units must be at least 1, got 0"),
    "units that are no number": (lambda: dl.mlp(4, "3"), TypeError, "units must be a whole number, got '3'"),
    "a dropout rate of 1": (lambda: dl.mlp(4, 3, 2, dropout=1.0), ValueError, r"rate must lie in \[0, 1\), got 1\.0"),
    "a learning rate of 0": (lambda: dl.Adam(0.0), ValueError, r"learning_rate must be above 0, got 0\.0"),
    "a learning rate of nan": (lambda: dl.Adam(float("nan")), ValueError, "learning_rate must be finite, got nan"),
    "beta of 1": (lambda: dl.Adam(beta1=1.0), ValueError, r"beta1 must lie in \[0, 1\), got 1\.0"),
    "momentum of 1": (lambda: dl.Momentum(momentum=1.0), ValueError, r"momentum must lie in \[0, 1\)"),
    "eps of 0": (lambda: dl.RMSprop(eps=0), ValueError, "eps must be above 0, got 0"),
    "delta of 0": (lambda: dl.Huber(0), ValueError, "delta must be above 0, got 0"),
}


@pytest.mark.parametrize("what", LAYERS)
def test_training_refuses(what: str) -> None:
    check_refusal(LAYERS[what])
