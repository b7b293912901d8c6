"""Blocks that are kept in a file after they have been read once: for data whose reading takes long."""

from __future__ import annotations

import errno
import tempfile
import weakref
from os import PathLike, fspath, strerror
from shutil import disk_usage
from threading import Lock
from typing import Any, cast

import numpy as np

from dlarray.blocks.interface import Block, BlockReader, DerivedReader
from dlarray.device.description import bytes_text

__all__ = ["CachedBlocks"]

_Place = tuple[int, tuple[int, ...], np.dtype[Any]]
"""Where an array begins in the file, its shape and its dtype."""


class CachedBlocks(DerivedReader):
    """The blocks of another reader, each written to a file in a folder when it is first read.

    The file has no name, so it is gone when the process ends. Several threads can read at the same time. Raises OSError
    if the folder has too little room.
    """

    def __init__(self, base: BlockReader, folder: str | PathLike[str]) -> None:
        super().__init__(base)
        needed = base.rows * base.row_bytes
        if (free := disk_usage(folder).free) < needed:
            raise OSError(
                errno.ENOSPC,
                f"{strerror(errno.ENOSPC)}: the blocks take {bytes_text(needed)}, and {bytes_text(free)} are free",
                fspath(folder),
            )
        self._file = cast("Any", tempfile.TemporaryFile(prefix="dlarray-", dir=folder))  # noqa: SIM115 - as long as this
        weakref.finalize(self, self._file.close)
        self._places: dict[int, tuple[_Place | None, ...]] = {}
        self._end = 0
        self._lock = Lock()  # the position in the file belongs to one thread at a time

    def read(self, i: int) -> Block:
        if i not in self._places:
            self._write(i, tuple(map(_plain, self._base.read(i))))
        x, y, weight = map(self._load, self._places[i])
        return x, y, weight

    def targets(self, i: int) -> tuple[Any, Any]:
        if i not in self._places:
            return self._base.targets(i)
        y, weight = map(self._load, self._places[i][1:])
        return y, weight

    def _write(self, i: int, block: tuple[np.ndarray | None, ...]) -> None:
        places: list[_Place | None] = []
        with self._lock:
            end = self._end
            self._file.seek(end)
            for part in block:
                if part is None:
                    places.append(None)
                    continue
                self._file.write(part.data)
                places.append((end, part.shape, part.dtype))
                end += part.nbytes
            self._file.flush()
            self._end, self._places[i] = end, tuple(places)  # a block that could not be written is read again

    def _load(self, place: _Place | None) -> np.ndarray | None:
        if place is None:
            return None
        first, shape, dtype = place
        found = np.empty(shape, dtype)
        if found.nbytes:
            with self._lock:
                self._file.seek(first)
                self._file.readinto(found.data.cast("B"))
        return found


def _plain(part: Any) -> np.ndarray | None:
    """An array whose values lie in its own memory. Texts as Python objects or of variable length get a fixed one."""
    if part is None:
        return None
    array = np.ascontiguousarray(part)
    if array.dtype.kind not in "OT":
        return array
    if not all(isinstance(value, str) for value in array.ravel()):
        raise TypeError("a block holds Python objects: only numbers or texts can be kept in a file")
    return np.array(array.tolist(), dtype=np.str_)
