"""The device of new arrays: the argument, else ``use_device``, ``set_device``, the variable DLARRAY_DEVICE, else cpu.

A device is written ``[backend:]device``: "cpu" is NumPy, "cuda" and "cuda:1" are CuPy, and "torch", "torch:cuda:0",
"jax" and "strict" name the library. Its own object for a device, such as ``torch.device("cuda")``, may stand for the
name. "auto" is the first accelerator that works, else cpu. The variable is read when a device is needed, not at import.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from dlarray.device.device import Device
from dlarray.device.search import find

__all__ = ["current_device", "resolve", "set_device", "use_device"]

VARIABLE = "DLARRAY_DEVICE"
_in_context: ContextVar[str | None] = ContextVar("dlarray_device", default=None)
_in_process: str | None = None


def set_device(name: str | None) -> None:
    """Set the device of new arrays for the process and all its threads; None removes the setting.

    Raises DeviceError if the device cannot be used; the setting does not change then.
    """
    global _in_process
    if name is not None:
        find(name, f"set_device({name!r})")
    _in_process = name


@contextmanager
def use_device(name: str) -> Generator[Device]:
    """Set the device of new arrays within a ``with`` block. It has priority over ``set_device``.

    It holds only for the thread or task that entered the block: it is a context variable. A thread that is started
    inside begins with the setting of the process, unless it runs in ``contextvars.copy_context()``. Raises DeviceError
    if the device cannot be used.

    Examples
    --------
    >>> import dlarray
    >>> with dlarray.use_device("cpu") as device:
    ...     x = dlarray.asarray([1.0, 2.0])
    >>> print(device, type(x).__name__, dlarray.device_of(x))
    cpu ndarray cpu
    """
    found = find(name, f"use_device({name!r})")
    token = _in_context.set(name)
    try:
        yield found
    finally:
        _in_context.reset(token)


def current_device() -> Device:
    """The device on which new arrays are made now. Raises DeviceError if it cannot be used."""
    return resolve(None)


def resolve(device: str | Device | None) -> Device:
    """The device for an argument: a Device itself, the device of a name, or the current device for None."""
    if isinstance(device, Device):
        return device
    if device is not None:
        return find(device, f"device={device!r}")
    if (name := _in_context.get()) is not None:
        return find(name, f"use_device({name!r})")
    if _in_process is not None:
        return find(_in_process, f"set_device({_in_process!r})")
    if name := os.environ.get(VARIABLE):
        return find(name, f"the environment variable {VARIABLE}={name!r}")
    return find("cpu", "the default")
