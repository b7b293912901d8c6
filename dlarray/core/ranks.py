"""Ranks: the processes that compute each training step together, each on some rows of the batch.

``dlarray.parallel`` has the ranks of MPI. This module has their interface and imports no library for it.

Every rank calls the same methods in the same order. A rank that is alone calls them too: each returns its argument.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import sleep
from typing import Any

from dlarray.core.array import Array, array_namespace, device, is_symbolic
from dlarray.core.errors import Picklable

__all__ = ["ALONE", "RankError", "Ranks"]


class RankError(Picklable, RuntimeError):
    """Another rank has failed, or the ranks differ where they must be equal. ``rank`` is that rank.

    The message has the other rank's error: "rank 1 of 4 failed: ValueError: …".
    """

    def __init__(self, rank: int, size: int, what: str) -> None:
        super().__init__(f"rank {rank} of {size} {what}")
        self.rank = rank


class Ranks:
    """The processes that compute each step together. ``rank`` is the number of this one, from 0 to ``size`` - 1.

    This class is one rank alone. A subclass defines the methods that begin with an underscore, and ``exchange``,
    ``broadcast``, ``fail`` and ``close``. Where a method waits for the other ranks it raises RankError if one of them
    has failed.
    """

    rank: int = 0
    size: int = 1
    _silent: int = 0

    def sum(self, x: Array) -> Array:
        """Σ x over the ranks: a new array on x's device, with the same bits on every rank. x does not change."""
        if self.size == 1:
            return x
        if is_symbolic(x):  # a plan has the sum as a node
            return x.over_ranks("sum", self)
        return x if self._silent else self._sum(x)

    def sum_beside(self, x: Array) -> Array:
        """``sum`` whose result is read only after ``join_sums``, and until then nothing writes x.

        So a GPU may compute it beside later operations.
        """
        if self.size == 1 or self._silent or is_symbolic(x):
            return self.sum(x)
        return self._sum_beside(x)

    def join_sums(self) -> None:
        """Let what follows wait for the results of ``sum_beside``."""

    def start_sum(self, x: Array) -> Callable[[], None]:
        """Start Σ x over the ranks, in place, and return the function that waits for it. For plans.

        x is contiguous and can be written. It must neither be read nor written before the function has returned.
        """
        return _nothing if self.size == 1 or self._silent else self._start_sum(x)

    def start_gather(self, x: Array) -> Callable[[], None]:
        """Start ``gather`` in place, and return the function that waits for it. For plans, as ``start_sum`` is.

        The vector x has this rank's piece where ``bounds`` says.
        """
        if self.size == 1:
            return _nothing
        if self._silent:
            x[...] = self._gathered_alone(self.piece(x), x.shape[0])
            return _nothing
        return self._start_gather(x)

    def scatter_sum(self, x: Array) -> Array:
        """The piece of Σ x over the ranks that belongs to this one: a new array. ``bounds`` cuts the vector x."""
        if self.size == 1:
            return x
        if is_symbolic(x):
            return x.over_ranks("scatter_sum", self)
        return self.piece(x) if self._silent else self._scatter_sum(x)

    def gather(self, piece: Array, length: int) -> Array:
        """The vector of this length whose pieces the ranks give, on every rank. ``bounds(length)`` cuts it."""
        if self.size == 1:
            return piece
        if is_symbolic(piece):
            return piece.over_ranks("gather", self, length)
        return self._gathered_alone(piece, length) if self._silent else self._gather(piece, length)

    def bounds(self, n: int) -> list[int]:
        """``size`` + 1 bounds that cut n rows or numbers: rank r has those from bounds[r] to bounds[r + 1]."""
        return [i * n // self.size for i in range(self.size + 1)]

    def piece(self, x: Array) -> Array:
        """The rows or numbers of x that belong to this rank: a view, if the library has views."""
        first, last = self.bounds(x.shape[0])[self.rank : self.rank + 2]
        return x[first:last, ...]

    def exchange(self, value: Any) -> list[Any]:
        """The small Python objects that the ranks give, in their order, on every rank."""
        return [value]

    def broadcast(self, x: Array) -> Array:
        """Rank 0's numbers, in a new array of x's shape and dtype on its device."""
        return x

    def broadcast_all(self, vectors: tuple[Array, ...]) -> tuple[Array, ...]:
        """Rank 0's numbers of each vector of a tuple."""
        return tuple(self.broadcast(x) for x in vectors)

    @contextmanager
    def silent(self) -> Generator[None]:
        """A ``with`` block without communication: a sum is x itself, and what is gathered has zeros for the others.

        The checks of a plan run in it. So every rank does one set of sums in each step, whatever it checks.
        """
        self._silent += 1
        try:
            yield
        finally:
            self._silent -= 1

    def wait_until(self, complete: Callable[[], bool]) -> None:
        """Wait until this is true, with pauses. Raises RankError if another rank has failed."""
        while not complete():
            sleep(1e-4)

    def count_collective(self) -> None:
        """Count a collective by other means: a rank that has failed before it ends those that wait for it."""

    def fail(self, error: BaseException) -> None:
        """Tell the other ranks: those that wait for this one raise RankError with this error. It does not wait."""

    def close(self) -> None:
        """Give up what the ranks hold. Not called after a failure."""

    def _sum(self, x: Array) -> Array:
        raise NotImplementedError

    def _sum_beside(self, x: Array) -> Array:
        return self._sum(x)

    def _start_sum(self, x: Array) -> Callable[[], None]:
        raise NotImplementedError

    def _start_gather(self, x: Array) -> Callable[[], None]:
        x[...] = self._gather(self.piece(x), x.shape[0])
        return _nothing

    def _scatter_sum(self, x: Array) -> Array:
        raise NotImplementedError

    def _gather(self, piece: Array, length: int) -> Array:
        raise NotImplementedError

    def _gathered_alone(self, piece: Array, length: int) -> Array:
        xp = array_namespace(piece)
        first, last = self.bounds(length)[self.rank : self.rank + 2]

        def zeros(n: int) -> Array:
            return xp.zeros((n, *piece.shape[1:]), dtype=piece.dtype, device=device(piece))

        return xp.concat([zeros(first), piece, zeros(length - last)])


def _nothing() -> None:
    pass


ALONE = Ranks()
"""One rank: the default everywhere, so no code asks whether there are ranks."""
