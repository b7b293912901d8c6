"""A device: its name, its backend and the library's own object for it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray.core.array import Array, refuse_masked
from dlarray.device.backend import Backend
from dlarray.device.errors import raise_if_out_of_memory

__all__ = ["Device"]


@dataclass(frozen=True)
class Device:
    """A device that works: its name, its backend, and the handle, which is the library's own object for it."""

    name: str
    backend: Backend
    handle: Any

    def asarray(self, values: Any, dtype: str | None = None) -> Array:
        """A new array on this device from a host array or nested sequences, in one transfer.

        Raises OutOfMemoryError, and TypeError for a masked array.
        """
        refuse_masked("the array for a device", values)
        try:
            host = np.asarray(values, dtype=dtype, order="C")
            return self.backend.asarray(host.astype(host.dtype.newbyteorder("="), copy=False), self.handle)
        except Exception as error:
            self.raise_if_out_of_memory(error, "for an array")
            raise

    def entered(self) -> AbstractContextManager[Any]:
        """A ``with`` block in which operations run on this device and compute in the dtypes of their operands.

        dlarray's functions that take a device enter it themselves. A program that calls formulas directly enters it if
        its library has a current device, as CuPy has. It holds for the thread that entered the block.
        """
        return self.backend.entered(self.handle)

    @contextmanager
    def working(self, purpose: str, remedy: str = "") -> Generator[None]:
        """A ``with`` block for work on the device, as ``entered``, with OutOfMemoryError for too little memory.

        A library's error that means too little memory becomes one. ``purpose``, such as "to train", and ``remedy`` are
        parts of its message.
        """
        try:
            with self.entered():
                yield
        except Exception as error:
            self.raise_if_out_of_memory(error, purpose, remedy)
            raise

    def raise_if_out_of_memory(self, error: Exception, purpose: str, remedy: str = "") -> None:
        """Raise OutOfMemoryError if this error of the library means too little memory."""
        raise_if_out_of_memory(error, self.name, self.backend, self.handle, purpose, remedy)

    def __str__(self) -> str:
        return self.name
