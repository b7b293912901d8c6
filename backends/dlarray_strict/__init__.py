"""array-api-strict: an implementation on NumPy that has only what the standard requires.

It is slow and meant for tests: code that runs here needs nothing beyond the standard. Its artificial devices "device1"
and "device2" refuse operations with arrays of another device, as a GPU does; "no_float64" and "no_x64" lack dtypes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlarray.backend import Backend
from dlarray.core.array import Array
from dlarray.device.memory import host_memory

__all__ = ["StrictBackend", "backend"]


class StrictBackend(Backend):
    """Arrays of array_api_strict."""

    name = "strict"
    array_modules = ("array_api_strict",)
    requirement = "array-api-strict"

    def namespace(self) -> Any:
        import array_api_strict

        return array_api_strict

    def _handles(self) -> dict[str, Any]:
        handles = self.namespace().__array_namespace_info__().devices()
        return {str(p).partition("'")[2].partition("'")[0].replace("CPU_DEVICE", "cpu"): p for p in handles}

    def devices(self) -> list[str]:
        return list(self._handles())

    def handle(self, device: str) -> Any:
        handles = self._handles()
        if device not in handles:
            raise ValueError(f"strict has the devices {', '.join(handles)}, got {device!r}")
        return handles[device]

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        return self.namespace().asarray(host, device=handle, copy=True)

    def to_numpy(self, x: Array) -> np.ndarray:
        cpu = self.handle("cpu")
        return np.asarray(x if x.device == cpu else x.to_device(cpu))

    def device_of(self, x: Array) -> str:
        return next(name for name, handle in self._handles().items() if handle == x.device)

    def memory(self, handle: Any) -> tuple[int, int] | None:
        return host_memory()

    def view(self, x: Array, dtype: str) -> Array:
        return self.asarray(self.to_numpy(x).view(dtype), x.device)

    def to_device(self, x: Array, handle: Any) -> Array:
        return x if x.device == handle else x.to_device(handle)


backend = StrictBackend()
