"""Where new arrays go: argument > ``use_device`` > ``set_device`` > the variable DLARRAY_DEVICE > cpu.

A device is written ``[backend:]device``: "cpu" is NumPy, "cuda" and "cuda:1" are CuPy, and "torch", "torch:cuda:0",
"jax", "strict" name the library. "auto" is the first accelerator that works, else cpu. The variable is read when it is
needed, never at import.
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
    """Choose the device of new arrays for the whole process, every thread of it; None takes the choice back.

    Raises DeviceError, the choice unchanged, where the device cannot be used.
    """
    global _in_process
    if name is not None:
        find(name, f"set_device({name!r})")
    _in_process = name


@contextmanager
def use_device(name: str) -> Generator[Device]:
    """Choose the device of new arrays within a ``with`` block.

    It holds for the thread or task that entered it and for no other: a context variable, above ``set_device``.
    A thread started inside begins with the process's choice (``contextvars.copy_context`` carries it over).

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
    """The device on which new arrays would be made now. Raises DeviceError, naming who asked for it."""
    return resolve(None)


def resolve(device: str | Device | None) -> Device:
    """A device from an argument: itself, the one it names, or the current one where it is None."""
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
