"""The arguments of ``fit``: each is checked here and converted for the loop."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, cast

import numpy as np

from dlarray.core.array import Array
from dlarray.core.check import at_least_one, count, positive
from dlarray.core.layout import Layout, Theta
from dlarray.core.registry import make
from dlarray.device import Device, to_numpy
from dlarray.losses import Loss
from dlarray.model import MLP, on_device
from dlarray.optimizers import Clipped, Optimizer, clip_by_global_norm, clip_by_value
from dlarray.training.batch_source import IterableSource
from dlarray.training.binding import settling
from dlarray.training.callback import Callback
from dlarray.training.class_weight import apply_class_weight
from dlarray.training.data import Examples
from dlarray.training.data_names import DataNames
from dlarray.training.loop import all_finite
from dlarray.training.shared_step import SharedStep
from dlarray.training.step import Step
from dlarray.training.time_limit import TimeLimit

__all__ = [
    "Compiler",
    "PrepareBatch",
    "check_iterable",
    "check_limits",
    "choose_batch_size",
    "choose_callbacks",
    "choose_optimizer",
    "choose_repeat",
    "compile_step",
    "initial_buffers",
    "initial_theta",
    "validation_pair",
]

NO_NAMES = DataNames()
Compiler = Callable[[Step], Callable[..., Any]]
"""A function that takes a step and returns a faster one."""


def choose_callbacks(given: Sequence[str | Callback], max_time: float | None = None) -> tuple[Callback, ...]:
    """Callbacks from names and objects. Raises ValueError for an unknown name, with the closest match; TypeError."""
    if isinstance(given, (str, Callback)):
        raise TypeError(f"callbacks must be a list of names or callbacks, got {given!r}; put it between brackets")
    limit = () if max_time is None else (TimeLimit(positive("max_time", max_time)),)
    return *(make(Callback, one) for one in given), *limit


def choose_optimizer(given: str | Optimizer, clip_norm: float | None, clip_value: float | None) -> Optimizer:
    """The optimizer, with clipping if a limit is given."""
    optimizer = make(Optimizer, given)
    if clip_norm is not None and clip_value is not None:
        raise ValueError("give clip_norm or clip_value, not both; nest two Clipped optimizers for both")
    if clip_norm is not None:
        return Clipped(optimizer, clip_by_global_norm, positive("clip_norm", clip_norm))
    return optimizer if clip_value is None else Clipped(optimizer, clip_by_value, positive("clip_value", clip_value))


def compile_step(
    step: Step, device: Device, wanted: bool | Compiler | None, precision: str | None = None
) -> Callable[..., Any]:
    """The step after the chosen compiler, or the step itself; on a lazy library it ends by computing."""
    return settling(_compiled(step, device, wanted, precision), device.backend)


def _compiled(step: Step, device: Device, wanted: bool | Compiler | None, precision: str | None) -> Callable[..., Any]:
    if callable(wanted):
        return wanted(step)
    if not (wanted is None or isinstance(wanted, bool)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"compile must be True, False, None or a function of a step, got {wanted!r}")
    if wanted is None:
        able = precision not in device.backend.half_types or device.backend.compiles_half
        wanted = able and device.backend.compiles_on(device.handle)
    return device.backend.compile(step) if wanted else step


def choose_repeat(
    step: Step, compiled: Callable[..., Any], device: Device, wanted: bool | Compiler | None, steps: int | None
) -> tuple[Callable[..., Any] | None, int]:
    """The function that does several steps in one call, and how many; None and 1 if steps are done one by one."""
    by_backend = (isinstance(wanted, SharedStep) or not callable(wanted)) and compiled is not step
    if steps is None:
        steps = device.backend.steps_per_execution(device.handle) if by_backend else 1
    repeat = device.backend.repeat(compiled if by_backend else step, steps) if steps > 1 else None
    return repeat, steps if repeat else 1


def check_limits(**limits: int | None) -> None:
    """Raise ValueError or TypeError for a number that is not None and not at least 1."""
    for name, number in limits.items():
        if number is not None:
            at_least_one(name, number)


def validation_pair(validation: Any, names: DataNames) -> tuple[Array, Array]:
    """Validation examples (x, y) as arrays. Raises TypeError if they are not a pair."""
    if not isinstance(validation, tuple):
        raise TypeError(f"validation must be a fraction or examples (x, y), got a {type(validation).__name__}")
    items = cast("tuple[Any, ...]", validation)
    if len(items) != 2:
        raise TypeError(f"validation must be a fraction or examples (x, y), got {count(len(items), 'item')}")
    return names.inputs(items[0]), names.targets(items[1])


def check_iterable(
    stream: IterableSource, epochs: int, weight: Any, class_weight: Any, validation: Any, metrics: Sequence[Any] | None
) -> None:
    """Raise ValueError for options that need all examples at once."""
    if stream.only_once and stream.per_epoch is None and epochs > 1:
        raise ValueError(
            f"an iterator can be used only once, and epochs is {epochs}: give a function that makes a new one, or "
            f"epochs=1, or steps_per_epoch"
        )
    if weight is not None:
        raise ValueError("weight is for arrays: an iterable yields weights in its batches (x, y, weight)")
    if isinstance(class_weight, str):
        raise ValueError(
            "class_weight must be numbers for batches from an iterable: the classes cannot be counted in advance"
        )
    if isinstance(validation, Real):
        raise ValueError("only arrays can be split by a fraction: for batches from an iterable give validation=(x, y)")
    if metrics and validation is None:
        raise ValueError("metrics need validation examples for batches from an iterable: give validation=(x, y)")


@dataclass(frozen=True)
class PrepareBatch:
    """Check a batch from an iterable, move it to the device and apply class weights."""

    device: Device
    model: MLP
    loss: Loss
    dtype: str
    class_weight: Any

    def __call__(self, x: Any, t: Any, weight: Any) -> Examples:
        x, t, weight = NO_NAMES.arrays(x, t, weight)
        examples = Examples.on(self.device, self.model, self.loss, x, t, weight, self.dtype)
        if self.class_weight is None:
            return examples
        return apply_class_weight(examples, self.class_weight, self.loss, self.model.outputs, self.dtype)


def choose_batch_size(batch_size: int, n: int, accumulate: int, least: int) -> int:
    """The batch size, at most n. Raises ValueError if a batch or a part would hold less than ``least`` examples."""

    def smallest(size: int) -> int:
        last = n % size or size
        return last // min(accumulate, last)

    if (found := smallest(min(at_least_one("batch_size", batch_size), n))) < least:
        sizes = [*range(min(batch_size, n), n + 1), *range(batch_size, 0, -1)]
        fitting = (size for size in sizes if smallest(size) >= least)
        raise ValueError(
            f"this model needs at least {least} examples in a training batch (BatchNorm needs 2); with {n} examples, "
            f"batch_size {batch_size} and accumulate {accumulate} the smallest batch or part has {found}: "
            + next((f"use batch_size={size}" for size in fitting), "there are too few examples, or too many parts")
        )
    if batch_size > n:
        warnings.warn(f"batch_size {batch_size} is more than the {n} examples: all of them are used", stacklevel=5)
    return min(batch_size, n)


def initial_theta(model: MLP, theta: Theta | None, seed: int, device: Device, dtype: str) -> Theta:
    """A copy of the given θ in the layout and dtype of this device, or a random one."""
    if theta is None:
        return model.init(seed, device, dtype)
    return _copied("theta", model.layout, model.parameters(theta), device, dtype)


def initial_buffers(model: MLP, buffers: Theta | None, device: Device, dtype: str) -> Theta:
    """A copy of the given buffers in the layout and dtype of this device, or those of a new model."""
    if buffers is None:
        return model.init_buffers(device, dtype)
    return _copied("buffers", model.buffer_layout, model.named_buffers(buffers), device, dtype)


def _copied(name: str, layout: Layout, arrays: dict[str, Array], device: Device, dtype: str) -> Theta:
    host = {own: np.asarray(to_numpy(x), dtype=dtype) for own, x in arrays.items()}
    if not all_finite(tuple(host.values())):
        raise ValueError(f"{name} must be finite, got a number that is infinite or NaN")
    return on_device(layout, host, device)
