"""The limits of the machine, measured: the rate of large products, and the bandwidth of memory and caches.

Both are measured with the device's library, so they are limits of that library on this machine, with the threads that
it uses. NumPy uses one thread for element-wise operations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray.core.array import Array
from dlarray.device import Device
from dlarray.device.description import Work
from dlarray.device.timing import low

__all__ = ["SIZES", "Limits", "limits"]

SIZES = tuple(2**k for k in range(16, 29, 2))
"""The sizes in bytes of the arrays used to measure bandwidth, 64 KiB to 256 MiB."""

SIDES = (256, 512, 1024, 2048, 4096, 8192)
"""The sizes of the square matrices that are multiplied, until one product takes long enough."""

LONG = 0.02
"""Seconds of a measurement that make the cost of a clock or of a kernel launch negligible."""

CACHED = 1.5
"""An array counts as being in a cache if its bandwidth is this many times that of memory."""


@dataclass(frozen=True)
class Limits:
    """The roofline of a machine: the least time that a work takes.

    Williams, Waterman and Patterson 2009, "Roofline: an insightful visual performance model".
    """

    products: float
    """Arithmetic operations per second of a large square product."""
    bandwidths: tuple[tuple[int, float], ...]
    """The size of an array in bytes, and the bytes per second read and written by x += 1, in order of size."""

    @property
    def memory(self) -> float:
        """Bytes per second of the largest array."""
        return self.bandwidths[-1][1]

    @property
    def cache(self) -> int:
        """The size in bytes of the largest array that is in a cache; 0 if there is none."""
        return max((n for n, rate in self.bandwidths if rate >= CACHED * self.memory), default=0)

    def bandwidth(self, nbytes: int) -> float:
        """Bytes per second for this many bytes: that of the smallest array at least as large, else of the largest."""
        return next((rate for n, rate in self.bandwidths if n >= nbytes), self.memory)

    def seconds(self, work: Work) -> float:
        """The least time of a work: the time of its bytes or, for a product, of its arithmetic if that is longer.

        The limit of a kernel's arithmetic, such as exponentials, is not known.
        """
        moving = work.nbytes / self.bandwidth(work.nbytes)
        return max(moving, work.flops / self.products) if work.kind == "product" else moving

    def which(self, work: Work) -> str:
        """What limits a work: "products", "memory", or "cache" if all its bytes fit in a cache."""
        if work.kind == "product" and work.flops / self.products >= work.nbytes / self.bandwidth(work.nbytes):
            return "products"
        return "cache" if work.nbytes <= self.cache else "memory"


def limits(
    device: Device,
    dtype: str,
    sizes: Sequence[int] = SIZES,
    sides: Sequence[int] = SIDES,
    clock: Callable[[], float] = time.perf_counter,
) -> Limits:
    """Measure the limits of a device for this dtype, in about two seconds."""
    draw = np.random.default_rng(0)
    rate = 0.0
    for side in sides:
        a, b = (device.asarray(draw.random((side, side), dtype=np.float32), dtype) for _ in range(2))
        took = _seconds(device, lambda a=a, b=b: a @ b, clock)
        rate = max(rate, 2 * side**3 / took)
        if took >= LONG:
            break
    rates: list[tuple[int, float]] = []
    for nbytes in sizes:
        x = device.asarray(np.zeros(nbytes // np.dtype(dtype).itemsize), dtype)
        rates.append((nbytes, 2 * nbytes / _seconds(device, lambda x=x: _increased(x), clock)))
    return Limits(rate, tuple(rates))


def _increased(x: Array) -> Array:
    x += 1  # in place: allocating would take time
    return x


def _seconds(device: Device, work: Callable[[], Any], clock: Callable[[], float]) -> float:
    """The seconds of a call: the 10th percentile of five means over many calls."""

    def turn(times: int) -> float:
        start = clock()
        for _ in range(times):
            work()
        device.backend.synchronize(device.handle)
        return max(clock() - start, 1e-9) / times

    turn(1)
    times = max(1, round(LONG / turn(1)))
    return low([turn(times) for _ in range(5)])
