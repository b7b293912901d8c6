"""Errors of devices: one that cannot be used, and too little memory. The messages give the cause and a remedy."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from dlarray.core.errors import Picklable
from dlarray.device.backend import Backend
from dlarray.device.description import bytes_text

__all__ = ["DeviceError", "OutOfMemoryError", "raise_if_out_of_memory"]


class DeviceError(RuntimeError):
    """The device that was requested cannot be used."""


class OutOfMemoryError(Picklable, MemoryError):
    """A device has too little memory. ``why`` is the message of its library.

    If ``fit`` raises it during training, ``trained`` is the model after the last whole epoch, or the initial model. The
    arguments of ``fit`` have not changed.
    """

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why
        self.trained: Any = None


def raise_if_out_of_memory(
    error: Exception, device: str, backend: Backend, handle: Any, purpose: str, remedy: str = ""
) -> None:
    """Raise OutOfMemoryError, with cause and remedy, if this error of the library means too little memory."""
    complete = isinstance(error, OutOfMemoryError) and error.trained is not None  # raised by fit, with its model
    if complete or not backend.is_out_of_memory(error):
        return
    why = error.why if isinstance(error, OutOfMemoryError) else str(error).strip().partition("\n")[0]
    memory = None
    with suppress(Exception):  # the device may fail again
        memory = backend.memory(handle)
    free = f"; {bytes_text(memory[0])} of {bytes_text(memory[1])} are free" if memory else ""
    words = f"{device} has not enough memory {purpose}: {why.rstrip('.') or type(error).__name__}{free}"
    raise OutOfMemoryError(f"{words}. {remedy}" if remedy else words, why) from error
