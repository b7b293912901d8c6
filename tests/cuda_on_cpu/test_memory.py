# SPDX-License-Identifier: BSD-3-Clause
"""Memory of devices and of the host: whose it is, what is in it, and which copies are refused."""

from __future__ import annotations

import ctypes
import gc
from typing import Any

import numpy as np
import pytest

from tests import cuda_on_cpu as emulator

HOST, DEVICE, MANAGED = 1, 2, 3
TO_HOST, ON_DEVICE, BY_ADDRESS = 2, 3, 4


def read(cupy: Any, address: int, n: int) -> bytes:
    host = np.zeros(n, np.uint8)
    cupy.cuda.runtime.memcpy(host.ctypes.data, address, n, TO_HOST)
    return host.tobytes()


def test_whose_memory_an_address_is(cupy: Any):
    runtime = cupy.cuda.runtime
    on_device, on_host = runtime.malloc(1000), runtime.hostAlloc(1000, 0)
    managed, pageable = runtime.mallocManaged(1000), np.zeros(10)
    try:
        attributes = runtime.pointerGetAttributes
        assert (attributes(on_device + 999).type, attributes(on_device).device) == (DEVICE, 0)
        assert attributes(on_host + 999).type == HOST
        assert attributes(managed).type == MANAGED
        assert attributes(pageable.ctypes.data).type == 0
        runtime.hostRegister(pageable.ctypes.data, pageable.nbytes, 0)
        assert attributes(pageable.ctypes.data).type == HOST
        with pytest.raises(RuntimeError, match="cudaErrorHostMemoryAlreadyRegistered"):
            runtime.hostRegister(pageable.ctypes.data, pageable.nbytes, 0)
        runtime.hostUnregister(pageable.ctypes.data)
        assert attributes(pageable.ctypes.data).type == 0
    finally:
        runtime.free(on_device)
        runtime.freeHost(on_host)
        runtime.free(managed)
    assert runtime.pointerGetAttributes(on_device).type == 0


def test_the_host_and_kernels_share_managed_memory(cupy: Any):
    with cupy.cuda.using_allocator(cupy.cuda.malloc_managed):
        x = cupy.arange(5, dtype=np.float32)
        x *= 2
        cupy.cuda.Device().synchronize()
        assert np.ctypeslib.as_array((ctypes.c_float * 5).from_address(x.data.ptr)).tolist() == [0, 2, 4, 6, 8]


def test_fresh_memory_holds_no_numbers_and_a_gap_follows_it(cupy: Any):
    runtime = cupy.cuda.runtime
    first, second = runtime.malloc(4096), runtime.malloc(4096)
    runtime.memset(first, 1, 4096)
    runtime.memset(second, 1, 4096)
    runtime.free(first)
    again = runtime.malloc(4096)
    assert again == first
    assert read(cupy, again, 4096) == b"\xff" * 4096
    assert second - first > 4096
    runtime.free(again)
    runtime.free(second)
    with pytest.raises(RuntimeError, match="cudaErrorInvalidValue"):
        runtime.free(second)


def test_memory_runs_out(cupy: Any):
    runtime = cupy.cuda.runtime
    gc.collect()  # CuPy does both when it is out of memory
    cupy.get_default_memory_pool().free_all_blocks()
    free, total = runtime.memGetInfo()
    address = runtime.malloc(total // 4)
    assert runtime.memGetInfo() == (free - total // 4, total)
    with pytest.raises(RuntimeError, match="cudaErrorMemoryAllocation: out of memory"):
        runtime.malloc(free)
    with pytest.raises(cupy.cuda.memory.OutOfMemoryError):
        cupy.empty(total, np.float64)
    runtime.free(address)
    assert runtime.memGetInfo() == (free, total)


def test_copies_are_checked(cupy: Any, capfd: pytest.CaptureFixture[str]):
    runtime, host = cupy.cuda.runtime, np.zeros(16, np.uint8)
    address = runtime.malloc(16)
    with pytest.raises(RuntimeError, match="cudaErrorInvalidValue"):  # the target is on the host
        runtime.memcpy(host.ctypes.data, address, 16, ON_DEVICE)
    assert "its target is on the host" in capfd.readouterr().err
    with pytest.raises(RuntimeError, match="cudaErrorInvalidValue"):
        runtime.memcpy(address, address + 8, 16, ON_DEVICE)
    assert "past the end" in capfd.readouterr().err
    with pytest.raises(RuntimeError, match="cudaErrorInvalidValue"):
        runtime.memset(address + 1, 0, 16)
    with pytest.raises(RuntimeError, match="cudaErrorInvalidMemcpyDirection"):
        runtime.memcpy(address, address, 16, 7)
    with pytest.raises(RuntimeError, match="cudaErrorInvalidPitchValue"):
        runtime.memcpy2D(address, 2, address, 2, 4, 2, BY_ADDRESS)
    runtime.free(address)


def test_a_copy_of_rows(cupy: Any):
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    y = cupy.zeros((4, 8), np.float32)
    cupy.cuda.runtime.memcpy2D(y.data.ptr, 32, x.ctypes.data + 4, 24, 12, 4, BY_ADDRESS)
    np.testing.assert_array_equal(y.get()[:, :3], x[:, 1:4])
    assert not y.get()[:, 3:].any()


@pytest.mark.parametrize("order", ["now", "late", 1])
def test_memory_in_the_order_of_a_stream(cupy: Any, order: str | int):
    runtime, stream = cupy.cuda.runtime, cupy.cuda.Stream(non_blocking=True)
    free = runtime.memGetInfo()[0]
    with emulator.order(order):
        address = runtime.mallocAsync(1024, stream.ptr)
        runtime.memsetAsync(address, 3, 1024, stream.ptr)
        out = cupy.cuda.alloc_pinned_memory(1024)
        runtime.memcpyAsync(out.ptr, address, 1024, TO_HOST, stream.ptr)
        runtime.freeAsync(address, stream.ptr)
        stream.synchronize()
    assert bytes(out)[:1024] == b"\x03" * 1024
    assert runtime.memGetInfo()[0] == free


def test_cupys_asynchronous_pool(cupy: Any):
    pool = cupy.cuda.MemoryAsyncPool()
    with cupy.cuda.using_allocator(pool.malloc):
        x = cupy.arange(1000, dtype=np.float64)
        assert pool.used_bytes() >= 8000
        assert float(x.sum()) == 499500
        del x
    cupy.cuda.Device().synchronize()
    assert pool.used_bytes() == 0


def test_what_is_not_emulated_says_so(cupy: Any, capfd: pytest.CaptureFixture[str]):
    with pytest.raises(RuntimeError, match="cudaErrorNotSupported: not emulated: cudaIpcGetMemHandle"):
        cupy.cuda.runtime.ipcGetMemHandle(cupy.zeros(1).data.ptr)
    assert "not emulated: cudaIpcGetMemHandle" in capfd.readouterr().err


def test_pointers_that_a_kernel_reads_from_memory(cupy: Any):
    rows = [cupy.full(3, i, np.float32) for i in range(4)]
    table = cupy.asarray([row.data.ptr for row in rows], np.uint64)
    gather = cupy.RawKernel(
        'extern "C" __global__ void gather(const float **rows, float *y) { y[threadIdx.x] = rows[threadIdx.x][1]; }',
        "gather",
    )
    y = cupy.zeros(4, np.float32)
    gather((1,), (4,), (table, y))
    assert y.get().tolist() == [0, 1, 2, 3]


def test_variables_of_a_module(cupy: Any):
    module = cupy.RawModule(
        code="""
            __device__ float numbers[3];
            extern "C" __global__ void read(float *y) { y[threadIdx.x] = 2 * numbers[threadIdx.x]; }
        """
    )
    pointer = module.get_global("numbers")
    assert cupy.cuda.runtime.pointerGetAttributes(pointer.ptr).type == DEVICE
    cupy.ndarray(3, np.float32, pointer)[:] = cupy.arange(3, dtype=np.float32)
    y = cupy.zeros(3, np.float32)
    module.get_function("read")((1,), (3,), (y,))
    assert y.get().tolist() == [0, 2, 4]
