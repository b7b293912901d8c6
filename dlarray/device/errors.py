"""A device that cannot be used, and memory that does not suffice: each error says why and what would help."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from dlarray.core.errors import Picklable
from dlarray.device.backend import Backend
from dlarray.device.description import bytes_text

__all__ = ["DeviceError", "OutOfMemoryError", "raise_if_out_of_memory"]


class DeviceError(RuntimeError):
    """A device that was asked for and cannot be had."""


class OutOfMemoryError(Picklable, MemoryError):
    """A device has not the memory for what is asked of it; ``why`` is what its library says.

    Where ``fit`` raises it on its way, ``trained`` holds the model after the last whole epoch, or where the walk began;
    nothing that ``fit`` was given has changed.
    """

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why
        self.trained: Any = None


def raise_if_out_of_memory(
    error: Exception, device: str, backend: Backend, handle: Any, purpose: str, remedy: str = ""
) -> None:
    """Raise OutOfMemoryError, with cause and remedy, where this error of the library's means just that."""
    told = isinstance(error, OutOfMemoryError) and error.trained is not None  # all that there is to say, by a walk
    if told or not backend.is_out_of_memory(error):
        return
    why = error.why if isinstance(error, OutOfMemoryError) else str(error).strip().partition("\n")[0]
    memory = None
    with suppress(Exception):  # a device in trouble may not even be able to say that
        memory = backend.memory(handle)
    free = f"; {bytes_text(memory[0])} of {bytes_text(memory[1])} are free" if memory else ""
    words = f"{device} has not enough memory {purpose}: {why or type(error).__name__}{free}"
    raise OutOfMemoryError(f"{words}. {remedy}" if remedy else words, why) from error
