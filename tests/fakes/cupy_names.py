"""The names and parameters of CuPy that dlarray uses, which the fake CuPy has too."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["USED"]

USED: Mapping[str, str | None] = {
    "ndarray": None,
    "array": "obj, dtype=None, copy=True, order='K', subok=False, ndmin=0, *, blocking=False",
    "empty": "shape, dtype=float, order='C'",
    "ascontiguousarray": "a, dtype=None",
    "ndarray.get": "self, stream=None, order='C', out=None, blocking=True",
    "ndarray.data": None,
    "ndarray.device": None,
    "RawModule": "code=None, *, path=None, options=(), backend='nvrtc'",
    "RawModule.get_function": "self, name",
    "RawKernel.kernel": None,
    "cuda.alloc": "size",
    "cuda.Device": "device=None",
    "cuda.Device.attributes": None,
    "cuda.Device.id": None,
    "cuda.Device.synchronize": "self",
    "cuda.Event": "block=False, disable_timing=False, interprocess=False",
    "cuda.Event.record": "self, stream=None",
    "cuda.Event.synchronize": "self",
    "cuda.Graph.launch": "self, stream=None",
    "cuda.MemoryPointer": "mem, offset",
    "cuda.MemoryPointer.memset_async": "self, value, size, stream=None",
    "cuda.MemoryPointer.ptr": None,
    "cuda.Stream": "null=False, non_blocking=False, ptds=False, priority=None",
    "cuda.Stream.begin_capture": "self, mode=None",
    "cuda.Stream.end_capture": "self",
    "cuda.Stream.null.ptr": None,
    "cuda.Stream.synchronize": "self",
    "cuda.UnownedMemory": "ptr, size, owner, device_id=-1",
    "cuda.get_current_stream": "device_id=-1",
    "cuda.get_elapsed_time": "start_event, end_event",
    "cuda.runtime.getDeviceCount": "",
    "cuda.runtime.memcpyAsync": "dst, src, size, kind, stream",
}
"""What dlarray uses of CuPy, with the parameters in CuPy and in the fake; None: no function."""
