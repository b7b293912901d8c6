"""mparray as a backend of dlarray: arrays of numbers with as many digits as mpmath is set to."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlarray.backend import OneDevice
from dlarray.core.array import Array


class MPArrayBackend(OneDevice):
    """Arrays of mparray. They compute with ``mpmath.mp.dps`` digits, whatever their dtype is."""

    name = "mparray"  # what users write: device="mparray"
    array_modules = ("mparray",)  # the root modules of its array types
    requirement = "dlarray-mparray"  # what pip installs
    writes_in_place = False  # a slice is a copy, so each parameter is an array of its own
    int32_wraps = False  # its integers are those of Python, without a largest one: no dropout
    bit_operations = False

    def namespace(self) -> Any:
        import mparray

        return mparray

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        return self.namespace().asarray(np.array(host))

    def to_numpy(self, x: Array) -> np.ndarray:
        return x._data.astype(x.dtype)  # mparray has no public conversion

    def view(self, x: Array, dtype: str) -> Array:
        return self.asarray(self.to_numpy(x).view(dtype), "cpu")


backend = MPArrayBackend()
