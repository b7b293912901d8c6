"""Files of NumPy, ``.npy``, read by slices of rows without a memory map."""

from __future__ import annotations

import re
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from dlarray.blocks.arrays import Part

__all__ = ["NpyFile", "npy_parts"]

ROLES = ("x", "y", "weight")
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class NpyFile:
    """The array in a ``.npy`` file, of which slices of rows are read: ``file[1000:2000]``.

    The file is read, not mapped: a file that is cut off while it is used is an error, where a memory map would end the
    program, and the data never count as memory of the process. Raises OSError if the file cannot be read; ValueError if
    it is no such file, is incomplete, or holds Python objects or a single number.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        with self.path.open("rb") as file:
            try:
                version = np.lib.format.read_magic(file)
                shape, by_columns, dtype = _HEADERS[version](file)
            except (KeyError, ValueError) as error:
                raise ValueError(f"{self.path} is not a .npy file of numbers or texts: {error}") from error
            self._offset = file.tell()
        self.shape: tuple[int, ...] = tuple(shape)
        self.dtype: np.dtype = dtype
        self._by_columns = by_columns and len(self.shape) > 1
        self._row = prod(self.shape[1:]) * dtype.itemsize
        if dtype.hasobject:
            raise ValueError(f"{self.path} holds Python objects: save numbers or texts of one type")
        if not self.shape:
            raise ValueError(f"{self.path} holds a single number, and rows are needed")
        expected, there = self._offset + self.shape[0] * self._row, self.path.stat().st_size
        if there < expected:
            raise ValueError(f"{self.path} is incomplete: it has {there:,} bytes of {expected:,}")

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        if self._by_columns:  # a row is not in one piece there
            return np.array(np.load(self.path, mmap_mode="r")[start:stop])
        found = np.empty((max(stop - start, 0), *self.shape[1:]), self.dtype)
        wanted = memoryview(found.reshape(-1).view(np.uint8).data) if found.size else memoryview(b"")
        with self.path.open("rb", buffering=0) as file:
            file.seek(self._offset + start * self._row)
            done = 0
            while done < len(wanted):
                if not (n := file.readinto(wanted[done:])):
                    raise OSError(f"{self.path} has become shorter: it ends before row {stop}")
                done += n
        return found


def npy_parts(path: Path) -> list[Part]:
    """The pairs of files in a folder, in the order of their names: ``x.npy`` and ``y.npy``, with ``weight.npy`` or not.

    A file belongs to x, y or weight by that word in its name, or in the name of its folder: ``x-00.npy``, ``00_y.npy``,
    ``x/00.npy``. What remains of the name is that of the pair. Raises ValueError for a file without such a word, for
    two files of one pair and word, and for a pair without x or y.
    """
    found: dict[str, dict[str, Path]] = {}
    for file in sorted(path.rglob("*.npy")):
        name = file.relative_to(path).with_suffix("").as_posix()
        words = re.split(r"([/._-])", name)
        roles = [i for i, word in enumerate(words) if word.lower() in ROLES]
        if len(roles) != 1:
            raise ValueError(
                f"{file}: the names of files must have one of the words x, y and weight, such as x.npy or x-00.npy and "
                f"y-00.npy; it has {'none' if not roles else ' and '.join(words[i] for i in roles)}"
            )
        at = roles[0]
        rest = "".join(words[:at] + words[at + 1 :]).strip("/._-")
        files = found.setdefault(re.sub(r"([/._-])[/._-]+", r"\1", rest), {})
        role = words[at].lower()
        if role in files:
            raise ValueError(f"{files[role]} and {file} are both {role} of one part: give them different names")
        files[role] = file
    if not found:
        raise ValueError(f"{path} has no .npy files: x.npy and y.npy are needed, or x-00.npy, y-00.npy, x-01.npy, …")
    return [_part(name or path.name, found[name]) for name in sorted(found, key=_natural)]


def _part(name: str, files: dict[str, Path]) -> Part:
    for role in ("x", "y"):
        if role not in files:
            there = next(iter(files.values()))
            raise ValueError(f"{there} has no {role} beside it: a part needs the inputs x and the targets y")
    weight = NpyFile(files["weight"]) if "weight" in files else None
    return Part(name, NpyFile(files["x"]), NpyFile(files["y"]), weight)


def _natural(name: str) -> list[Any]:
    """A key that sorts "part-10" behind "part-9"."""
    return [(0, int(word)) if word.isdecimal() else (1, word) for word in re.split(r"(\d+)", name)]
