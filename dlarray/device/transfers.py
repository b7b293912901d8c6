"""Transfers of arrays: from the host to a device, from one device to another, and to the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlarray.core.array import Array, is_array
from dlarray.device import backend as backends
from dlarray.device.choice import resolve
from dlarray.device.device import Device

__all__ = ["asarray", "to_device", "to_numbers", "to_numpy"]


def asarray(values: Any, device: str | Device | None = None, dtype: str | None = None) -> Array:
    """A new array on a device from anything that ``numpy.asarray`` takes, in one transfer.

    ``device`` is by default the current device, ``dtype`` that of the values. Raises DeviceError, OutOfMemoryError, and
    TypeError for a masked array.
    """
    return resolve(device).asarray(values, dtype)


def to_device(x: Array, device: str | Device | None = None) -> Array:
    """An array on another device, which may be of another library; the same array if it is there already.

    ``device`` is by default the current device. Raises TypeError if ``x`` is not an array, and DeviceError.
    """
    target = resolve(device)
    if not is_array(x):
        raise TypeError(
            f"to_device takes an array, got {type(x).__name__}; dlarray.asarray makes one from other values"
        )
    home = backends.of(x)
    return home.to_device(x, target.handle) if home is target.backend else target.asarray(home.to_numpy(x))


def to_numpy(x: Array) -> np.ndarray:
    """The numbers of any array as a NumPy array on the host. Raises TypeError for an array of an unknown library."""
    return backends.of(x).to_numpy(x)


def to_numbers(values: Sequence[Any]) -> list[float]:
    """0-d arrays and Python numbers as Python floats. All that are on a device come in one transfer."""
    foreign = [i for i, x in enumerate(values) if not isinstance(x, (float, np.ndarray, np.generic))]
    read = list(values)
    if foreign:
        home = backends.of(values[foreign[0]])
        for i, x in zip(foreign, home.concat_to_numpy([values[i] for i in foreign]).tolist(), strict=True):
            read[i] = x
    return list(map(float, read))
