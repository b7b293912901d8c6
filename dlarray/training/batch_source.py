"""Sources of batches: arrays that hold all examples, or an iterable that yields one batch at a time.

Data in blocks are in ``block_source``.

The batches are on the device that computes the step, or are moved to it while the step before is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol, cast

import numpy as np

from dlarray.core.array import Array, is_array
from dlarray.core.random import Bits
from dlarray.device import Device
from dlarray.training.block_source import BlockSource
from dlarray.training.data import Examples
from dlarray.training.pieces import Piece, Pieces
from dlarray.training.step import Batch

__all__ = ["ArraySource", "BatchSource", "IterableSource", "UploadSource", "is_batch_iterable"]


class BatchSource(Protocol):
    """Yields the batches of a run."""

    @property
    def steps(self) -> int | None:
        """The number of batches in an epoch; None if it is unknown before the epoch has ended."""
        ...

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, counted from 0, without the first ``start``."""
        ...


@dataclass(frozen=True)
class ArraySource:
    """Batches of examples, on the examples' device, in an order that depends only on seed and epoch."""

    examples: Examples
    size: int
    seed: int
    shuffle: bool
    device: Device

    @property
    def steps(self) -> int:
        return -(-len(self.examples) // self.size)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        return self.examples.batches(self.size, self.order(epoch), start)

    def pieces(self, epoch: int, start: int = 0) -> Iterator[Piece]:
        """The same batches as one piece."""
        yield Piece(self.examples, self.size, self.order(epoch), len(self.examples), start)

    def order(self, epoch: int) -> Array | None:
        """The indices of the examples in the order of an epoch; None for the order of the arrays."""
        order = self.host_order(epoch)
        return None if order is None else self.device.asarray(order)

    def host_order(self, epoch: int) -> np.ndarray | None:
        """``order`` on the host."""
        if not self.shuffle or self.size >= len(self.examples):
            return None  # the mean over all examples does not depend on their order
        return Bits(self.seed, f"order {epoch}").permutation(len(self.examples)).astype(np.int32)


class IterableSource:
    """Batches from an iterable, or from a function that returns one. Each is checked and moved when it is needed.

    Without ``per_epoch`` an epoch is one pass. With it, an epoch is that many batches, and the next epoch continues
    where it ended; an exhausted iterable is started again. An iterator, such as a generator, can be used only once.
    """

    def __init__(self, given: Any, per_epoch: int | None) -> None:
        self._iterable = given
        self.per_epoch = per_epoch
        self._iterator: Iterator[Any] | None = None
        self._batches_taken = 0
        self._make: Callable[[], Iterable[Any]] = cast("Callable[[], Any]", given) if callable(given) else lambda: given
        made = self._make()
        self.only_once = not callable(given) and iter(made) is made
        self.prepare: Callable[[Any, Any, Any], Examples] = Examples
        """Checks inputs, targets and weights and moves them. ``fit`` sets it after it has read the first batch."""
        if self.only_once:
            first = next(iter(made), None)
            self._iterator = chain([] if first is None else [first], made)
        else:
            first = next(iter(made), None)
        if first is None:
            raise ValueError("x has no batches: the iterable is empty")
        self.first = _parts(first)

    @property
    def steps(self) -> int | None:
        if self.per_epoch is not None:
            return self.per_epoch
        return len(self._iterable) if isinstance(self._iterable, Sized) else None

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for item in self._items(epoch, start):
            examples = self.prepare(*_parts(item))
            yield examples.x, examples.t, examples.weight

    def _items(self, epoch: int, start: int) -> Iterator[Any]:
        if self.per_epoch is None:
            passing = self._iterator if self.only_once and self._iterator is not None else self._new_iterator()
            yield from islice(passing, start, None)
            return
        wanted = epoch * self.per_epoch + start
        while self._batches_taken < wanted:  # a resumed run skips the batches that it has used
            self._next()
        while self._batches_taken < (epoch + 1) * self.per_epoch:
            yield self._next()

    def _next(self) -> Any:
        nothing = object()
        if self._iterator is None:
            self._iterator = self._new_iterator()
        item = next(self._iterator, nothing)
        if item is nothing and not self.only_once:
            self._iterator = self._new_iterator()
            item = next(self._iterator, nothing)
        if item is nothing:
            raise ValueError(
                f"x is exhausted after {self._batches_taken} batches, and more are needed: an iterator can be used "
                f"only once; give a function that makes a new one, or fewer epochs"
            )
        self._batches_taken += 1
        return item

    def _new_iterator(self) -> Iterator[Any]:
        return iter(self._make())


@dataclass(frozen=True)
class UploadSource:
    """The batches of a source of host arrays, moved to the device by its backend."""

    source: BatchSource
    device: Device

    @property
    def steps(self) -> int | None:
        return self.source.steps

    @property
    def only_once(self) -> bool:
        """Whether the batches can be read only once."""
        return bool(getattr(self.source, "only_once", False))

    @property
    def pieces(self) -> Pieces | None:
        """Of data in blocks the groups, each moved as a whole; None for others, which need not fit on the device."""
        if not isinstance(source := self.source, BlockSource):
            return None
        return lambda epoch, start: (piece.on(self.device) for piece in source.pieces(epoch, start))

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        batches = self.device.backend.upload(self.source.batches(epoch, start), self.device.handle)
        return cast("Iterator[Batch]", batches)


def is_batch_iterable(x: Any) -> bool:
    """Whether x yields batches: a function, an iterator, or an iterable of tuples; not an array or a table."""
    if is_array(x) or isinstance(x, (str, bytes, Mapping, type)) or hasattr(x, "__array__"):
        return False
    if isinstance(x, Sequence):
        items = cast("Sequence[Any]", x)
        return len(items) > 0 and isinstance(items[0], tuple)
    return callable(x) or isinstance(x, Iterable)


def _parts(item: Any) -> tuple[Any, Any, Any]:
    """(x, y, weight or None) of one item of an iterable."""
    if not isinstance(item, (tuple, list)) or len(cast("Sequence[Any]", item)) not in (2, 3):
        raise TypeError(f"each batch must be a tuple (x, y) or (x, y, weight), got {_shown(item)}")
    parts = cast("Sequence[Any]", item)
    return parts[0], parts[1], parts[2] if len(parts) == 3 else None


def _shown(item: Any) -> str:
    if isinstance(item, (tuple, list)):
        return f"a {type(item).__name__} of {len(cast('Sequence[Any]', item))}"  # pyright: ignore[reportUnknownArgumentType]
    return f"a {type(item).__name__}"
