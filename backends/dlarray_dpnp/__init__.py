"""dpnp: Intel's NumPy for SYCL devices, CPUs and GPUs. NumPy cannot read its arrays implicitly, not even on a CPU.

It takes 3 GB. In a virtual environment its OpenCL runtime for CPUs is found with
OCL_ICD_FILENAMES=<environment>/lib/libintelocl.so.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlarray.backend import Backend
from dlarray.core.array import Array

__all__ = ["DpnpBackend", "backend"]


class DpnpBackend(Backend):
    """Arrays of dpnp on any SYCL device."""

    name = "dpnp"
    array_modules = ("dpnp",)
    requirement = "dlarray[dpnp]"
    device_hint = (
        "a SYCL runtime: OCL_ICD_FILENAMES names Intel's OpenCL for CPUs, lib/libintelocl.so in a virtual environment"
    )

    def namespace(self) -> Any:
        import dpnp

        return dpnp

    def devices(self) -> list[str]:
        import dpctl

        return [device.filter_string for device in dpctl.get_devices()]

    def handle(self, device: str) -> Any:
        if device not in (known := self.devices()):
            raise ValueError(f"dpnp has the devices {', '.join(known)}, got {device!r}")
        return self.namespace().empty(0, device=device).device  # what arrays there answer

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        return self.namespace().asarray(host, device=handle, copy=True)

    def to_numpy(self, x: Array) -> np.ndarray:
        return x.asnumpy()

    def device_of(self, x: Array) -> str:
        return x.sycl_device.filter_string

    def to_device(self, x: Array, handle: Any) -> Array:
        return x if x.device == handle else x.to_device(handle)

    def synchronize(self, handle: Any) -> None:
        handle.sycl_queue.wait()


backend = DpnpBackend()
