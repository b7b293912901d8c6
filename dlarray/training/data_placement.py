"""Where the examples are stored during training: on the device, or on the host if they do not fit."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from dlarray.core.array import size
from dlarray.core.check import one_of
from dlarray.device import Device, device_of, resolve
from dlarray.device.description import bytes_text
from dlarray.training.memory_estimate import step_memory
from dlarray.training.step import Step

__all__ = ["data_placement"]

_SMALL_SHARE = 16
"""Examples that need less than 1/16 of the free memory are not compared with the memory of a step."""


def data_placement(
    data: str | None, device: Device, step: Step, given: Iterable[Any], batch_size: int | None, dtype: str, copies: int
) -> Device:
    """The device that stores the examples: ``device``, which trains, or the host.

    ``data`` is "device", "host", or None: the device if its free memory holds ``copies`` copies of all ``given`` arrays
    together with a step; else the host, with a warning. Arrays on a device stay there. Raises ValueError for another
    value, and for "host" with arrays on a device.
    """
    if data is not None:
        one_of("data", data, ("device", "host"))
    arrays = [x for x in given if x is not None]
    on_device = [x for x in arrays if not isinstance(x, np.ndarray)]
    if on_device and data == "host":
        raise ValueError(
            f"data='host' is for host arrays, and x is on {device_of(on_device[0])}: give dlarray.to_numpy(x)"
        )
    if on_device or data == "device" or device.backend.uses_numpy_arrays:
        return device
    host = resolve("cpu")
    if data == "host":
        return host
    if (memory := device.backend.memory(device.handle)) is None:
        return device
    free, number = memory[0], np.dtype(dtype).itemsize
    wanted = copies * sum(size(x.shape) * number for x in arrays)
    if _SMALL_SHARE * wanted <= free:
        return device
    n = arrays[0].shape[0]
    estimate = step_memory(step, device, min(batch_size or n, n), dtype)
    if wanted + estimate.total + estimate.first_step_check <= free:
        return device
    warnings.warn(
        f"the examples need {bytes_text(wanted)} and a step {bytes_text(estimate.total + estimate.first_step_check)}, "
        f"and {device} has {bytes_text(free)} free: the examples stay on the host, and each batch is moved to the "
        "device; data='host' does this without a warning",
        stacklevel=5,
    )
    return host
