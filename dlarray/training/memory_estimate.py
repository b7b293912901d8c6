"""The memory that a training step needs on a device, computed before training and without allocating it.

    θ, its gradient, the optimizer's state, the buffers of the step, the last good weights, the batch and the next

If the backend plans steps, the buffers are those of the plan. Otherwise they are an upper bound: the most memory that
an eager step uses at a time, for the values that forward stores, for backward and for the optimizer. The library's own
compiler needs less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray.core.array import Array, is_array
from dlarray.core.check import at_least_one, one_of
from dlarray.core.layer import Shape
from dlarray.core.registry import make
from dlarray.core.trees import leaves, map_arrays
from dlarray.device import Device, resolve
from dlarray.device import backend as backends
from dlarray.device.backend import Backend
from dlarray.device.description import Description, Names, bytes_text
from dlarray.losses import Loss, MeanSquaredError
from dlarray.model import MLP
from dlarray.optimizers import Optimizer
from dlarray.optimizers.base import State
from dlarray.training.step import Batch, Step, TrainState

__all__ = ["MemoryEstimate", "memory_estimate", "step_memory"]

_FEW = 64
"""The length of a short θ, from which the optimizer's state for each number is derived."""

_CHECK_COPIES = 6
"""Copies of state and batch when the first planned step is compared with the eager one and with rounding noise."""

_PLANNING = 2**21
"""Bytes at most for a step's graph and plan, and for the text of its code while it is compiled."""


@dataclass(frozen=True)
class MemoryEstimate:
    """The bytes of a training step by purpose. ``print`` shows them together with the memory of the device.

    ``theta`` includes the buffers of layers. ``last_good`` is a copy of it: the weights that ``fit`` returns if a later
    epoch fails. ``next_batch`` is needed between two steps: for the next batch or, in addition to the buffers that a
    plan keeps, for the next good weights; for both if several steps are one call, which has memory for its batches.
    ``step`` is everything else that a step needs: exact if it is ``planned``, else an upper bound. ``first_step_check``
    is the additional need of the first step, when the plan is compared with the eager step. ``memory`` is the free and
    the total memory of the device, or None if unknown.
    """

    device: Device
    batch_size: int
    theta: int
    gradient: int
    optimizer: int
    step: int
    last_good: int
    batch: int
    next_batch: int
    planned: bool
    first_step_check: int
    memory: tuple[int, int] | None

    @property
    def total(self) -> int:
        """The peak memory of every step except the first: the sum of all."""
        return self.theta + self.gradient + self.optimizer + self.step + self.last_good + self.batch + self.next_batch

    @property
    def fits(self) -> bool:
        """Whether the free memory is enough, including the check of the first step; True if it is unknown."""
        return self.memory is None or self.total + self.first_step_check <= self.memory[0]

    def __str__(self) -> str:
        rows = {
            "θ": self.theta,
            "gradient": self.gradient,
            "optimizer's state": self.optimizer,
            "buffers of the step, " + ("of its plan" if self.planned else "at most"): self.step,
            "last good weights": self.last_good,
            f"batch of {self.batch_size}": self.batch,
            "the next batch, weights": self.next_batch,
            "together": self.total,
        }
        if self.first_step_check:
            rows["at most in the first step, which is checked"] = self.total + self.first_step_check
        if self.memory is not None:
            rows[f"free on {self.device}, of {bytes_text(self.memory[1])}"] = self.memory[0]
        shown = {name: bytes_text(n) for name, n in rows.items()}
        left, right = (max(map(len, column)) for column in (shown, shown.values()))
        lines = [
            f"memory of a training step on {self.device}",
            *(f"{k:<{left}}  {v:>{right}}" for k, v in shown.items()),
        ]
        if not self.fits:
            lines.append(
                "It does not fit: a smaller batch_size, a batch in parts (accumulate=), BFloat16State(optimizer) or a "
                "smaller network takes less"
            )
        return "\n".join(lines)


def memory_estimate(
    model: MLP,
    device: str | Device | None = None,
    *,
    batch_size: int = 32,
    optimizer: str | Optimizer = "adam",
    loss: str | Loss | None = None,
    dtype: str = "float32",
    accumulate: int = 1,
) -> MemoryEstimate:
    """The bytes that a training step of this model needs. Nothing is trained, and no memory is allocated.

    The arguments mean the same as in ``fit``; the default loss is the mean squared error. Not included are the
    examples, if they are stored on the device, and the metrics after an epoch. Raises ValueError for batch_size or
    accumulate below 1, for an unknown dtype, optimizer or loss, and for accumulate above 1 with a loss that is not a
    sum over examples; DeviceError.

    Examples
    --------
    >>> import dlarray
    >>> estimate = dlarray.memory_estimate(dlarray.mlp(784, 1024, 10), "cpu", batch_size=4096)
    >>> for line in str(estimate).splitlines()[:4]:
    ...     print(line)
    memory of a training step on cpu
    θ                                            3.257 MB
    gradient                                     3.257 MB
    optimizer's state                            6.513 MB
    """
    device = resolve(device)
    at_least_one("batch_size", batch_size)
    at_least_one("accumulate", accumulate)
    one_of("dtype", dtype, ("float32", "float64"))
    loss = MeanSquaredError() if loss is None else make(Loss, loss)
    return step_memory(Step(model, loss, make(Optimizer, optimizer), accumulate), device, batch_size, dtype)


def step_memory(step: Step, device: Device, batch_size: int, dtype: str) -> MemoryEstimate:
    """``memory_estimate`` for a step: the bytes that it needs on the device."""
    state, batch = _arguments(step, batch_size, dtype, not device.backend.writes_in_place)
    theta, buffers, optimizer_state = _bytes(state["theta"]), _bytes(state["buffers"]), _bytes(state["optimizer"])
    plan = _plan(step, device, state, batch)
    eager = _eager_bytes(step, state, batch, theta) if plan is None else plan.eager_bytes
    moving = theta + buffers + optimizer_state + _bytes(batch)
    return MemoryEstimate(
        device=device,
        batch_size=batch_size,
        theta=theta + buffers,
        gradient=theta,
        optimizer=optimizer_state,
        step=max((eager if plan is None else plan.buffer_bytes) - theta, 0),
        last_good=theta + buffers,
        batch=_bytes(batch),
        next_batch=_bytes(batch) if plan is None else _between_steps(device, _bytes(batch), theta + buffers),
        planned=plan is not None,
        first_step_check=0 if plan is None else eager + _CHECK_COPIES * moving + _PLANNING,
        memory=device.backend.memory(device.handle),
    )


def _between_steps(device: Device, batch: int, weights: int) -> int:
    """``MemoryEstimate.next_batch`` of a plan."""
    keeps_batches = device.backend.steps_per_execution(device.handle) > 1
    return batch + weights if keeps_batches else max(batch, weights)


def _arguments(step: Step, n: int, dtype: str, split: bool) -> tuple[TrainState, Batch]:
    """A state and a batch of n examples, only shapes and dtypes; ``split``: θ is a vector for each parameter."""
    model = step.model
    layout, buffer_layout = (one.split_up() if split else one for one in (model.layout, model.buffer_layout))
    short = tuple(np.ones(_FEW, dtype) for _ in layout.lengths)
    state = step.init((), (), 0, resolve("cpu"))
    state["theta"] = tuple(_blank((length,), dtype) for length in layout.lengths)
    state["optimizer"] = tuple(map(_like, step.optimizer.init_all(short, short), layout.lengths))
    state["buffers"] = tuple(_blank((length,), dtype) for length in buffer_layout.lengths)
    x = _blank((n, model.inputs), "int32" if model.layers[0].integers else dtype)
    t = _blank((n,), "int32") if step.loss.targets_are_labels else _blank((n, model.outputs), dtype)
    return state, (x, t, None)


def _plan(step: Step, device: Device, state: Any, batch: Any) -> Description | None:
    """The backend's plan of the step; None if it makes none."""
    if not device.backend.compiles_on(device.handle) or type(device.backend).describe is Backend.describe:
        return None
    xp = device.backend.namespace()

    def there(x: Array) -> Array:
        return xp.broadcast_to(device.asarray(np.zeros((), x.dtype)), x.shape)

    try:
        return device.backend.describe(step, map_arrays(state, there), map_arrays(batch, there), Names())
    except ValueError:  # the step cannot be planned
        return None


def _eager_bytes(step: Step, state: Any, batch: Any, theta: int) -> int:
    """The most bytes that the eager step uses at a time, including the gradient."""
    try:
        return backends.get("numpy").describe(step, state, batch, Names()).eager_bytes
    except ValueError:  # a layer reads numbers: guess twice all outputs
        outputs = sum(step.model.chain.widths(step.model.inputs)[1:])
        return 2 * theta + 2 * batch[0].shape[0] * outputs * batch[1].dtype.itemsize


def _like(state: State, length: int) -> State:
    """An optimizer's state for a θ of this length, from the state for a short one."""
    return {name: _blank((length,) if x.ndim else (), x.dtype.name) for name, x in state.items()}


def _blank(shape: Shape, dtype: str) -> Array:
    """An array of this shape in the memory of one number, for code that reads only shape and dtype."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def _bytes(tree: Any) -> int:
    return sum(x.size * x.dtype.itemsize for x in leaves(tree) if is_array(x))
