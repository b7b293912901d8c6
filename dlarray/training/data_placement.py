"""Where the examples lie while they are trained on: on the device, or on the host where they do not fit."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from dlarray.core.array import size
from dlarray.core.check import one_of
from dlarray.device import Device, device_of, resolve
from dlarray.device.description import bytes_text
from dlarray.training.memory_estimate import memory_estimate
from dlarray.training.step import Step

__all__ = ["data_placement"]

_SMALL_SHARE = 16
"""Examples that take no more than this part of what is free are not what a step has too little memory for."""


def data_placement(
    data: str | None, device: Device, step: Step, given: Iterable[Any], batch_size: int | None, dtype: str, copies: int
) -> Device:
    """The device of the examples: ``device``, where they train, or the host's.

    ``data`` is "device", "host", or None: the device as long as all arrays ``given`` fit beside a step, ``copies``
    times, in what the device has free; else the host, with a warning. Arrays that lie on a device stay there. Raises
    ValueError for another word, and for "host" where the arrays lie on a device.
    """
    if data is not None:
        one_of("data", data, ("device", "host"))
    arrays = [x for x in given if x is not None]
    away = [x for x in arrays if not isinstance(x, np.ndarray)]
    if away and data == "host":
        raise ValueError(
            f"data='host' is for host arrays, and x lies on {device_of(away[0])}: give dlarray.to_numpy(x)"
        )
    if away or data == "device" or device.backend.uses_numpy_arrays:
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
    size_ = min(batch_size or n, n)
    taken = memory_estimate(
        step.model,
        device,
        batch_size=size_,
        optimizer=step.optimizer,
        loss=step.loss,
        dtype=dtype,
        accumulate=step.accumulate,
    )
    if wanted + taken.total + taken.first_step_check <= free:
        return device
    warnings.warn(
        f"the examples take {bytes_text(wanted)} and a step {bytes_text(taken.total + taken.first_step_check)}, "
        f"and {device} has {bytes_text(free)} free: the examples stay on the host, and each batch goes to the device; "
        "data='host' says so without this warning",
        stacklevel=3,
    )
    return host
