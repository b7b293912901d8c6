"""The interface of a reader of blocks, and readers that give a part of what another one gives."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from dlarray.blocks.scaling import Standardizer
from dlarray.core.random import Bits

__all__ = ["Block", "BlockReader", "ChosenBlocks", "ChosenRows", "DerivedReader", "StandardizedBlocks"]

Block = tuple[Any, Any, Any]
"""Inputs (rows, inputs), targets (rows,) or (rows, outputs), and a weight for each row or None: host arrays."""


class BlockReader(ABC):
    """Reads blocks of rows. ``Blocks`` adds what is done with them."""

    blocks_per_group: int | None = None
    """How many blocks are in memory at a time, their rows shuffled together; None: chosen by ``group_size``."""
    features: tuple[str, ...] | None = None
    """The names of the columns of x, which the trained model keeps."""
    classes: tuple[str | bool | int | float, ...] | None = None
    """The labels of the classes, if y holds their numbers."""

    @property
    @abstractmethod
    def lengths(self) -> Sequence[int]:
        """The number of rows of each block."""

    @abstractmethod
    def read(self, i: int) -> Block:
        """The block i as (x, y, weight or None). Only one thread at a time calls it, not always the main one."""

    @property
    def fingerprint(self) -> Any:
        """A text, or data of texts and numbers, that changes when the data change: compared when a run is resumed.

        By default the number of rows and of blocks, and a digest of the lengths and of the first block.
        """
        digest = hashlib.sha256(repr(list(self.lengths)).encode())
        first: Any = self.read(0) if len(self) else ()
        for part in first:
            if part is not None:
                digest.update(np.ascontiguousarray(part).tobytes())
        return {"rows": self.rows, "blocks": len(self), "digest": digest.hexdigest()[:16]}

    def targets(self, i: int) -> tuple[Any, Any]:
        """The targets and the weights of the block i. A subclass may read them without the inputs."""
        return self.read(i)[1:]

    def row_numbers(self, i: int) -> np.ndarray:
        """The numbers of the rows of the block i among all rows of the data."""
        return np.arange(self._first[i], self._first[i] + self.lengths[i], dtype=np.int64)

    @property
    def standardizer(self) -> Standardizer | None:
        """What standardizes the inputs of these blocks; None if nothing does."""
        return None

    def __len__(self) -> int:
        """The number of blocks."""
        return len(self.lengths)

    @property
    def rows(self) -> int:
        """The number of rows in all blocks."""
        return int(sum(self.lengths))

    @property
    def row_bytes(self) -> int:
        """The bytes of a row as ``read`` gives it."""
        return sum(a.nbytes for a in self.example if a is not None)

    @cached_property
    def _first(self) -> list[int]:
        """The number of the first row of each block."""
        return [0, *np.cumsum(self.lengths, dtype=np.int64).tolist()]

    @cached_property
    def example(self) -> Block:
        """One row of the first block that has rows: it shows types and shapes. Raises ValueError if there is no row."""
        for i, length in enumerate(self.lengths):
            if length:
                x, y, weight = self.read(i)
                return np.array(x[:1]), np.array(y[:1]), None if weight is None else np.array(weight[:1])
        raise ValueError("the data have no rows")


class DerivedReader(BlockReader):
    """A reader that changes what another one reads."""

    def __init__(self, base: BlockReader) -> None:
        self._base = base
        self.blocks_per_group, self.features, self.classes = base.blocks_per_group, base.features, base.classes

    @property
    def lengths(self) -> Sequence[int]:
        return self._base.lengths

    @property
    def fingerprint(self) -> Any:
        return self._base.fingerprint

    @property
    def standardizer(self) -> Standardizer | None:
        return self._base.standardizer

    def targets(self, i: int) -> tuple[Any, Any]:
        return self._base.targets(i)

    def row_numbers(self, i: int) -> np.ndarray:
        return self._base.row_numbers(i)


class ChosenBlocks(DerivedReader):
    """Some of the blocks of another reader, by their numbers."""

    def __init__(self, base: BlockReader, numbers: Sequence[int]) -> None:
        super().__init__(base)
        self._numbers = numbers
        self._lengths = tuple(base.lengths[i] for i in numbers)

    @property
    def lengths(self) -> Sequence[int]:
        return self._lengths

    @property
    def fingerprint(self) -> Any:
        return {"blocks": str(self._numbers), "of": self._base.fingerprint}

    def read(self, i: int) -> Block:
        return self._base.read(self._numbers[i])

    def targets(self, i: int) -> tuple[Any, Any]:
        return self._base.targets(self._numbers[i])

    def row_numbers(self, i: int) -> np.ndarray:
        return self._base.row_numbers(self._numbers[i])


class ChosenRows(DerivedReader):
    """The rows of another reader whose hash is below a limit, or the other rows."""

    def __init__(self, base: BlockReader, fraction: float, seed: int, below: bool) -> None:
        super().__init__(base)
        self._fraction, self._below = fraction, below
        self._key, self._limit = Bits(seed, "validation").raw(1), np.uint64(round(fraction * 2**64))
        self._lengths = tuple(len(self._chosen(i)) for i in range(len(base)))

    @property
    def lengths(self) -> Sequence[int]:
        return self._lengths

    @property
    def fingerprint(self) -> Any:
        return {"rows": f"{'' if self._below else 'without '}{self._fraction}", "of": self._base.fingerprint}

    def read(self, i: int) -> Block:
        x, y, weight = self._base.read(i)
        rows = self._chosen(i)
        return x[rows], y[rows], None if weight is None else weight[rows]

    def targets(self, i: int) -> tuple[Any, Any]:
        y, weight = self._base.targets(i)
        rows = self._chosen(i)
        return y[rows], None if weight is None else weight[rows]

    def row_numbers(self, i: int) -> np.ndarray:
        return self._base.row_numbers(i)[self._chosen(i)]

    def _chosen(self, i: int) -> np.ndarray:
        """The places of these rows in the block i of the other reader."""
        words = _hash(self._base.row_numbers(i).astype(np.uint64) + self._key)
        return np.flatnonzero((words < self._limit) == self._below)


class StandardizedBlocks(DerivedReader):
    """The blocks of another reader with standardized inputs."""

    def __init__(self, base: BlockReader, standardizer: Standardizer) -> None:
        super().__init__(base)
        self._standardizer = standardizer

    @property
    def standardizer(self) -> Standardizer | None:
        return self._standardizer

    @property
    def fingerprint(self) -> Any:
        return {"standardizer": self._standardizer.to_data(), "of": self._base.fingerprint}

    def read(self, i: int) -> Block:
        x, y, weight = self._base.read(i)
        return self._standardizer(x), y, weight


def _hash(words: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit words that scrambles their bits: SplitMix64 (Steele, Lea and Flood 2014)."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
