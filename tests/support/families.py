"""A small training step for every activation, layer, loss, optimizer, schedule and kind of clipping.

New classes are found as subclasses, so nothing is added here for them. ``start`` and ``batches`` make the state and the
batches of such a step on a device, for the tests of transfers and for the short run for memory checkers.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import numpy as np

import dlarray as dl
from dlarray.activations import Activation
from dlarray.core.layer import Layer
from dlarray.device import Device
from dlarray.losses import Loss
from dlarray.losses.terms import FromLogits
from dlarray.optimizers import Optimizer
from dlarray.schedules import Schedule
from dlarray.testing.loss_cases import LOSSES, K, N, targets
from dlarray.testing.own import own
from dlarray.training import Step
from dlarray.training.mixed_precision import mixed_precision

__all__ = ["WHOLE", "batches", "halves", "start", "steps"]

INPUTS = 6
CATEGORIES = 5
PLAIN = dl.MLP(INPUTS, [dl.Dense(5), "tanh", dl.Dense(K)])
WHOLE = Step(PLAIN, dl.MeanSquaredError(), dl.Adam())
LAYERS: dict[str, list[Layer | str]] = {
    "Dropout": [dl.Dense(5), dl.Dropout(0.3), dl.Dense(K)],
    "BatchNorm": [dl.Dense(5), dl.BatchNorm(), "tanh", dl.Dense(K)],
    "LayerNorm": [dl.Dense(5), dl.LayerNorm(), dl.Dense(K)],
    "RMSNorm": [dl.Dense(5), dl.RMSNorm(), dl.Dense(K)],
    "Residual": [dl.Dense(5), dl.Residual([dl.Dense(5), "tanh"]), dl.Dense(K)],
    "Embedding": [dl.Embedding(CATEGORIES, 3), dl.Dense(K)],
    "Swish, its beta trained": [dl.Dense(5), dl.Swish(trainable=True), dl.Dense(K)],
    "GELU by tanh": [dl.Dense(5), dl.GELU("tanh"), dl.Dense(K)],
}
NUMBERS = {
    "rate": 0.1,
    "peak": 0.2,
    "steps": 8,
    "every": 2,
    "factor": 0.5,
    "decay": 0.5,
    "then": dl.ConstantRate(0.1),
    "at": (2, 4),
    "up": 3,
}
"""For the fields of a schedule that have no default."""


def steps() -> dict[str, Step]:
    """The steps by name; the first word of a name says what is tested."""
    loss, plain = dl.MeanSquaredError(), dl.GradientDescent(0.1)
    found = {
        f"activation {name}": Step(dl.MLP(INPUTS, [dl.Dense(5), cls(), dl.Dense(K)]), loss, plain)
        for name, cls in own(Activation).items()
    }
    found |= {f"layer {name}": Step(dl.MLP(INPUTS, layers), loss, plain) for name, layers in LAYERS.items()}
    small = dl.GradientDescent(0.1 / (N * K))
    found |= {
        f"loss {each}": Step(_for(each), each, small if getattr(each, "reduction", "") == "sum" else plain)
        for each in LOSSES
        if _is_number(each)
    }
    optimizers = {name: cls() for name, cls in own(Optimizer).items()}
    optimizers |= {
        "clipped by global norm": dl.Clipped(dl.Adam(), dl.clip_by_global_norm, 0.1),
        "clipped by norm": dl.Clipped(dl.Adam(), _by_norm, 0.1),
        "clipped by value": dl.Clipped(dl.Momentum(), dl.clip_by_value, 0.01),
        "with decay": dl.RMSprop(momentum=0.5, centered=True, weight_decay=0.1),
        "of 16 bits": dl.BFloat16State(dl.AdamW()),
    }
    found |= {f"optimizer {name}": Step(PLAIN, loss, optimizer) for name, optimizer in optimizers.items()}
    found |= {
        f"schedule {name}": Step(PLAIN, loss, dl.GradientDescent(_made(cls))) for name, cls in own(Schedule).items()
    }
    found["accumulate in 3 parts"] = Step(dl.MLP(INPUTS, LAYERS["Dropout"]), loss, dl.Adam(), accumulate=3)
    return found


def halves(device: Device) -> dict[str, Step]:
    """The step WHOLE with matrix products in each 16-bit dtype of the device's library."""
    return {f"precision {each}": mixed_precision(WHOLE, each, device, "float32") for each in device.backend.half_types}


def start(step: Step, device: Device, dtype: str) -> Any:
    """The state before the first step; with float16 the loss is scaled so that no step overflows."""
    state = step.init(step.model.init(0, device, dtype), step.model.init_buffers(device, dtype), 0, device)
    if "scaling" in state:
        state["scaling"]["scale"] = device.asarray(np.asarray(64.0, np.float32))
    return state


def batches(step: Step, device: Device, dtype: str, count: int = 1) -> list[tuple[Any, Any, Any]]:
    """``count`` batches for a step, always the same."""
    draw = np.random.default_rng(3)
    found: list[tuple[Any, Any, Any]] = []
    for _ in range(count):
        x = draw.normal(size=(N, INPUTS)).astype(dtype)
        if isinstance(step.model.layers[0], dl.Embedding):
            x = draw.integers(0, CATEGORIES, (N, INPUTS)).astype(np.int32)
        t = targets(step.loss, draw)
        t = t.astype(np.int32 if t.dtype.kind == "i" and t.ndim == 1 else dtype)
        weight = draw.uniform(0.1, 2.0, N).astype(dtype)
        found.append((device.asarray(x), device.asarray(t), device.asarray(weight) if _weighs(step.loss) else None))
    return found


def _by_norm(gs: Any, limit: float) -> Any:
    return dl.clip_by_norm(gs, limit, PLAIN.layout_of(gs))


def _weighs(loss: Loss) -> bool:
    return not isinstance(loss, dl.MeanSquaredError)


def _is_number(loss: Loss) -> bool:
    return getattr(loss, "reduction", "mean") != "none"


def _for(loss: Loss) -> dl.MLP:
    """A network whose outputs are what the loss reads."""
    probabilities = isinstance(loss, FromLogits) and not loss.from_logits
    return dl.MLP(INPUTS, [dl.Dense(K), *([loss.activation()] if probabilities else [])])


def _made(cls: type[Schedule]) -> Schedule:
    needed = [f.name for f in fields(cls) if f.default is MISSING]  # type: ignore[arg-type]
    return cls(**{name: NUMBERS[name] for name in needed})
