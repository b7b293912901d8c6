"""The memory that a kernel of PTX may touch: ranges of the host's own addresses, each access checked.

With ``watch``, every access is remembered, so that after a launch ``races`` can say where what a thread reads or writes
depends on whether another thread has been there before.
"""

from __future__ import annotations

import bisect
import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.ptx_arithmetic import Array

__all__ = ["Access", "Memory", "Range"]


Who = tuple[Array, Array] | None
"""Which threads, and how many barriers each one's block has passed; None: an access that is whole by itself."""


@dataclass
class Range:
    start: int
    stop: int
    space: str
    writable: bool = True
    owner: Any = None
    """What keeps the memory alive."""

    def __post_init__(self) -> None:
        self.base = self.start // 16 * 16  # so that every aligned access is an item of a view
        length = -(-(self.stop - self.base) // 16) * 16
        self._window = np.frombuffer((ctypes.c_uint8 * length).from_address(self.base), np.uint8)
        self._views: dict[np.dtype[Any], Array] = {}

    def items(self, dtype: np.dtype[Any]) -> Array:
        if dtype not in self._views:
            self._views[dtype] = self._window.view(dtype)
        return self._views[dtype]


@dataclass
class Access:
    range: Range
    addresses: Array
    size: int
    write: bool
    threads: Array
    epochs: Array


class Memory:
    def __init__(self, watch: bool = False) -> None:
        self._ranges: list[Range] = []
        self._starts: list[int] = []
        self.watch = watch
        self.accesses: list[Access] = []

    def allow(self, start: int, nbytes: int, space: str = "global", writable: bool = True, owner: Any = None) -> None:
        """Let kernels touch these bytes; ranges that overlap become one."""
        stop = start + nbytes
        known = any(r.start <= start and stop <= r.stop and r.writable >= writable for r in self._ranges)
        if not nbytes or known:
            return
        for other in [r for r in self._ranges if r.start < stop and start < r.stop]:
            self._ranges.remove(other)
            start, stop, owner = min(start, other.start), max(stop, other.stop), (owner, other.owner)
            writable = writable or other.writable
        self._ranges.append(Range(start, stop, space, writable, owner))
        self._ranges.sort(key=lambda r: r.start)
        self._starts = [r.start for r in self._ranges]

    def forbid(self, start: int) -> None:
        self._ranges = [r for r in self._ranges if r.start != start]
        self._starts = [r.start for r in self._ranges]

    def allocate(self, nbytes: int, space: str, writable: bool = True) -> Array:
        """Bytes that begin at a multiple of 256, as CUDA's do."""
        whole = np.full(nbytes + 512, 0x5A, np.uint8)
        start = -whole.ctypes.data % 256
        self.allow(whole.ctypes.data + start, nbytes, space, writable, whole)
        return whole[start : start + nbytes]

    def _pieces(self, addresses: Array, nbytes: int, space: str, write: bool) -> Iterator[tuple[Range, Any]]:
        """The range of each address, with where in the addresses it is meant."""
        if (addresses & np.uint64(nbytes - 1)).any():
            wrong = int(addresses[(addresses & np.uint64(nbytes - 1)) != 0][0])
            raise ValueError(f"an access of {nbytes} bytes at {wrong:#x} is not aligned")
        rest = np.arange(addresses.size)
        while rest.size:
            first = int(addresses[rest].min())
            found = self._ranges[max(bisect.bisect_right(self._starts, first) - 1, 0)] if self._ranges else None
            inside = found and (first >= found.start) and first + nbytes <= found.stop
            if not found or not inside or (write and not found.writable) or (space and space != found.space):
                where = f"{'writing' if write else 'reading'} {nbytes} bytes at {first:#x} as {space or 'generic'} memory"
                near = found and f"; the nearest is {found.space} at {found.start:#x} to {found.stop:#x}"
                raise IndexError(f"{where}, which is not allowed{near}")
            mine = addresses[rest] <= np.uint64(found.stop - nbytes)
            if mine.all():
                yield found, rest if rest.size < addresses.size else slice(None)
                return
            yield found, rest[mine]
            rest = rest[~mine]

    def read(self, space: str, addresses: Array, dtype: np.dtype[Any], count: int, who: Who) -> Array:
        """``count`` items side by side at each address, as (count, addresses)."""
        made = np.empty((count, addresses.size), dtype)
        for found, here in self._pieces(addresses, dtype.itemsize * count, space, False):
            places = ((addresses[here] - np.uint64(found.base)) // np.uint64(dtype.itemsize)).astype(np.int64)
            items = found.items(dtype)
            for i in range(count):
                made[i, here] = items[places + i]
            self._remember(found, addresses[here], dtype.itemsize * count, False, who, here)
        return made

    def write(self, space: str, addresses: Array, values: Sequence[Array], who: Who) -> None:
        """Each of the values, side by side, at each address."""
        dtype, count = values[0].dtype, len(values)
        for found, here in self._pieces(addresses, dtype.itemsize * count, space, True):
            places = ((addresses[here] - np.uint64(found.base)) // np.uint64(dtype.itemsize)).astype(np.int64)
            items = found.items(dtype)
            for i, value in enumerate(values):
                items[places + i] = value[here]
            self._remember(found, addresses[here], dtype.itemsize * count, True, who, here)

    def _remember(self, found: Range, addresses: Array, size: int, write: bool, who: Who, here: Any) -> None:
        if self.watch and who is not None and found.writable and found.space in ("global", "shared"):
            threads, epochs = who if addresses.size == 1 else (who[0][here], who[1][here])
            everywhere = np.broadcast_to(addresses, threads.shape)
            self.accesses.append(Access(found, everywhere, size, write, threads, epochs))

    def races(self, threads_of_a_block: int) -> list[str]:
        """Bytes that one thread writes and another touches with no barrier of their block between them."""
        found: list[str] = []
        for owner in {id(a.range): a.range for a in self.accesses}.values():
            mine = [a for a in self.accesses if a.range is owner]
            unit = int(np.gcd.reduce([a.size for a in mine]))
            parts = {True: _units(mine, True, unit, owner), False: _units(mine, False, unit, owner)}
            places, threads, epochs = parts[True]
            writer = np.full((owner.stop - owner.base) // unit + 1, -1)
            # of one block's writes of several epochs the last one counts
            order = np.argsort(epochs, kind="stable")
            writer[places[order]] = threads[order]
            when = np.zeros(writer.size, np.int64)
            when[places[order]] = epochs[order]
            for write in (True, False):
                places, threads, epochs = parts[write]
                other = writer[places]
                same_block = other // threads_of_a_block == threads // threads_of_a_block
                wrong = (other >= 0) & (other != threads) & ~(same_block & (when[places] != epochs))
                for i in np.flatnonzero(wrong)[:3]:
                    what = "written" if write else "read"
                    at = int(places[i]) * unit + owner.base
                    found.append(f"{at:#x} is {what} by thread {threads[i]} and written by thread {other[i]}")
        return found


def _units(accesses: Sequence[Access], write: bool, unit: int, owner: Range) -> tuple[Array, Array, Array]:
    """The units that are read or written, by which thread, and when."""
    made: list[tuple[Array, Array, Array]] = []
    for a in accesses:
        if a.write == write:
            first = ((a.addresses - np.uint64(owner.base)) // np.uint64(unit)).astype(np.int64)
            made += [(first + i, a.threads, a.epochs) for i in range(a.size // unit)]
    if not made:
        return (np.empty(0, np.int64),) * 3
    places, threads, epochs = (np.concatenate([m[k] for m in made]) for k in range(3))
    return places, threads, epochs
