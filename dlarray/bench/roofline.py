"""What the machine can do at most, measured: the rate of large products, and how fast memory is read and written.

Both go through the library of the device itself, so they are limits of that library on this machine, with the threads
that it uses: one for whatever is pointwise in NumPy.
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
"""The bytes of the arrays that the bandwidth is measured with, 64 KiB to 256 MiB."""

SIDES = (256, 512, 1024, 2048, 4096, 8192)
"""Of the square matrices whose products are tried, until one takes long enough."""

LONG = 0.02  # seconds: beside it neither a clock nor a launch counts
CACHED = 1.5
"""How many times as fast as memory an array must be passed over to count as lying in a cache."""


@dataclass(frozen=True)
class Limits:
    """The roofline of a machine: what a work cannot be quicker than.

    Williams, Waterman and Patterson 2009, "Roofline: an insightful visual performance model".
    """

    products: float
    """Arithmetic operations a second of a large square product."""
    bandwidths: tuple[tuple[int, float], ...]
    """Bytes of an array, and how many a second are read and written when 1 is added to all of it; sizes grow."""

    @property
    def memory(self) -> float:
        """Bytes a second of the largest array."""
        return self.bandwidths[-1][1]

    @property
    def cache(self) -> int:
        """The bytes of the largest array that is passed over much faster than memory allows; 0 where there is none."""
        return max((n for n, rate in self.bandwidths if rate >= CACHED * self.memory), default=0)

    def bandwidth(self, nbytes: int) -> float:
        """Bytes a second for work on so many: of the smallest array measured that is as large, or of the largest."""
        return next((rate for n, rate in self.bandwidths if n >= nbytes), self.memory)

    def seconds(self, work: Work) -> float:
        """The least that a work takes: for its bytes at the bandwidth of their size, or for a product's arithmetic.

        No limit is known of a kernel's arithmetic, such as exponentials.
        """
        moving = work.nbytes / self.bandwidth(work.nbytes)
        return max(moving, work.flops / self.products) if work.kind == "product" else moving

    def which(self, work: Work) -> str:
        """What limits a work: "products", "memory", or "cache" where all that it touches fits into one."""
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
    """Measure the limits of a device for numbers of this type, in about two seconds."""
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
    x += 1  # where it lies: new memory would be waited for
    return x


def _seconds(device: Device, work: Callable[[], Any], clock: Callable[[], float]) -> float:
    """Of one piece of work, again and again for a while: the low mean of five turns."""

    def turn(times: int) -> float:
        start = clock()
        for _ in range(times):
            work()
        device.backend.synchronize(device.handle)
        return max(clock() - start, 1e-9) / times

    turn(1)
    times = max(1, round(LONG / turn(1)))
    return low([turn(times) for _ in range(5)])
