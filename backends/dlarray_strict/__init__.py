"""array-api-strict: NumPy underneath, and nothing beyond the letter of the standard.

Slow, and meant for tests: what runs here asks no more of an array library than the standard gives. Its made-up devices
("device1", "device2") refuse to meet arrays of another one, as a GPU's would; "no_float64" and "no_x64" lack types.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlarray.core.array import Array
from dlarray.device.backend import Backend
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

    def _places(self) -> dict[str, Any]:
        places = self.namespace().__array_namespace_info__().devices()
        return {str(p).partition("'")[2].partition("'")[0].replace("CPU_DEVICE", "cpu"): p for p in places}

    def devices(self) -> list[str]:
        return list(self._places())

    def handle(self, device: str) -> Any:
        places = self._places()
        if device not in places:
            raise ValueError(f"strict has the devices {', '.join(places)}, got {device!r}")
        return places[device]

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        return self.namespace().asarray(host, device=handle, copy=True)

    def to_numpy(self, x: Array) -> np.ndarray:
        cpu = self.handle("cpu")
        return np.asarray(x if x.device == cpu else x.to_device(cpu))

    def device_of(self, x: Array) -> str:
        return next(name for name, handle in self._places().items() if handle == x.device)

    def memory(self, handle: Any) -> tuple[int, int] | None:
        return host_memory()

    def view(self, x: Array, dtype: str) -> Array:
        return self.asarray(self.to_numpy(x).view(dtype), x.device)

    def to_device(self, x: Array, handle: Any) -> Array:
        return x if x.device == handle else x.to_device(handle)


backend = StrictBackend()
