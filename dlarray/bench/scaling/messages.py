"""What sums over ranks cost: messages, bytes sent and bytes added, and the seconds of each.

The formulas are those of Thakur, Rabenseifner and Gropp, Optimization of Collective Communication Operations in MPICH,
2005. A message of m bytes takes α + β m seconds (Hockney, 1994), and adding m bytes takes γ m.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dlarray.core.check import at_least_one

__all__ = ["Link", "Traffic", "all_gather", "all_reduce", "reduce_scatter", "ring"]

SHORT = 2048
"""Bytes up to which MPICH sums by recursive doubling."""
MEDIUM = 512 * 1024
"""Bytes from which MPICH scatters pairwise and gathers in a ring."""


@dataclass(frozen=True)
class Traffic:
    """What one rank does in a collective operation: messages one after the other, bytes sent, bytes added."""

    messages: float
    sent: float
    added: float

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.messages + other.messages, self.sent + other.sent, self.added + other.added)


@dataclass(frozen=True)
class Link:
    """T = (α + o) messages + β sent + γ added.

    Of operations that are started at once all bytes and overheads count, but only the longest wait, α messages.

    Inside one machine messages are copies in memory. ``cache`` is the number of sent bytes up to which they are copied
    at ``bandwidth``; those beyond it are copied at ``memory_bandwidth``. Raises ValueError for negative
    seconds, and for a bandwidth that is not positive.

    Parameters
    ----------
    latency
        α, the seconds of an empty message.
    bandwidth
        1 / β, bytes per second in each direction.
    adding
        γ, seconds to add one byte to another.
    overhead
        o, the seconds for which a message occupies the processor (Culler et al., LogP, 1993).
    cache, memory_bandwidth
        The second bandwidth, of all bytes beyond ``cache``. By default there is none.
    """

    latency: float
    bandwidth: float
    adding: float = 0.0
    overhead: float = 0.0
    cache: float = math.inf
    memory_bandwidth: float = math.inf

    def __post_init__(self) -> None:
        if min(self.latency, self.adding, self.overhead, self.cache) < 0:
            raise ValueError(f"latency, adding, overhead and cache must be at least 0, got {self}")
        if not (self.bandwidth > 0 and self.memory_bandwidth > 0):
            raise ValueError(f"a bandwidth must be above 0, in bytes per second, got {self}")

    def seconds(self, *traffic: Traffic) -> float:
        """The time of collective operations that are started at once."""
        return self.waiting(*traffic) + sum(map(self._busy, traffic))

    def waiting(self, *traffic: Traffic) -> float:
        """The part of it in which nothing is sent: the latencies of the operation with most messages."""
        return self.latency * max(one.messages for one in traffic)

    def _busy(self, traffic: Traffic) -> float:
        near = min(traffic.sent, self.cache)
        sent = near / self.bandwidth + (traffic.sent - near) / self.memory_bandwidth
        return self.overhead * traffic.messages + sent + self.adding * traffic.added


def all_reduce(ranks: int, size: float) -> Traffic:
    """A sum of ``size`` bytes that every rank gets, by the algorithm that MPICH chooses.

    Up to 2,048 bytes recursive doubling: lg n messages of all bytes. Above it Rabenseifner's: a reduce-scatter by
    recursive halving and an all-gather by recursive doubling: 2 lg n messages, 2 m (n - 1)/n bytes. If n is no power of
    two, the ranks beyond the last one first give their bytes to a neighbour, and get the sum from it at the end.
    """
    power, rest = _power(ranks)
    if ranks == 1:
        return rest
    rounds, part = math.log2(power), size * (power - 1) / power
    if ranks > power:
        rest = Traffic(2, 2 * size, size)
    if size <= SHORT:
        return rest + Traffic(rounds, rounds * size, rounds * size)
    return rest + Traffic(2 * rounds, 2 * part, part)


def reduce_scatter(ranks: int, size: float) -> Traffic:
    """A sum of ``size`` bytes of which every rank gets its piece: m (n - 1)/n bytes.

    Below 512 KiB recursive halving: lg n messages. Above it, in pairs: n - 1.
    """
    part = size * (ranks - 1) / ranks
    power, rest = _power(ranks)
    if size >= MEDIUM:
        return Traffic(ranks - 1, part, part)
    if ranks > power:  # as in all_reduce, but only a piece comes back
        rest = Traffic(2, size + size / ranks, size)
    return rest + Traffic(math.log2(power), part, part)


def all_gather(ranks: int, size: float) -> Traffic:
    """All pieces, ``size`` bytes together, on every rank: m (n - 1)/n bytes.

    Below 512 KiB recursive doubling or Bruck's algorithm: ⌈lg n⌉ messages. Above it, in a ring: n - 1.
    """
    part = size * (ranks - 1) / ranks
    at_least_one("ranks", ranks)
    return Traffic(ranks - 1 if size >= MEDIUM else math.ceil(math.log2(ranks)), part, 0)


def ring(ranks: int, size: float) -> Traffic:
    """A sum that every rank gets, in a ring, as NCCL does it: 2 (n - 1) messages, 2 m (n - 1)/n bytes.

    Patarasuk and Yuan, Bandwidth Optimal All-reduce Algorithms for Clusters of Workstations, 2009.
    """
    at_least_one("ranks", ranks)
    part = size * (ranks - 1) / ranks
    return Traffic(2 * (ranks - 1), 2 * part, part)


def _power(ranks: int) -> tuple[int, Traffic]:
    """The largest power of two that is not above the number of ranks, and no traffic."""
    at_least_one("ranks", ranks)
    return 1 << (ranks.bit_length() - 1), Traffic(0, 0, 0)
