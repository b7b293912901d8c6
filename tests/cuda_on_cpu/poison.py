# SPDX-License-Identifier: BSD-3-Clause
"""Fill memory with NaN where CuPy's pool hands it out and takes it back, so that a use before or after it shows."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def poisoned() -> Generator[None]:
    """Fill what CuPy's pool hands out and takes back with the byte 0xFF, on the current stream.

    The emulated driver does it too, but most memory comes from the pool, which does not ask the driver.
    """
    import cupy

    class Poison(cupy.cuda.MemoryHook):
        name = "poison"

        def malloc_postprocess(self, device_id: int, size: int, mem_size: int, mem_ptr: int, pmem_id: int) -> None:
            _fill(device_id, mem_ptr, mem_size)

        def free_preprocess(self, device_id: int, mem_size: int, mem_ptr: int, pmem_id: int) -> None:
            _fill(device_id, mem_ptr, mem_size)

    def _fill(device: int, address: int, size: int) -> None:
        with cupy.cuda.Device(device):
            cupy.cuda.runtime.memsetAsync(address, 0xFF, size, cupy.cuda.get_current_stream().ptr)

    with Poison():
        yield
