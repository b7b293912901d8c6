"""marray: arrays with a mask, on NumPy. A masked number does not become a number of NumPy."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from dlarray.backend import OneDevice
from dlarray.core.array import Array

__all__ = ["MArrayBackend", "backend"]


class MArrayBackend(OneDevice):
    """Arrays of marray with the data and the mask in NumPy's arrays.

    Products of marray leave masked numbers out: a masked feature counts as 0, in training and in predictions.
    """

    name = "marray"
    array_modules = ("marray",)
    requirement = "dlarray[marray]"

    def namespace(self) -> Any:
        return _namespace()

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        return _namespace().asarray(np.array(host))

    def to_numpy(self, x: Array) -> np.ndarray:
        if np.any(x.mask):
            raise ValueError(
                f"{np.count_nonzero(x.mask)} of the array's {x.mask.size} numbers are masked, and an array of NumPy "
                "holds no mask: take x.data and x.mask, or fill the masked numbers"
            )
        return np.asarray(x.data)

    def view(self, x: Array, dtype: str) -> Array:
        xp = _namespace()
        return xp.asarray(x.data.view(dtype), mask=x.mask)


@cache
def _namespace() -> Any:
    """marray makes a new namespace, with a class of arrays of its own, whenever it is asked for one."""
    from marray import numpy as xp

    return xp


backend = MArrayBackend()
