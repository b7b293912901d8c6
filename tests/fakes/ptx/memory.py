"""The memory that a kernel of PTX can access: ranges of the host's addresses. Each access is checked.

With ``watch`` every access is recorded. After a launch ``races`` finds accesses of two threads to the same bytes, one
of them a write, without an order. Two accesses have an order if one thread does both, if a barrier of their block or
warp is between them, or fences and an atomic operation of each block.
"""

from __future__ import annotations

import bisect
import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.fakes.ptx.arithmetic import Array

__all__ = ["Access", "Memory", "Range"]


@dataclass
class Who:
    """Threads that access memory, and what each of them has seen of the others."""

    threads: Array
    blocks: Array
    epochs: Array
    """How many barriers each one's block has passed."""
    turns: Array
    """How many barriers of its warp."""
    seen: Array
    """The last atomic operation of its block, by number, that each one knows of through a fence."""
    clock: int
    """The atomic operations so far."""

    def __getitem__(self, here: Any) -> Who:
        arrays = (self.threads, self.blocks, self.epochs, self.turns, self.seen)
        return Who(*(array[here] for array in arrays), self.clock)


@dataclass
class Range:
    start: int
    stop: int
    space: str
    writable: bool = True
    owner: Any = None
    """The object that keeps the memory alive."""

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
    who: Who


class Memory:
    def __init__(self, watch: bool = False) -> None:
        self._ranges: list[Range] = []
        self._starts: list[int] = []
        self.watch = watch
        self.accesses: list[Access] = []

    def allow(self, start: int, nbytes: int, space: str = "global", writable: bool = True, owner: Any = None) -> None:
        """Let kernels access these bytes; ranges that overlap become one."""
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
        """Bytes that start at a multiple of 256, as in CUDA."""
        whole = np.full(nbytes + 512, 0x5A, np.uint8)
        start = -whole.ctypes.data % 256
        self.allow(whole.ctypes.data + start, nbytes, space, writable, whole)
        return whole[start : start + nbytes]

    def _pieces(self, addresses: Array, nbytes: int, space: str, write: bool) -> Iterator[tuple[Range, Any]]:
        """The ranges of the addresses, each with the indices of its addresses."""
        if (addresses & np.uint64(nbytes - 1)).any():
            wrong = int(addresses[(addresses & np.uint64(nbytes - 1)) != 0][0])
            raise ValueError(f"an access of {nbytes} bytes at {wrong:#x} is not aligned")
        rest = np.arange(addresses.size)
        while rest.size:
            first = int(addresses[rest].min())
            found = self._ranges[max(bisect.bisect_right(self._starts, first) - 1, 0)] if self._ranges else None
            inside = found and (first >= found.start) and first + nbytes <= found.stop
            if not found or not inside or (write and not found.writable) or (space and space != found.space):
                where = (
                    f"{'writing' if write else 'reading'} {nbytes} bytes at {first:#x} as {space or 'generic'} memory"
                )
                near = found and f"; the nearest is {found.space} at {found.start:#x} to {found.stop:#x}"
                raise IndexError(f"{where}, which is not allowed{near}")
            mine = addresses[rest] <= np.uint64(found.stop - nbytes)
            if mine.all():
                yield found, rest if rest.size < addresses.size else slice(None)
                return
            yield found, rest[mine]
            rest = rest[~mine]

    def read(self, space: str, addresses: Array, dtype: np.dtype[Any], count: int, who: Who | None) -> Array:
        """``count`` items side by side at each address, as (count, addresses)."""
        made = np.empty((count, addresses.size), dtype)
        for found, here in self._pieces(addresses, dtype.itemsize * count, space, False):
            units = ((addresses[here] - np.uint64(found.base)) // np.uint64(dtype.itemsize)).astype(np.int64)
            items = found.items(dtype)
            for i in range(count):
                made[i, here] = items[units + i]
            self._remember(found, addresses[here], dtype.itemsize * count, False, who, here)
        return made

    def write(self, space: str, addresses: Array, values: Sequence[Array], who: Who | None) -> None:
        """Each of the values, side by side, at each address."""
        dtype, count = values[0].dtype, len(values)
        for found, here in self._pieces(addresses, dtype.itemsize * count, space, True):
            units = ((addresses[here] - np.uint64(found.base)) // np.uint64(dtype.itemsize)).astype(np.int64)
            items = found.items(dtype)
            for i, value in enumerate(values):
                items[units + i] = value[here]
            self._remember(found, addresses[here], dtype.itemsize * count, True, who, here)

    def _remember(self, found: Range, addresses: Array, size: int, write: bool, who: Who | None, here: Any) -> None:
        if self.watch and who is not None and found.writable and found.space in ("global", "shared"):
            mine = who if addresses.size == 1 else who[here]
            self.accesses.append(Access(found, np.broadcast_to(addresses, mine.threads.shape), size, write, mine))

    def races(self, published: dict[int, list[int]]) -> list[str]:
        """Descriptions of the bytes that one thread writes and another accesses without an order.

        ``published``: the numbers of each block's atomic operations before which all its threads had passed a fence.
        """
        found: list[str] = []
        for owner in {id(a.range): a.range for a in self.accesses}.values():
            mine = [a for a in self.accesses if a.range is owner]
            unit = int(np.gcd.reduce([a.size for a in mine]))
            units, which, who = _units(mine, unit, owner, published)
            writes = np.array([a.write for a in mine])[which]
            last = np.full((owner.stop - owner.base) // unit + 1, -1)  # the last write of each unit
            last[units[writes]] = np.flatnonzero(writes)
            other = last[units]
            ordered = (other < 0) | (who.threads == who.threads[other])
            ordered |= (who.blocks == who.blocks[other]) & (who.epochs != who.epochs[other])
            ordered |= (who.threads // 32 == who.threads[other] // 32) & (who.turns != who.turns[other])
            ordered |= (who.visible_at <= who.seen[other]) | (who.visible_at[other] <= who.seen)
            for i in np.flatnonzero(~ordered)[:3]:
                what, at = "written" if writes[i] else "read", int(units[i]) * unit + owner.base
                by = f"thread {who.threads[i]} and written by thread {who.threads[other[i]]}"
                found.append(f"{at:#x} is {what} by {by}")
        return found


@dataclass
class _Known:
    threads: Array
    blocks: Array
    epochs: Array
    turns: Array
    seen: Array
    visible_at: Array
    """The number of the first atomic operation that makes an access visible to others."""


def _units(
    accesses: Sequence[Access], unit: int, owner: Range, published: dict[int, list[int]]
) -> tuple[Array, Array, _Known]:
    """The accessed units, each with the number of its access and the thread."""
    units, which = list[Array](), list[Array]()
    parts = list[tuple[Array, ...]]()
    for n, a in enumerate(accesses):
        first = ((a.addresses - np.uint64(owner.base)) // np.uint64(unit)).astype(np.int64)
        visible_at = np.full(first.size, 2**62)
        for block in set(a.who.blocks.tolist()) & published.keys():
            later = [number for number in published[block] if number > a.who.clock]
            visible_at[a.who.blocks == block] = min(later, default=2**62)
        for i in range(a.size // unit):
            units.append(first + i)
            which.append(np.full(first.size, n))
            parts.append((a.who.threads, a.who.blocks, a.who.epochs, a.who.turns, a.who.seen, visible_at))
    return (
        np.concatenate(units),
        np.concatenate(which),
        _Known(*(np.concatenate([part[k] for part in parts]) for k in range(6))),
    )
