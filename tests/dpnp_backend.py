"""dpnp, Intel's NumPy for SYCL devices, as a stranger's backend: a library that lends no array to NumPy unasked.

It stands in the tests alone. Its CPU device is an accelerator to dlarray: memory of its own kind, and a TypeError wherever
a number would reach the host without being asked for. ``pip install dpnp`` brings it (2.6 GB); in a virtual environment
its OpenCL runtime is found with OCL_ICD_FILENAMES=<environment>/lib/libintelocl.so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dlarray import backend as backends
from dlarray.array import Array
from dlarray.backend import Backend

__all__ = ["DpnpBackend", "backend", "known"]


class DpnpBackend(Backend):
    """Arrays of dpnp on any SYCL device."""

    name = "dpnp"
    arrays = ("dpnp",)
    requires = "dpnp"
    needs = (
        "a SYCL runtime: OCL_ICD_FILENAMES names Intel's OpenCL for CPUs, lib/libintelocl.so in a virtual environment"
    )

    def namespace(self) -> Any:
        import dpnp

        return dpnp

    def devices(self) -> list[str]:
        import dpctl

        return [device.filter_string for device in dpctl.get_devices()]

    def place(self, device: str) -> Any:
        import dpctl

        found = {d.filter_string: d for d in dpctl.get_devices()}
        if device not in found:
            raise ValueError(f"dpnp has the devices {', '.join(found)}, got {device!r}")
        return found[device]

    def asarray(self, host: np.ndarray, place: Any) -> Array:
        return self.namespace().asarray(host, device=place, copy=True)

    def to_numpy(self, x: Array) -> np.ndarray:
        return x.asnumpy()

    def device_of(self, x: Array) -> str:
        return x.sycl_device.filter_string

    def move(self, x: Array, place: Any) -> Array:
        return x if x.sycl_device == place else x.to_device(place)

    def synchronize(self, place: Any) -> None:
        import dpctl

        dpctl.SyclQueue(place).wait()


backend = DpnpBackend()


@contextmanager
def known() -> Iterator[None]:
    """As long as this lasts dlarray finds the backend, as it finds any package named ``dlarray_<name>``."""
    sys.modules["dlarray_dpnp"] = sys.modules[__name__]
    backends.get("dpnp")
    try:
        yield
    finally:
        del sys.modules["dlarray_dpnp"]
        backends._loaded.pop("dpnp", None)
