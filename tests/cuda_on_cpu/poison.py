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
            _fill(mem_ptr, mem_size)  # on the current device, which is not always what CuPy 14 gives as device_id

        def free_preprocess(self, device_id: int, mem_size: int, mem_ptr: int, pmem_id: int) -> None:
            with cupy.cuda.Device(device_id):
                _fill(mem_ptr, mem_size)

    def _fill(address: int, size: int) -> None:
        cupy.cuda.runtime.memsetAsync(address, 0xFF, size, cupy.cuda.get_current_stream().ptr)

    with Poison():
        yield
