"""Blocks of arrays that are read by slices of rows: files, memory maps, Zarr."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from dlarray.blocks.base import Blocks
from dlarray.blocks.interface import Block
from dlarray.core.check import count

__all__ = ["ArrayBlocks", "ArrayLike", "Part"]

BLOCK_NUMBERS = 2**18
"""The numbers of the inputs in a block by default: 1 MiB in float32. Smaller blocks cost too many calls of Python."""
SAMPLES = 256
"""The rows whose bytes are part of the fingerprint; a smaller array is there as a whole."""


CHUNKS = 8
"""The same for arrays in chunks, of which whole chunks are read."""


class ArrayLike(Protocol):
    """An array on a disk: h5py's and Zarr's have these members, and memory maps of NumPy."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        ...

    @property
    def dtype(self) -> Any:
        """NumPy's dtype."""
        ...

    def __getitem__(self, rows: slice, /) -> Any:
        """These rows."""
        ...


@dataclass(frozen=True)
class Part:
    """Inputs, targets and perhaps weights of the same rows, with a name for messages."""

    name: str
    x: ArrayLike
    y: ArrayLike
    weight: ArrayLike | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if the arrays do not have the same rows, or x has no columns."""
        for name, array in (("y", self.y), ("weight", self.weight)):
            if array is not None and tuple(array.shape[:1]) != tuple(self.x.shape[:1]):
                raise ValueError(
                    f"{self.name}: x and {name} must have as many rows, got shapes {tuple(self.x.shape)} and "
                    f"{tuple(array.shape)}"
                )
        if len(self.x.shape) != 2 or 0 in self.x.shape[1:]:
            raise ValueError(f"{self.name}: x must have the shape (rows, inputs), got {tuple(self.x.shape)}")


class ArrayBlocks(Blocks):
    """Slices of ``rows_per_block`` rows of one or several parts. The last block of a part can be smaller.

    Raises ValueError if there are no rows, and for parts whose shapes or kinds of numbers differ.
    """

    def __init__(self, parts: Sequence[Part], rows_per_block: int | None = None) -> None:
        self.parts = tuple(parts)
        if not sum(part.x.shape[0] for part in self.parts):
            raise ValueError(f"{', '.join(part.name for part in self.parts) or 'the data'}: there are no rows")
        first = self.parts[0]
        for part in self.parts[1:]:
            for name in ("x", "y", "weight"):
                _check_same(name, first, part)
        self._types = {name: _common_type(name, self.parts) for name in ("x", "y", "weight")}
        """The type that holds the numbers or texts of all parts."""
        self.rows_per_block = rows_per_block or _rows_per_block(first.x)
        self._bounds = [
            (part, start, min(start + self.rows_per_block, part.x.shape[0]))
            for part in self.parts
            for start in range(0, part.x.shape[0], self.rows_per_block)
        ]

    @cached_property
    def lengths(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return tuple(stop - start for _, start, stop in self._bounds)

    def read(self, i: int) -> Block:
        part, start, stop = self._bounds[i]
        return np.asarray(part.x[start:stop], self._types["x"]), *self.targets(i)

    def targets(self, i: int) -> tuple[Any, Any]:
        part, start, stop = self._bounds[i]
        weight = None if part.weight is None else np.asarray(part.weight[start:stop], self._types["weight"])
        return np.asarray(part.y[start:stop], self._types["y"]), weight

    @cached_property
    def fingerprint(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """For each part the shapes and types, and a digest of up to 256 rows that are evenly spaced.

        Of arrays in chunks these are 8 rows. Times of files are not part of it, so copied data are the same data. A
        change of single rows between the samples is not noticed.
        """
        samples = max(SAMPLES // len(self.parts), 2)
        if getattr(self.parts[0].x, "chunks", None):
            samples = CHUNKS
        return {part.name: _fingerprint(part, samples) for part in self.parts}


def _check_same(name: str, first: Part, other: Part) -> None:
    """Raise ValueError unless this array of two parts has the same columns, and both have it or neither."""
    a, b = getattr(first, name), getattr(other, name)
    if (a is None) != (b is None):
        has, lacks = (first, other) if b is None else (other, first)
        raise ValueError(f"{has.name} has {name}, and {lacks.name} has none: give it for all parts or for none")
    if a is not None and a.shape[1:] != b.shape[1:]:
        raise ValueError(
            f"the parts must have the same columns: {name} of {first.name} has the shape {tuple(a.shape)}, of "
            f"{other.name} {tuple(b.shape)}"
        )


def _rows_per_block(x: ArrayLike) -> int:
    """The rows that have ``BLOCK_NUMBERS`` numbers; of an array in chunks whole ones, at most a shard."""
    rows = max(BLOCK_NUMBERS // x.shape[1], 1)
    if not (chunks := getattr(x, "chunks", None)):
        return rows
    shard = (getattr(x, "shards", None) or (rows,))[0]
    return chunks[0] * max(min(rows, shard) // chunks[0], 1)


def _common_type(name: str, parts: Sequence[Part]) -> np.dtype | None:
    """The type that holds this array of all parts. Raises TypeError for texts beside numbers."""
    types = {np.dtype(array.dtype) for part in parts if (array := getattr(part, name)) is not None}
    if len({dtype.kind in "UT" for dtype in types}) > 1:
        raise TypeError(f"{name} of the parts must all be numbers or all texts, got {' and '.join(map(str, types))}")
    return np.result_type(*types) if types else None


def _fingerprint(part: Part, samples: int) -> dict[str, Any]:
    found: dict[str, Any] = {"rows": part.x.shape[0]}
    digest, n = hashlib.sha256(), part.x.shape[0]
    bounds = np.unique(np.linspace(0, n, min(samples, n) + 1).astype(np.int64)).tolist()
    for name in ("x", "y", "weight"):
        array: ArrayLike | None = getattr(part, name)
        if array is None:
            continue
        found[name] = f"{array.dtype} {count(int(np.prod(array.shape[1:])), 'column')}"
        for start, _ in pairwise(bounds):
            digest.update(np.ascontiguousarray(array[start : start + 1]).tobytes())
    return found | {"digest": digest.hexdigest()[:16]}
