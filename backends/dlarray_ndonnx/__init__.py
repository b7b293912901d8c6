"""ndonnx: arrays that record ONNX operators. Arrays with numbers are computed by onnxruntime, operator by operator.

Each operation makes a session of onnxruntime, which takes about a millisecond: use it to compare results, and the
device "onnx" to train.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from dlarray.backend import OneDevice, Overlay
from dlarray.core.array import Array

__all__ = ["NdonnxBackend", "backend"]


class NdonnxBackend(OneDevice):
    """Arrays of ndonnx."""

    name = "ndonnx"
    array_modules = ("ndonnx",)
    requirement = "dlarray[ndonnx]"
    writes_in_place = False

    def namespace(self) -> Any:
        return _namespace()

    def handle(self, device: str) -> Any:
        super().handle(device)
        return self.namespace().__array_namespace_info__().default_device()

    def view(self, x: Array, dtype: str) -> Array:
        return self.asarray(self.to_numpy(x).view(dtype), None)

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        import ndonnx

        return ndonnx.asarray(np.array(host))

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.asarray(x.unwrap_numpy())


@cache
def _namespace() -> Any:
    import ndonnx
    import onnxruntime as onnxruntime  # computes the values: without it ndonnx warns at its import

    def take(x: Array, indices: Array, /, *, axis: int | None = None) -> Array:
        """``take`` with indices of any integer type."""
        return ndonnx.take(x, ndonnx.astype(indices, ndonnx.int64), axis=axis)

    return Overlay(ndonnx, take=take)


backend = NdonnxBackend()
