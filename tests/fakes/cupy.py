"""A fake CuPy on the host's memory: the functions that dlarray uses, with CuPy's names and parameters.

Streams run queued work at once. While a stream is capturing, copies and launches on it are kept for its graph, and
everything that CUDA or CuPy refuses during capture raises.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from dlarray.planner.cuda.layout import extent
from tests.support import cuda

__all__ = ["CaptureError", "fake_cupy"]


class CaptureError(RuntimeError):
    """cudaErrorStreamCaptureUnsupported."""


class Machine:
    """The state of a driver: streams, the stream that is capturing, and the queued work."""

    def __init__(self, folder: Path, capacity: int) -> None:
        self.folder = folder
        self.capacity = capacity
        self.streams: list[Any] = []
        self.capturing: Any = None
        self.recorded: list[Callable[[], None]] = []
        self.queued: list[str] = []

    def queue(self, what: str, stream: int, work: Callable[[], None]) -> None:
        self.queued.append(what)
        if self.capturing is None:
            work()
        elif stream == self.capturing.ptr:
            self.recorded.append(work)
        else:
            raise CaptureError(f"{what} on another stream than the one that is capturing")

    def refuse(self, what: str) -> None:
        if self.capturing is not None:
            raise CaptureError(f"{what} while a stream is capturing")


def fake_cupy(folder: Path, capacity: int = 2**40) -> Any:
    """A module in place of ``cupy``; its attribute ``machine`` has the work so far."""
    machine = Machine(folder, capacity)
    found = ModuleType("cupy")
    arrays = _arrays(machine)
    parts = _cuda(machine)
    found.__dict__.update(arrays, cuda=parts, RawModule=_modules(machine, parts), machine=machine)
    found.__dict__["RawKernel"] = SimpleNamespace(kernel=None)
    return found


def _cuda(machine: Machine) -> Any:
    class Device:
        attributes: Mapping[str, int] = {"MultiProcessorCount": 3}

        def __init__(self, device: int | None = None) -> None:
            self.id = device or 0

        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...
        def synchronize(self) -> None:
            machine.refuse("synchronize")

    class UnownedMemory:
        def __init__(self, ptr: int, size: int, owner: object, device_id: int = -1) -> None:
            assert size >= 0
            assert device_id == 0
            self.ptr, self.size, self.owner = ptr, size, owner

    class MemoryPointer:
        def __init__(self, mem: Any, offset: int) -> None:
            self.mem, self.ptr = mem, mem.ptr + offset

        def memset_async(self, value: int, size: int, stream: Any = None) -> None:
            at = self.ptr
            machine.queue("memset", _ptr(stream), lambda: ctypes.memset(at, value, size) and None)

    class Stream:
        null: Any

        def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None):
            machine.streams.append(self)
            self.ptr = 0 if null else len(machine.streams)
            self.non_blocking = non_blocking

        def __enter__(self) -> Any:
            current.append(self)
            return self

        def __exit__(self, *_: object) -> None:
            current.pop()

        def synchronize(self) -> None:
            machine.refuse("synchronize")

        def begin_capture(self, mode: Any = None) -> None:
            assert self.non_blocking, "the null stream cannot be captured"
            machine.refuse("begin_capture")
            machine.capturing, machine.recorded = self, []

        def end_capture(self) -> Any:
            assert machine.capturing is self
            machine.capturing = None
            return Graph(machine.recorded)

    class Graph:
        def __init__(self, recorded: list[Callable[[], None]]) -> None:
            self.recorded = recorded

        def launch(self, stream: Any = None) -> None:
            machine.queue("graph", _ptr(stream), self._run)

        def _run(self) -> None:
            for work in self.recorded:
                work()

    class Event:
        def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
            self.at: int | None = None

        def record(self, stream: Any = None) -> None:
            machine.refuse("a timed event")
            self.at = len(machine.queued)

        def synchronize(self) -> None:
            machine.refuse("synchronize")

    def get_elapsed_time(start_event: Any, end_event: Any) -> float:
        return float(end_event.at - start_event.at)  # in milliseconds

    def get_current_stream(device_id: int = -1) -> Any:
        return current[-1]

    def alloc(size: int) -> Any:
        machine.refuse("an allocation")
        if size > machine.capacity:
            raise MemoryError(f"Out of memory allocating {size:,} bytes")
        whole = np.full(size + 512, 0xA5, np.uint8)
        return MemoryPointer(SimpleNamespace(ptr=whole.ctypes.data + -whole.ctypes.data % 512, whole=whole), 0)

    def getDeviceCount() -> int:
        return 1

    def memcpyAsync(dst: int, src: int, size: int, kind: int, stream: int) -> None:
        if kind == 1:
            machine.refuse("a copy from the host")
        else:
            assert kind == 3
        machine.queue("copy", stream, lambda: ctypes.memmove(dst, src, size) and None)

    def _ptr(stream: Any) -> int:
        return (current[-1] if stream is None else stream).ptr

    current = [Stream(null=True)]
    Stream.null = current[0]
    runtime = SimpleNamespace(getDeviceCount=getDeviceCount, memcpyAsync=memcpyAsync)
    return SimpleNamespace(
        Device=Device,
        Event=Event,
        Graph=Graph,
        MemoryPointer=MemoryPointer,
        Stream=Stream,
        UnownedMemory=UnownedMemory,
        alloc=alloc,
        get_current_stream=get_current_stream,
        get_elapsed_time=get_elapsed_time,
        runtime=runtime,
    )


def _arrays(machine: Machine) -> dict[str, Any]:
    class Array(np.ndarray):
        def __new__(cls, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C"):
            if memptr is None:
                machine.refuse("an allocation")
                made = np.ndarray.__new__(cls, shape, dtype, order=order)
                np.ndarray.view(made, np.ndarray)[...] = 77
                return made
            below, nbytes = extent(shape, strides, np.dtype(dtype).itemsize)
            buffer = (ctypes.c_char * nbytes).from_address(memptr.ptr - below)
            return np.ndarray.__new__(cls, shape, dtype, buffer, below, strides)

        @property
        def data(self) -> Any:
            return SimpleNamespace(ptr=self.ctypes.data)

        @property
        def device(self) -> Any:
            return SimpleNamespace(id=0)

        def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray:
            machine.refuse("a copy to the host")
            return np.array(self.view(np.ndarray))

    def array(
        obj: Any,
        dtype: Any = None,
        copy: bool = True,
        order: str = "K",
        subok: bool = False,
        ndmin: int = 0,
        *,
        blocking: bool = False,
    ) -> Any:
        machine.refuse("an allocation")
        return np.array(obj, dtype).view(Array)

    def empty(shape: Any, dtype: Any = float, order: str = "C") -> Any:
        return Array(shape, dtype)

    def ascontiguousarray(a: Any, dtype: Any = None) -> Any:
        return np.ascontiguousarray(a, dtype).view(Array).reshape(a.shape)

    return {"ndarray": Array, "array": array, "empty": empty, "ascontiguousarray": ascontiguousarray}


def _modules(machine: Machine, parts: Any) -> Any:
    class RawModule:
        def __init__(
            self, code: str | None = None, *, path: str | None = None, options: Any = (), backend: str = "nvrtc"
        ) -> None:
            assert code is not None
            assert isinstance(options, tuple)
            self._names = tuple(re.findall(r"^KERNEL (\w+)\(", code, re.MULTILINE))
            self._library = cuda.library(code, self._names, machine.folder)

        def get_function(self, name: str) -> Any:
            assert name in self._names
            return SimpleNamespace(kernel=Function(name, getattr(self._library, f"launch_{name}")))

    class Function:
        def __init__(self, name: str, function: Any) -> None:
            self._name, self._function = name, function

        def __call__(self, grid: Any, block: Any, args: Any, shared_mem: int = 0, stream: Any = None) -> None:
            assert isinstance(grid, tuple)
            assert isinstance(block, tuple)
            assert block[0] % 32 == 0
            assert block[0] <= 1024
            assert 0 < grid[0] < 2**31
            (head,) = args
            assert head.dtype.kind == "V"
            assert head.size == 1
            given = head.copy()  # arguments are copied at the launch
            at = (parts.get_current_stream() if stream is None else stream).ptr
            warps = ctypes.c_longlong(grid[0] * block[0] // 32)

            def run() -> None:
                assert not self._function(ctypes.c_void_p(given.ctypes.data), warps)

            machine.queue(self._name, at, run)

    return RawModule
