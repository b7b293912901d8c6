# SPDX-License-Identifier: BSD-3-Clause
"""CuPy on a machine without a GPU: the unmodified wheel, on small libraries that stand for NVIDIA's.

```python
emulator.prepare()  # fetch the wheel and compile; done once, also by: python -m tests.cuda_on_cpu
emulator.install()  # before anything imports CuPy
import cupy
```

The README in this folder has the design and the limits.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from . import build, wheel
from .folders import Unavailable
from .patch import Finder
from .poison import poisoned

__all__ = [
    "Unavailable",
    "counts",
    "devices",
    "exact",
    "install",
    "installed",
    "missing",
    "order",
    "poisoned",
    "prepare",
]

COUNTED = (
    "launches",
    "copies_from_host",
    "copies_to_host",
    "copies_on_device",
    "waits",
    "allocations",
    "library_calls",
    "graph_launches",
    "host_callbacks",
)


@dataclass
class _Emulator:
    """The loaded runtime and what has been set."""

    runtime: ctypes.CDLL
    devices: int
    order: str


_installed: list[_Emulator] = []  # one at most


def missing() -> str | None:
    """Why the emulator cannot be used here; None if it can."""
    return _unfit() or wheel.missing()


def prepare() -> None:
    """Fetch CuPy's wheel and compile the libraries, as far as that has not been done.

    Raises
    ------
    Unavailable
        If it cannot be done here, with the reason or what pip or the compiler said.
    """
    if why := _unfit():
        raise Unavailable(why)
    wheel.fetch()
    if why := wheel.missing():
        raise Unavailable(why)
    build.build(wheel.folder())


def install(devices: int = 2, peers: bool = True, memory: int = 8 << 30, order: str | int = "now") -> None:
    """Make ``import cupy`` find the emulated GPUs, as long as this process runs. Libraries are compiled if needed.

    Parameters
    ----------
    devices
        How many GPUs there are.
    peers
        Whether they can access each other's memory.
    memory
        The memory of each, in bytes.
    order
        When queued work runs: see the function ``order``.

    Raises
    ------
    Unavailable
        If it cannot be used here.
    RuntimeError
        If CuPy has been imported, or the emulator installed, before.
    """
    if installed() or "cupy" in sys.modules:
        what = "the emulator is installed" if installed() else "CuPy has been imported"
        raise RuntimeError(f"{what} already: call install once, before anything imports CuPy")
    if why := missing():
        raise Unavailable(why)
    cupy = wheel.folder()
    libraries = build.build(cupy)
    finder = Finder(cupy, libraries)
    runtime = finder.libraries[0]
    _installed.append(_Emulator(runtime, devices, str(order)))
    runtime.emulator_set_memory(ctypes.c_size_t(memory))
    runtime.emulator_set_devices(devices)
    runtime.emulator_set_peers(peers)
    runtime.emulator_set_order(str(order).encode())
    os.environ["CUPY_CACHE_DIR"] = str(build.kernels(libraries))
    sys.path.insert(0, str(cupy))
    sys.meta_path.insert(0, finder)


def installed() -> bool:
    """Whether CuPy's GPUs are emulated in this process."""
    return bool(_installed)


def counts() -> dict[str, int]:
    """How often each thing was asked of the GPUs since the process began."""
    return dict(
        zip(COUNTED, (ctypes.c_long * len(COUNTED)).in_dll(_emulator().runtime, "emulator_counts"), strict=True)
    )


@contextmanager
def order(when: str | int) -> Generator[None]:
    """Run queued work in another order; what is queued before and after is finished first.

    Parameters
    ----------
    when
        ``"now"``: as it is queued. ``"late"``: only when the host waits for it, the longest delay that CUDA allows.
        ``"main"``: at once on the default stream, late on others. A number is a seed: at each call some work, of any
        stream, is drawn from it. Code that is right in one order only has a race.
    """
    emulator = _emulator()
    before, emulator.order = emulator.order, str(when)
    emulator.runtime.emulator_set_order(emulator.order.encode())
    try:
        yield
    finally:
        emulator.order = before
        emulator.runtime.emulator_set_order(before.encode())


@contextmanager
def devices(count: int) -> Generator[None]:
    """Have this many GPUs; 0 is a machine without one."""
    emulator = _emulator()
    before, emulator.devices = emulator.devices, count
    emulator.runtime.emulator_set_devices(count)
    try:
        yield
    finally:
        emulator.devices = before
        emulator.runtime.emulator_set_devices(before)


@contextmanager
def exact() -> Generator[None]:
    """Run every thread of a kernel by itself, also where one thread could compute what all do."""
    _emulator().runtime.emulator_set_exact(1)
    try:
        yield
    finally:
        _emulator().runtime.emulator_set_exact(0)


def _emulator() -> _Emulator:
    if not _installed:
        raise RuntimeError("the emulator is not installed: call install() before anything imports CuPy")
    return _installed[0]


def _unfit() -> str | None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return f"GPUs are emulated on x86-64 Linux only, and this is {sys.platform} on {platform.machine()}"
    if sys.implementation.name != "cpython":
        return f"CuPy has wheels for CPython only, and this is {sys.implementation.name}"
    return build.missing()
