"""Atomic writes: a file is written completely under a temporary name and then renamed, or not changed at all."""

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
    """A binary file to write to, which replaces ``path`` when the ``with`` block ends without an error.

    The bytes are written to a temporary file in the same folder and flushed to the disk; then the file is renamed. If
    anything fails before the rename, an existing file does not change. The temporary name is short and random, and the
    file must not exist, so ``path`` may be as long as the file system allows and no link is followed there. If ``path``
    is a symbolic link, the link stays and its target is replaced. An existing file keeps its mode, and its owner if the
    user may set it; a new file has the mode that the umask allows. If ``path`` is not a regular file, such as a pipe or
    /dev/null, the bytes are written into it.

    Raises OSError with the path. If only the flush of the folder after the rename fails, the file is written and a
    RuntimeWarning is issued.
    """
    try:
        known = _existing(path)
        if known is not None and not stat.S_ISREG(known.st_mode):
            with Path(path).open("wb") as file:
                yield file
            return
        target = Path(os.path.realpath(path))
        sweep(target.parent)
        temporary = target.parent / f".dlarray-{secrets.token_hex(8)}"
        try:
            with open(temporary, "xb", opener=_opener(known)) as file:
                yield file
                file.flush()
                if known is not None:
                    _make_like(file, known)
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:  # with the path of the caller, not the temporary one
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error
    _flush_folder(target)


def append(path: str | PathLike[str], data: bytes) -> None:
    """Append these bytes to a file, all of them or none. Raises OSError with the path."""
    try:
        with Path(path).open("ab", buffering=0) as file:
            before, rest = os.fstat(file.fileno()).st_size, data
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except BaseException:
                with suppress(OSError):  # a pipe cannot be truncated
                    os.ftruncate(file.fileno(), before)
                raise
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error


def sweep(folder: Path) -> None:
    """Remove temporary files that killed programs have left: those that have not changed for an hour."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):  # another process may have removed it
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > HOUR:
                        os.unlink(entry.path)


def _existing(path: str | PathLike[str]) -> os.stat_result | None:
    """The status of the file at ``path``, links followed; None if there is no file. Raises OSError for a folder."""
    try:
        known = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(known.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return known


def _opener(known: os.stat_result | None) -> Callable[[str, int], int]:
    """Opens a new file with no more permissions than the file that it will replace, from the first moment."""
    mode = 0o666 if known is None else stat.S_IMODE(known.st_mode) & 0o777
    return lambda name, flags: os.open(name, flags, mode)


def _make_like(file: BinaryIO, known: os.stat_result) -> None:
    """Give the file the owner and the mode of another, if the user may set them."""
    if os.name != "posix":
        return
    own = os.fstat(file.fileno())
    if (own.st_uid, own.st_gid) != (known.st_uid, known.st_gid):
        with suppress(PermissionError):
            os.fchown(file.fileno(), known.st_uid, known.st_gid)
    with suppress(PermissionError):
        os.fchmod(file.fileno(), stat.S_IMODE(known.st_mode))


def _flush_folder(target: Path) -> None:
    """Flush the folder, so that the new name is on the disk."""
    if os.name != "posix":
        return
    try:
        handle = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        warnings.warn(
            f"{target} is written, but its folder could not be flushed to the disk ({error.strerror or error}): "
            "if the machine fails now, the previous file may reappear",
            RuntimeWarning,
            stacklevel=4,
        )
