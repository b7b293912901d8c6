"""Files that are written whole or not at all: beside their place first, then under their name."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import BinaryIO

__all__ = ["append", "replacing", "sweep"]

TEMPORARY = re.compile(r"\.dlarray-[0-9a-f]{16}")
HOUR = 3600


@contextmanager
def replacing(path: str | PathLike[str]) -> Generator[BinaryIO]:
    """A file to write to, which is at ``path`` once the ``with`` block has ended without an error.

    The bytes go to a temporary file in the same folder, reach the disk, and the file is then renamed. Where anything
    fails before that, an existing file stays as it was. The temporary name is short, random and made new, so that a
    name may be as long as the file system allows and no link is followed. At ``path`` a symbolic link is followed: it
    stays, and the file that it leads to is replaced. An existing file keeps its mode, and its owner where the user may
    set it; a new one has the mode that the umask leaves. What exists and is no regular file, such as a pipe or
    /dev/null, is written into.

    Raises OSError with the path. Where only the folder cannot be flushed after the rename, the file is in its place,
    and a RuntimeWarning says so.
    """
    try:
        known = _existing(path)
        if known is not None and not stat.S_ISREG(known.st_mode):
            with Path(path).open("wb") as file:
                yield file
            return
        place = Path(os.path.realpath(path))
        sweep(place.parent)
        temporary = place.parent / f".dlarray-{secrets.token_hex(8)}"
        try:
            with open(temporary, "xb", opener=_opener(known)) as file:
                yield file
                file.flush()
                if known is not None:
                    _make_like(file, known)
                os.fsync(file.fileno())
            os.replace(temporary, place)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:  # with the path that was asked for, not the temporary one
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error
    _flush_folder(place)


def append(path: str | PathLike[str], data: bytes) -> None:
    """Add these bytes at the end of a file, all of them or none. Raises OSError with the path."""
    try:
        with Path(path).open("ab", buffering=0) as file:
            before, rest = os.fstat(file.fileno()).st_size, data
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except BaseException:
                with suppress(OSError):  # a pipe has no end to cut off
                    os.ftruncate(file.fileno(), before)
                raise
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error


def sweep(folder: Path) -> None:
    """Remove the temporary files of programs that ended while they wrote: those that nobody has touched for an hour."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):  # another process may sweep it too
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > HOUR:
                        os.unlink(entry.path)


def _existing(path: str | PathLike[str]) -> os.stat_result | None:
    """What is at the path, links followed; None where nothing is. Raises OSError for a folder."""
    try:
        known = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(known.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return known


def _opener(known: os.stat_result | None) -> Callable[[str, int], int]:
    """Opens a new file, from the first moment with no more rights than the file that it will replace."""
    mode = 0o666 if known is None else stat.S_IMODE(known.st_mode) & 0o777
    return lambda name, flags: os.open(name, flags, mode)


def _make_like(file: BinaryIO, known: os.stat_result) -> None:
    """Give the file the owner and the mode of another, as far as the user may."""
    if os.name != "posix":
        return
    own = os.fstat(file.fileno())
    if (own.st_uid, own.st_gid) != (known.st_uid, known.st_gid):
        with suppress(PermissionError):
            os.fchown(file.fileno(), known.st_uid, known.st_gid)
    with suppress(PermissionError):
        os.fchmod(file.fileno(), stat.S_IMODE(known.st_mode))


def _flush_folder(place: Path) -> None:
    """See that the new name itself reaches the disk."""
    if os.name != "posix":
        return
    try:
        handle = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        warnings.warn(
            f"{place} is written and in its place, but its folder could not be flushed to the disk "
            f"({error.strerror or error}): if the machine fails now, the file before it may come back",
            RuntimeWarning,
            stacklevel=4,
        )
