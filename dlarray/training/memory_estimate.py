"""What a training step takes of a device's memory: counted before anything is trained, and without taking any.

    θ, its gradient, the optimizer's state, the buffers of the step, the last good weights, the batch and the next

Where the backend plans steps, the buffers are those of the plan. Elsewhere they are an upper bound, what there is at
once while the step is run plainly, one operation after the other: what forward keeps for backward, what backward makes
on its way, and then what the optimizer does. A compiler of the library's own needs less.
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

__all__ = ["MemoryEstimate", "memory_estimate"]

_FEW = 64
"""The length of a θ that is as good as any to learn what an optimizer remembers of each number."""

_CHECK_COPIES = 6
"""Of state and batch, where a plan's first step is held against the plain one and against the noise of rounding."""


@dataclass(frozen=True)
class MemoryEstimate:
    """The bytes of a training step, by what they are for. ``print`` shows them beside what the device has.

    ``theta`` holds the buffers of layers too. ``good`` is a copy of it: the weights that ``fit`` hands out where a
    later epoch goes wrong. ``following`` is what there is between two steps: the next batch or, beside the buffers that
    a plan keeps, the next good weights. ``step`` is what the step needs besides all others, of its plan where it is
    ``planned``, else at most. ``checked`` is what the first step may take on top: a plan is then run beside the plain
    step, and the two are compared. ``memory`` is what the device has free and in all, or None.
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
        """The peak of every step but the first: the sum of all."""
        return self.theta + self.gradient + self.optimizer + self.step + self.last_good + self.batch + self.next_batch

    @property
    def fits(self) -> bool:
        """Whether the device has as much free, the first step's check included; True where nobody knows."""
        return self.memory is None or self.total + self.first_step_check <= self.memory[0]

    def __str__(self) -> str:
        rows = {
            "θ": self.theta,
            "gradient": self.gradient,
            "optimizer's state": self.optimizer,
            "buffers of the step, " + ("of its plan" if self.planned else "at most"): self.step,
            "last good weights": self.last_good,
            f"batch of {self.batch_size}": self.batch,
            "the next batch, or weights": self.next_batch,
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
    """The bytes that a training step of this model takes. Nothing is trained, and no memory is taken.

    The arguments mean what they mean in ``fit``; the loss is by default the mean squared error. The examples themselves
    come on top, where they lie on the device, and so does what is measured after an epoch. Raises ValueError for a
    batch size or a number of parts below 1, for an unknown dtype, optimizer or loss, and for parts beside a loss that
    is no sum over examples; DeviceError.

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
    step = Step(model, loss, make(Optimizer, optimizer), accumulate)
    state, batch = _arguments(step, batch_size, dtype, not device.backend.writes_in_place)
    theta, buffers, remembered = _bytes(state["theta"]), _bytes(state["buffers"]), _bytes(state["optimizer"])
    plan = _plan(step, device, state, batch)
    plain = _eager_bytes(step, state, batch, theta) if plan is None else plan.eager_bytes
    moving = theta + buffers + remembered + _bytes(batch)
    return MemoryEstimate(
        device=device,
        batch_size=batch_size,
        theta=theta + buffers,
        gradient=theta,
        optimizer=remembered,
        step=max((plain if plan is None else plan.buffer_bytes) - theta, 0),
        last_good=theta + buffers,
        batch=_bytes(batch),
        next_batch=_bytes(batch) if plan is None else max(_bytes(batch), theta + buffers),
        planned=plan is not None,
        first_step_check=0 if plan is None else plain + _CHECK_COPIES * moving,
        memory=device.backend.memory(device.handle),
    )


def _arguments(step: Step, n: int, dtype: str, apart: bool) -> tuple[TrainState, Batch]:
    """A state and a batch of n examples with shapes and no numbers; ``apart``: θ is a vector for each parameter."""
    model = step.model
    layout, kept = (one.split_up() if apart else one for one in (model.layout, model.buffer_layout))
    short = tuple(np.ones(_FEW, dtype) for _ in layout.lengths)
    state = TrainState(
        theta=tuple(_blank((length,), dtype) for length in layout.lengths),
        optimizer=tuple(map(_like, step.optimizer.init_all(short, short), layout.lengths)),
        buffers=tuple(_blank((length,), dtype) for length in kept.lengths),
        steps=_blank((), "int32"),
        key=_blank((2,), "int32"),
    )
    x = _blank((n, model.inputs), "int32" if model.layers[0].integers else dtype)
    t = _blank((n,), "int32") if step.loss.targets_are_labels else _blank((n, model.outputs), dtype)
    return state, (x, t, None)


def _plan(step: Step, device: Device, state: Any, batch: Any) -> Description | None:
    """The plan that the device's backend makes of the step; None where it makes none."""
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
    """The most that the step takes at once where it is run plainly, its gradient included."""
    try:
        return backends.get("numpy").describe(step, state, batch, Names()).eager_bytes
    except ValueError:  # a layer that looks at numbers: a guess, of all outputs and what each was made of
        outputs = sum(step.model.chain.widths(step.model.inputs)[1:])
        return 2 * theta + 2 * batch[0].shape[0] * outputs * batch[1].dtype.itemsize


def _like(state: State, length: int) -> State:
    """An optimizer's state for a θ of this length, from that for a short one."""
    return {name: _blank((length,) if x.ndim else (), x.dtype.name) for name, x in state.items()}


def _blank(shape: Shape, dtype: str) -> Array:
    """An array of this shape in the memory of one number: whoever asks for shapes and types alone may have it."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def _bytes(tree: Any) -> int:
    return sum(x.size * x.dtype.itemsize for x in leaves(tree) if is_array(x))
