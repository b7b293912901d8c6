# SPDX-License-Identifier: BSD-3-Clause
"""Several GPUs: each thread's current one, each one's memory and streams, and what one may do with another's."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from tests import cuda_on_cpu as emulator


def test_devices_say_what_they_are(cupy: Any):
    properties = cupy.cuda.runtime.getDeviceProperties(1)
    assert properties["name"] == b"CUDA emulator"
    assert (properties["major"], properties["minor"], properties["warpSize"]) == (8, 0, 32)
    assert properties["totalGlobalMem"] == cupy.cuda.Device(1).mem_info[1]
    attributes = cupy.cuda.Device(1).attributes
    assert attributes["MaxThreadsPerBlock"] == properties["maxThreadsPerBlock"] == 1024
    assert attributes["MultiProcessorCount"] == properties["multiProcessorCount"]
    assert cupy.cuda.runtime.deviceGetByPCIBusId(cupy.cuda.Device(1).pci_bus_id) == 1


def test_how_many_there_are(cupy: Any):
    runtime = cupy.cuda.runtime
    assert runtime.getDeviceCount() == 2
    with emulator.devices(1):
        assert runtime.getDeviceCount() == 1
        with pytest.raises(RuntimeError, match="cudaErrorInvalidDevice"):
            runtime.setDevice(1)
    with emulator.devices(0), pytest.raises(RuntimeError, match="cudaErrorNoDevice"):
        runtime.getDeviceCount()
    assert runtime.getDeviceCount() == 2


def test_each_thread_has_a_current_device(cupy: Any):
    seen: list[int] = []

    def look() -> None:
        seen.append(cupy.cuda.runtime.getDevice())

    with cupy.cuda.Device(1):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        look()
    look()
    assert seen == [0, 1, 0]


def test_each_device_has_its_memory(cupy: Any):
    def free(i: int) -> int:
        return cupy.cuda.Device(i).mem_info[0]

    before = free(0), free(1)
    with cupy.cuda.Device(1):
        address = cupy.cuda.runtime.malloc(4096)
    assert (free(0), free(1)) == (before[0], before[1] - 4096)
    assert cupy.cuda.runtime.pointerGetAttributes(address).device == 1
    cupy.cuda.runtime.free(address)
    assert (free(0), free(1)) == before


@pytest.mark.parametrize("order", ["now", "late", 1])
def test_computing_on_both_and_copying_between_them(cupy: Any, order: str | int):
    with emulator.order(order):
        x = cupy.arange(5, dtype=np.float32)
        with cupy.cuda.Device(1):
            y = cupy.asarray(x)
            assert y.device.id == 1
            y *= 2
            assert (y @ y).get() == 120
        assert (cupy.asarray(y) + x).get().tolist() == [0, 3, 6, 9, 12]


@pytest.mark.parametrize("order", ["now", "late", "main", 1, 2])
def test_a_copy_between_devices_waits_for_both(cupy: Any, order: str | int):
    x = cupy.zeros(4, np.float32)
    with cupy.cuda.Device(1):
        y = cupy.zeros(4, np.float32)
    for i in (0, 1):
        cupy.cuda.Device(i).synchronize()
    with emulator.order(order):
        x += 1
        with cupy.cuda.Device(1):
            cupy.cuda.runtime.memcpyPeerAsync(y.data.ptr, 1, x.data.ptr, 0, x.nbytes, 0)
        x += 1
        with cupy.cuda.Device(1):
            assert y.get().tolist() == [1] * 4
    assert x.get().tolist() == [2] * 4


@pytest.mark.parametrize("order", ["late", 1, 2])
def test_each_device_has_its_default_stream(cupy: Any, order: str | int):
    x = cupy.zeros(1, np.float32)
    with cupy.cuda.Device(1):
        y = cupy.zeros(1, np.float32)
    with emulator.order(order):
        with cupy.cuda.Device(1):
            y += 1
        x += 1
        cupy.cuda.Device(0).synchronize()
        with cupy.cuda.Device(1):
            done = cupy.cuda.Stream.null.done
            if order == "late":
                assert not done or y.get() == 1
            assert y.get() == 1
    assert x.get() == 1


def test_streams_and_events_belong_to_a_device(cupy: Any):
    x = cupy.zeros(4, np.float32)
    event = cupy.cuda.Event()
    with cupy.cuda.Device(1):
        other, its_event = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Event()
        its_event.record(other)
    runtime = cupy.cuda.runtime
    fill = cupy.RawKernel('extern "C" __global__ void fill(float *x) { *x = 1; }', "fill")
    with pytest.raises(RuntimeError, match="CUDA_ERROR_INVALID_HANDLE"):  # a kernel on another device's stream
        fill((1,), (1,), (x,), stream=other)
    with pytest.raises(RuntimeError, match="cudaErrorInvalidResourceHandle"):
        runtime.eventRecord(event.ptr, other.ptr)
    own = cupy.cuda.Stream(non_blocking=True)
    runtime.streamWaitEvent(own.ptr, its_event.ptr)  # is allowed
    runtime.memsetAsync(x.data.ptr, 0, x.nbytes, other.ptr)  # a copy too
    runtime.streamSynchronize(other.ptr)


def test_peers(cupy: Any):
    runtime = cupy.cuda.runtime
    assert runtime.deviceCanAccessPeer(0, 1)
    assert not runtime.deviceCanAccessPeer(0, 0)
    with pytest.raises(RuntimeError, match="cudaErrorInvalidDevice"):
        runtime.deviceEnablePeerAccess(0)
    with cupy.cuda.Device(1):
        y = cupy.arange(4, dtype=np.float32)
    twice = cupy.RawKernel('extern "C" __global__ void twice(float *y) { y[threadIdx.x] *= 2; }', "twice")
    with suppress(RuntimeError):  # CuPy may have enabled it
        runtime.deviceDisablePeerAccess(1)
    runtime.deviceEnablePeerAccess(1)
    try:
        with pytest.raises(RuntimeError, match="cudaErrorPeerAccessAlreadyEnabled"):
            runtime.deviceEnablePeerAccess(1)
        twice((1,), (4,), (y,))
        cupy.cuda.Device().synchronize()
        assert cupy.asnumpy(y).tolist() == [0, 2, 4, 6]
    finally:
        runtime.deviceDisablePeerAccess(1)
    with pytest.raises(RuntimeError, match="cudaErrorPeerAccessNotEnabled"):
        runtime.deviceDisablePeerAccess(1)
