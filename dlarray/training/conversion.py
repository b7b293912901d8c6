"""Arrays of examples: checked, cast and moved to a device."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dlarray.core.array import (
    Array,
    array_namespace,
    is_array,
    is_floating,
    is_integer,
    largest_column,
    number,
    refuse_masked,
    root_module,
)
from dlarray.core.errors import RowError
from dlarray.device import Device, device_of, to_device
from dlarray.device.backend import of
from dlarray.layers import Chain
from dlarray.losses.values import refuse
from dlarray.model import MLP

__all__ = [
    "as_finite",
    "check_array",
    "check_is_array",
    "inputs_on",
    "is_ready",
    "move_finite",
    "whole",
    "whole_labels",
]

_HOST_TYPES = {name: np.dtype(name) for name in ("float32", "float64")}
"""NumPy's dtypes, which are singletons."""


def whole(y: Array) -> Array:
    """Where a number is a whole one of 32 bits."""
    xp = array_namespace(y)
    return (xp.abs(y) < 2.0**31) & (y == xp.floor(y))


def whole_labels(t: Array) -> Array:
    """Labels that are booleans or whole floats as integers. Raises ValueError for the first float that is not whole."""
    xp = array_namespace(t)
    if is_floating(t) and t.ndim == 1:
        refuse("y", t, t != t, "each example needs a label", "drop these examples")
        refuse("y", t, ~whole(t), "class labels must be whole numbers", "for numbers give loss='mean_squared_error'")
        return xp.astype(t, xp.int32)
    return xp.astype(t, xp.int32) if t.ndim == 1 and xp.isdtype(t.dtype, "bool") else t


def inputs_on(device: Device, model: MLP, x: Any, dtype: str) -> Array:
    """Inputs on a device, checked and cast. Raises as ``Examples.on`` does."""
    if is_ready(device, model, x) and (ready := as_finite(x, dtype)) is not None:
        return ready
    check_array("x", x)
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
        if number(xp.any((x < 0) | (x >= first.categories))):
            raise ValueError(f"x holds categories outside [0, {first.categories})")
        return move_finite("x", x, device, "int32")
    return move_finite("x", x, device, dtype)


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


def check_is_array(name: str, x: Any) -> None:
    """Raise TypeError if x is no array, with the way to one."""
    if not is_array(x):
        methods = [method for method in ("collect", "to_pandas") if hasattr(x, method)]  # of lazy frames and tables
        remedy = f"{methods[0]}() makes a frame of it" if methods else "numpy.asarray makes one from nested lists"
        if isinstance(x, str) or hasattr(x, "__fspath__"):
            remedy = "dlarray.open_blocks reads the arrays of files and folders, numpy.load that of one file"
        raise TypeError(f"{name} must be an array, got {type(x).__name__}; {remedy}")


def check_array(name: str, x: Any, other: Array | None = None) -> None:
    """Raise TypeError or ValueError if x is not an array of numbers, or not on the device of another array."""
    check_is_array(name, x)
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


def move_finite(name: str, x: Array, device: Device, dtype: str) -> Array:
    """x on the device in this dtype. Raises ValueError with the first number that is not finite in it."""
    moved = device.backend.settle(_cast(x, device, dtype))
    xp = array_namespace(moved)
    if is_floating(moved) and not number(xp.all(xp.isfinite(moved))):
        bad = xp.astype(xp.reshape(~xp.isfinite(moved), (x.shape[0], -1)), xp.int32)
        row = int(number(largest_column(xp.reshape(xp.max(bad, axis=1), (1, -1)))[0]))
        column = int(number(largest_column(bad[row : row + 1, :])[0]))
        value = float(number(x[row, column] if x.ndim == 2 else x[row]))
        place = f", column {column}" if x.ndim == 2 else ""
        if math.isfinite(value):
            remedy = '; scale it, or give dtype="float64"'
            raise RowError(f"{name} must fit into {dtype}, got {value} in", row, f"{place}{remedy}")
        raise RowError(f"{name} must be finite, got {value} in", row, f"{place}; drop or fill these examples")
    return moved


def _cast(x: Array, device: Device, dtype: str) -> Array:
    """Cast host arrays before they are moved, and arrays of a device after it."""
    if isinstance(x, np.ndarray):
        with np.errstate(over="ignore"):  # numbers that are too large become infinite, and the check finds them
            return np.asarray(x, dtype) if device.backend.uses_numpy_arrays else device.asarray(x, dtype)
    x = to_device(x, device)
    xp = array_namespace(x)
    return xp.astype(x, getattr(xp, dtype), copy=False)
