"""Examples: checked, moved to a device, and split into batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray.activations import Identity
from dlarray.core.array import (
    Array,
    array_namespace,
    is_array,
    is_floating,
    is_integer,
    largest_column,
    refuse_masked,
    root_module,
)
from dlarray.core.random import Bits
from dlarray.core.registry import make
from dlarray.device import Device, device_of, resolve, to_device
from dlarray.device.backend import of
from dlarray.layers import Chain
from dlarray.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SparseCategoricalCrossEntropy
from dlarray.losses.terms import FromLogits
from dlarray.model import MLP

__all__ = ["Examples", "as_finite", "check_device", "choose_loss", "inputs_on", "is_ready", "training_device"]

MAX_GATHERED = 2**18
"""So many numbers of the inputs are gathered at once: one call for many small batches, with a megabyte of memory."""
_HOST_TYPES = {name: np.dtype(name) for name in ("float32", "float64")}
"""NumPy's dtypes, which are singletons."""


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
        if not is_array(y) or is_floating(y):
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
        numbers that are NaN, infinite or too large for the dtype, for labels out of range and for arrays on two
        devices; TypeError for objects that are not arrays, for arrays of objects and for arrays of two libraries.
        """
        if t is None:
            raise ValueError("y is missing: training needs the targets of the examples in x")
        x_on = inputs_on(device, model, x, dtype)
        _check_array("y", t, x)
        if tuple(t.shape[:1]) != (x.shape[0],):
            raise ValueError(f"x and y must have as many rows, got shapes {tuple(x.shape)} and {tuple(t.shape)}")
        labels = loss.targets_are_labels
        if t.ndim == 1 and model.outputs == 1 and not labels:
            t = array_namespace(t).reshape(t, (-1, 1))
        loss.check_targets(t, model.outputs)
        t_on = _move_finite("y", t, device, "int32" if labels else dtype)
        if weight is None:
            return cls(x_on, t_on)
        _check_array("weight", weight, x)
        if tuple(weight.shape) != (x.shape[0],):
            raise ValueError(
                f"weight must hold one number per example, shape ({x.shape[0]},), got {tuple(weight.shape)}"
            )
        weight_on = _move_finite("weight", weight, device, dtype)
        xp = array_namespace(weight_on)
        if bool(xp.any(weight_on < 0)) or not bool(xp.any(weight_on > 0)):
            raise ValueError("weight must be at least 0, and not 0 everywhere")
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
        n = len(self)
        second = round(n * fraction)
        if not 0 < second < n:
            raise ValueError(
                f"a validation fraction of {fraction} leaves no examples in one of the two parts of {n} examples"
            )
        order = Bits(seed, "validation").permutation(n).astype(np.int32)
        return self.take(device.asarray(order[second:])), self.take(device.asarray(order[:second]))

    def batches(self, size: int, order: Array | None, start: int = 0) -> Iterator[tuple[Array, Array, Array | None]]:
        """Batches of this size in the given order, without the first ``start``. The last can be smaller."""
        n = len(self)
        if order is None:
            yield from self._cut(size, start)
            return
        together = size
        if of(self.x).writes_in_place:  # then slices are views, and cost next to nothing
            together *= max(1, MAX_GATHERED * n // max(size * math.prod(self.x.shape), 1))
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


def inputs_on(device: Device, model: MLP, x: Any, dtype: str) -> Array:
    """Inputs on a device, checked and cast. Raises as ``Examples.on`` does."""
    if is_ready(device, model, x) and (ready := as_finite(x, dtype)) is not None:
        return ready
    _check_array("x", x)
    xp = array_namespace(x)
    shape = tuple(x.shape)
    if len(shape) == 2 and 0 in shape:
        raise ValueError(f"x has no {'examples' if shape[0] == 0 else 'features'}: its shape is {shape}")
    model.check_shape(shape)
    if model.layers[0].integers:
        first: Any = model.layers[0]
        while isinstance(first, Chain):
            first = first.layers[0]
        if not is_integer(x):
            raise ValueError(f"{first} takes the numbers of categories, integers, got x of type {x.dtype}")
        if bool(xp.any((x < 0) | (x >= first.categories))):
            raise ValueError(f"x holds categories outside [0, {first.categories})")
        return _move_finite("x", x, device, "int32")
    return _move_finite("x", x, device, dtype)


def is_ready(device: Device, model: MLP, x: Any) -> bool:
    """Whether x is a host array of real numbers with the right shape for a model on the host."""
    if type(x) is not np.ndarray or x.ndim != 2 or x.dtype.kind not in "fiub" or x.shape[0] == 0:
        return False
    return x.shape[1] == model.inputs and not model.layers[0].integers and device.backend.uses_numpy_arrays


def as_finite(x: np.ndarray, dtype: str) -> np.ndarray | None:
    """x in this dtype (x itself if it has it) if the sum of its squares is finite; else None: x needs a full check.

    The sum takes half a microsecond, a third of the time to check every number. Of NumPy's sums, vdot is the one
    without overflow warnings.
    """
    if x.dtype is not _HOST_TYPES.get(dtype):
        with np.errstate(over="ignore"):  # numbers that are too large become infinite, and the check finds them
            x = x.astype(dtype)
    return x if math.isfinite(np.vdot(x, x)) else None


def _check_array(name: str, x: Any, other: Array | None = None) -> None:
    """Raise TypeError or ValueError if x is not an array of numbers, or not on the device of another array."""
    if not is_array(x):
        raise TypeError(f"{name} must be an array, got {type(x).__name__}; numpy.asarray makes one from nested lists")
    refuse_masked(name, x)
    if root_module(x) == "numpy" and x.dtype.kind not in "fiub":
        kind = TypeError if x.dtype.kind == "O" else ValueError
        raise kind(f"{name} must hold real numbers, got dtype {x.dtype}")
    if array_namespace(x).isdtype(x.dtype, "complex floating"):
        raise ValueError(f"{name} must hold real numbers, got dtype {x.dtype}")
    if other is not None and of(x) is not of(other):
        given = f"{of(other).name} and {of(x).name}"
        raise TypeError(f"x and {name} must be of one library, got {given}; dlarray.to_device moves arrays")
    if other is not None and device_of(x) != device_of(other):
        given = f"{device_of(other)} and {device_of(x)}"
        raise ValueError(f"x and {name} must be on one device, got {given}; dlarray.to_device moves arrays")


def _move_finite(name: str, x: Array, device: Device, dtype: str) -> Array:
    """x on the device in this dtype. Raises ValueError with the first number that is not finite in it."""
    moved = _cast(x, device, dtype)
    xp = array_namespace(moved)
    if is_floating(moved) and not bool(xp.all(xp.isfinite(moved))):
        bad = xp.astype(xp.reshape(~xp.isfinite(moved), (x.shape[0], -1)), xp.int32)
        row = int(largest_column(xp.reshape(xp.max(bad, axis=1), (1, -1)))[0])
        column = int(largest_column(bad[row : row + 1, :])[0])
        value = float(x[row, column] if x.ndim == 2 else x[row])
        place = f"row {row}, column {column}" if x.ndim == 2 else f"row {row}"
        if math.isfinite(value):
            raise ValueError(f'{name} must fit into {dtype}, got {value} in {place}; scale it, or give dtype="float64"')
        raise ValueError(f"{name} must be finite, got {value} in {place}; drop or fill these examples")
    return moved


def _cast(x: Array, device: Device, dtype: str) -> Array:
    """Cast host arrays before they are moved, and arrays of a device after it."""
    if isinstance(x, np.ndarray):
        with np.errstate(over="ignore"):  # numbers that are too large become infinite, and the check finds them
            return np.asarray(x, dtype) if device.backend.uses_numpy_arrays else device.asarray(x, dtype)
    x = to_device(x, device)
    xp = array_namespace(x)
    return xp.astype(x, getattr(xp, dtype), copy=False)
