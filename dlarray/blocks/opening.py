"""``open_blocks``: blocks of files, arrays and custom objects."""

from __future__ import annotations

from errno import ENOENT
from operator import index
from os import PathLike, strerror
from pathlib import Path
from typing import Any, TypeGuard, cast

import numpy as np

from dlarray.blocks.arrays import ArrayBlocks, ArrayLike, Part
from dlarray.blocks.base import Blocks
from dlarray.blocks.interface import Block
from dlarray.blocks.npy import NpyFile, npy_parts
from dlarray.blocks.zarr_group import is_zarr, zarr_part
from dlarray.core.check import at_least_one

__all__ = ["as_blocks", "is_blocks", "open_blocks"]


def open_blocks(
    x: Any, y: Any = None, weight: Any = None, *, rows_per_block: int | None = None, blocks_per_group: int | None = None
) -> Blocks:
    """Open data larger than memory, without reading them: ``fit(model, open_blocks("folder"))``.

    Parameters
    ----------
    x
        A folder of ``.npy`` files, a Zarr group or its path, a ``.npy`` file, or an array that is read by slices of
        rows, such as a memory map of NumPy or a data set of h5py: (rows, inputs). Or any object with ``lengths``, the
        rows of each block, and ``read(i)``, which gives (x, y) or (x, y, weight) of one block. Files of a folder are
        ``x.npy`` and ``y.npy``, with ``weight.npy`` if there are weights, or several such parts: ``x-00.npy`` and
        ``y-00.npy``, ``x-01.npy`` and ``y-01.npy``. A Zarr group has arrays with these names.
    y, weight
        The targets, and a weight for each row if there are any, where x is a file or an array.
    rows_per_block
        The rows that are read together. By default as many as have 2¹⁸ numbers; of arrays in chunks, such as Zarr's,
        whole chunks, at least one and at most a shard.
    blocks_per_group
        The blocks that are in memory at a time; their rows are shuffled together. A larger number makes the order more
        like that of a full shuffle and takes more memory. By default as many as have 2²⁴ numbers, at most 64 and at
        least 8.

    Raises
    ------
    ValueError
        If the data have no rows, are incomplete, or x, y and weight do not fit together.
    TypeError
        For an object that is none of these.
    OSError
        If a file cannot be read.
    ImportError
        For Zarr, if it is not installed.
    """
    if rows_per_block is not None:
        at_least_one("rows_per_block", rows_per_block)
    found = _opened(x, y, weight, rows_per_block)
    if blocks_per_group is not None:
        found.blocks_per_group = at_least_one("blocks_per_group", blocks_per_group)
    return found


def _opened(x: Any, y: Any, weight: Any, rows: int | None) -> Blocks:
    if _is_path(x) and not Path(x).exists():
        raise FileNotFoundError(ENOENT, strerror(ENOENT), str(x))
    whole = is_blocks(x) or (_is_path(x) and Path(x).is_dir()) or is_zarr(x)
    if whole and (y is not None or weight is not None):
        raise ValueError("x has the targets and the weights already: leave out y and weight")
    if is_blocks(x):
        if rows is not None:
            raise ValueError("rows_per_block is for files and arrays: this object has its own blocks")
        return as_blocks(x)
    if whole:
        x = Path(x) if _is_path(x) else x
        return ArrayBlocks([zarr_part(x)] if is_zarr(x) else npy_parts(x), rows)
    if y is None:
        raise ValueError("y is missing: give the targets of x as a second file or array, open_blocks(x, y)")
    arrays = [_array(name, a) for name, a in (("x", x), ("y", y), ("weight", weight)) if a is not None]
    return ArrayBlocks([Part("x", *arrays)], rows)


def is_blocks(x: Any) -> TypeGuard[Any]:
    """Whether x is data in blocks: a ``Blocks``, or an object with ``lengths`` and ``read``."""
    return isinstance(x, Blocks) or (hasattr(x, "lengths") and callable(getattr(x, "read", None)))


def as_blocks(x: Any) -> Blocks:
    """A custom object with ``lengths`` and ``read`` as ``Blocks``; ``Blocks`` stay as they are."""
    return x if isinstance(x, Blocks) else _CustomBlocks(x)


class _CustomBlocks(Blocks):
    """The blocks of an object with ``lengths``, ``read(i)`` and perhaps other members of ``Blocks``."""

    def __init__(self, given: Any) -> None:
        self._given = given
        self._lengths = tuple(map(_length, given.lengths))
        for name in ("blocks_per_group", "features", "classes"):
            if getattr(given, name, None) is not None:
                setattr(self, name, getattr(given, name))

    @property
    def lengths(self) -> tuple[int, ...]:
        return self._lengths

    def read(self, i: int) -> Block:
        found: Any = self._given.read(i)
        if not isinstance(found, (tuple, list)) or len(cast("list[Any]", found)) not in (2, 3):
            raise TypeError(f"read({i}) must give (x, y) or (x, y, weight), got {type(cast('Any', found)).__name__}")
        x, y, *weight = cast("list[Any]", found)
        return np.asarray(x), np.asarray(y), np.asarray(weight[0]) if weight and weight[0] is not None else None

    @property
    def fingerprint(self) -> Any:
        own = getattr(self._given, "fingerprint", None)
        return super().fingerprint if own is None else own


def _length(rows: Any) -> int:
    message = f"lengths must have the number of rows of each block, got {rows!r}"
    try:
        found = index(rows)
    except TypeError as error:
        raise TypeError(message) from error
    if found < 0:
        raise ValueError(message)
    return found


def _is_path(x: Any) -> TypeGuard[str | PathLike[str]]:
    return isinstance(x, (str, PathLike))


def _array(name: str, x: Any) -> ArrayLike:
    if _is_path(x):
        return NpyFile(x)
    if all(hasattr(x, member) for member in ("shape", "dtype", "__getitem__")) and len(x.shape):
        return x
    raise TypeError(
        f"{name} must be a path, an array that is read by slices of rows, or an object with lengths and read(i), got "
        f"{type(x).__name__}"
    )
