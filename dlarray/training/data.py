"""Examples: checked, moved to a device, and split into batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray.activations import Identity
from dlarray.core.array import Array, array_namespace, is_array, is_floating, number, refuse_masked
from dlarray.core.random import Bits
from dlarray.core.registry import make
from dlarray.device import Device, device_of, resolve, to_numpy
from dlarray.device.backend import of
from dlarray.layers import Chain
from dlarray.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SparseCategoricalCrossEntropy
from dlarray.losses.terms import FromLogits
from dlarray.losses.values import refuse
from dlarray.model import MLP
from dlarray.training.conversion import check_array, inputs_on, move_finite, whole, whole_labels

__all__ = ["Examples", "check_device", "choose_loss", "counted", "targets_on", "training_device"]

MAX_GATHERED = 2**18
"""So many numbers of the inputs are gathered at once: one call for many small batches, with a megabyte of memory."""


def training_device(x: Array, device: str | Device | None) -> Device:
    """The given device, else the device of x; for host arrays the current device."""
    if device is None and not of(x).uses_numpy_arrays:
        return device_of(x)
    return resolve(device)


def check_device(x: Array, device: Device) -> None:
    """Raise TypeError or ValueError if x is on another device than the model. Host arrays are allowed."""
    if is_array(x) and not isinstance(x, np.ndarray) and (there := device_of(x)) != device:
        kind = ValueError if there.backend is device.backend else TypeError
        remedy = f"dlarray.to_device(x, {device.name!r}) moves it"
        raise kind(f"the model is on {device}, got x on {there}: {remedy}")


def choose_loss(model: MLP, loss: str | Loss | None, y: Any) -> Loss:
    """The loss, by default one for the dtype of y, checked against the last layer. Raises ValueError, TypeError."""
    refuse_masked("y", y)
    if loss is None:
        if not is_array(y) or (is_floating(y) and not (model.outputs > 1 and _are_labels(y))):
            loss = MeanSquaredError()
        else:
            loss = SparseCategoricalCrossEntropy() if model.outputs > 1 else BinaryCrossEntropy()
    loss = make(Loss, loss)
    if loss.reduction == "none":
        raise ValueError("training needs one number: the loss's reduction must be 'mean' or 'sum', got 'none'")
    last = model.layers[-1]
    while type(last) is Chain:
        last = last.layers[-1]
    if type(last) is type(loss.output_activation) is not Identity:
        name = type(loss).__name__
        other = f" (better) or use {name}(from_logits=False)" if isinstance(loss, FromLogits) else ""
        raise ValueError(
            f"{name} applies {type(last).__name__} itself, and the model's last layer applies it too: "
            f"drop the layer{other}"
        )
    return loss


@dataclass(frozen=True)
class Examples:
    """Inputs, targets and weights, checked and on one device."""

    x: Array
    t: Array
    weight: Array | None = None

    @classmethod
    def on(
        cls, device: Device, model: MLP, loss: Loss, x: Any, t: Any, weight: Any = None, dtype: str = "float32"
    ) -> Examples:
        """The examples of a model on a device, moved there once.

        Numbers are cast: inputs and targets to the model's dtype, class labels and categories to int32. Targets (n,)
        of a model with one output become (n, 1). Raises ValueError for shapes that do not match, for no rows, for
        numbers that are NaN, infinite or too large for the dtype, for labels out of range, for arrays on two devices
        and if no example counts; TypeError for objects that are not arrays, for arrays of objects and for arrays of two
        libraries.
        """
        examples = cls.part_on(device, model, loss, x, t, weight, dtype)
        xp = array_namespace(examples.x)
        if (counts := loss.counts(examples.t)) is not None and not number(xp.any(counts)):
            raise ValueError(
                f"no example counts: all {len(examples)} have the target that {type(loss).__name__} ignores"
            )
        if examples.weight is not None and not number(xp.any(examples.weight > 0)):
            raise ValueError("weight must be at least 0, and not 0 everywhere")
        return examples

    @classmethod
    def part_on(
        cls, device: Device, model: MLP, loss: Loss, x: Any, t: Any, weight: Any = None, dtype: str = "float32"
    ) -> Examples:
        """``on`` for a part of the examples, of which none need to count."""
        if t is None:
            raise ValueError("y is missing: training needs the targets of the examples in x")
        x_on = inputs_on(device, model, x, dtype)
        check_array("y", t, x)
        if tuple(t.shape[:1]) != (x.shape[0],):
            raise ValueError(f"x and y must have as many rows, got shapes {tuple(x.shape)} and {tuple(t.shape)}")
        t_on = targets_on(device, model, loss, t, dtype)
        if weight is None:
            return cls(x_on, t_on)
        check_array("weight", weight, x)
        if tuple(weight.shape) != (x.shape[0],):
            raise ValueError(
                f"weight must hold one number per example, shape ({x.shape[0]},), got {tuple(weight.shape)}"
            )
        weight_on = move_finite("weight", weight, device, dtype)
        refuse("weight", weight_on, weight_on < 0, "weights must be at least 0", "0 leaves an example out")
        return cls(x_on, t_on, weight_on)

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def take(self, index: Array) -> Examples:
        """The examples with these indices."""
        xp = array_namespace(self.x)
        weight = None if self.weight is None else xp.take(self.weight, index, axis=0)
        return Examples(xp.take(self.x, index, axis=0), xp.take(self.t, index, axis=0), weight)

    def split(self, fraction: float, seed: int, device: Device) -> tuple[Examples, Examples]:
        """A random split in two parts; the second has this fraction. Raises ValueError if one would be empty."""
        second = round((n := len(self)) * fraction)
        if not 0 < second < n:
            raise ValueError(
                f"a validation fraction of {fraction} leaves no examples in one of the two parts of {n} examples"
            )
        order = Bits(seed, "validation").permutation(n).astype(np.int32)
        parts = [self.take(device.asarray(index)) for index in (order[second:], order[:second])]
        first, last = device.backend.settle(tuple((part.x, part.t, part.weight) for part in parts))
        return Examples(*first), Examples(*last)

    def batches(self, size: int, order: Array | None, start: int = 0) -> Iterator[tuple[Array, Array, Array | None]]:
        """Batches of this size in the given order, without the first ``start``. The last can be smaller.

        The order may have a part of the examples only.
        """
        if order is None:
            yield from self._cut(size, start)
            return
        n = int(order.shape[0])
        together = size
        if of(self.x).writes_in_place:  # then slices are views, and cost next to nothing
            together *= max(1, MAX_GATHERED // max(size * math.prod(self.x.shape[1:]), 1))
        for i in range(start * size, n, together):
            yield from self.take(order[i : min(i + together, n)])._cut(size, 0)

    def _cut(self, size: int, start: int) -> Iterator[tuple[Array, Array, Array | None]]:
        """Batches in the order of the arrays."""
        x, t, weight, n = self.x, self.t, self.weight, len(self)
        if size >= n and start == 0:
            yield x, t, weight
            return
        for i in range(start * size, n, size):
            j = min(i + size, n)
            yield x[i:j, ...], t[i:j, ...], None if weight is None else weight[i:j]


def targets_on(device: Device, model: MLP, loss: Loss, t: Any, dtype: str) -> Array:
    """Targets on a device, checked and cast. Raises as ``Examples.on`` does."""
    labels = loss.targets_are_labels
    if labels:
        t = whole_labels(t)
    elif t.ndim == 1 and loss.target_columns(model.outputs) == 1:
        t = array_namespace(t).reshape(t, (-1, 1))
    loss.check_targets(t, model.outputs)
    return move_finite("y", t, device, "int32" if labels else dtype)


def counted(loss: Loss, x: Array, t: Array, weight: Array | None) -> tuple[Array, Array, Array | None]:
    """Inputs or outputs, targets and weights of the examples that count; the loss ignores others."""
    counts = loss.counts(t)
    if counts is None:
        return x, t, weight
    examples = Examples(x, t, weight).take(device_of(t).asarray(np.flatnonzero(to_numpy(counts)).astype(np.int32)))
    return examples.x, examples.t, examples.weight


def _are_labels(y: Array) -> bool:
    """Whether floats are a whole number or no value for each example: labels that were read as floats."""
    return y.ndim == 1 and bool(number(array_namespace(y).all(whole(y) | (y != y))))
