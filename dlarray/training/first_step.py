"""The first step of a run with its arguments, without running it."""

from __future__ import annotations

from dlarray.core.array import Array
from dlarray.core.check import at_least_one, one_of
from dlarray.core.registry import make
from dlarray.device import Device
from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.optimizers import Optimizer
from dlarray.training.data import Examples, choose_loss, training_device
from dlarray.training.data_names import DataNames
from dlarray.training.step import Batch, Step, TrainState

__all__ = ["first_step"]


def first_step(
    model: MLP,
    x: Array,
    y: Array,
    *,
    loss: str | Loss | None = None,
    optimizer: str | Optimizer = "adam",
    batch_size: int | None = 32,
    weight: Array | None = None,
    accumulate: int = 1,
    seed: int = 0,
    device: str | Device | None = None,
    dtype: str = "float32",
) -> tuple[Step, TrainState, Batch]:
    """The first step of ``fit`` with its state and its batch: ``step(state, batch)`` runs it.

    The arguments mean the same as in ``fit``, and the same errors are raised. The batch holds the first examples, in
    the order of the arrays.
    """
    at_least_one("accumulate", accumulate)
    one_of("dtype", dtype, ("float32", "float64"))
    x, y, weight = DataNames.of(x, y).arrays(x, y, weight)
    target = training_device(x, device)
    step = Step(model, choose_loss(model, loss, y), make(Optimizer, optimizer), accumulate)
    with target.entered():
        examples = Examples.on(target, model, step.loss, x, y, weight, dtype)
        size = min(at_least_one("batch_size", batch_size), len(examples)) if batch_size else len(examples)
        state = step.init(model.init(seed, target, dtype), model.init_buffers(target, dtype), seed, target)
        return step, state, next(examples.batches(size, None))
