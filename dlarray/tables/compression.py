"""The bytes of a file after decompression; the compression is known by the first bytes, not by the file's name."""

from __future__ import annotations

import bz2
import io
import lzma
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from errno import EISDIR, ENOENT
from functools import cached_property
from os import PathLike, fspath, strerror
from pathlib import Path
from typing import Any

from dlarray.core.text import escape, quote, quote_all

__all__ = [
    "FAILURES",
    "GIB",
    "LAYERS",
    "LONGEST_PATH",
    "MOST_TIMES",
    "START",
    "Contents",
    "is_spreadsheet",
    "member_of",
    "open_contents",
    "too_large",
]

START = 2**16  # bytes from which the type of a file and the layout of a table are found
GIB = 2**30
MOST_TIMES = 300  # a table is hardly ever compressed to less than 1/300; a file of zeros is
LONGEST_PATH = 4096
LAYERS = 3  # a compressed file in a compressed file, and so on
TABLES = (".csv", ".tsv", ".txt", ".tab", ".data", ".dat", ".parquet", ".pq", ".json", ".jsonl", ".ndjson", ".arff")


@dataclass(frozen=True)
class Contents:
    """The bytes of a table's file: the file itself, or bytes in memory. ``name`` is for messages."""

    name: str
    source: Path | bytes

    @cached_property
    def start(self) -> bytes:
        """The first bytes."""
        return self.first(START)

    def first(self, count: int) -> bytes:
        """At most ``count`` bytes from the first."""
        if isinstance(self.source, bytes):
            return self.source[:count]
        with self.source.open("rb") as file:
            return file.read(count)

    def all(self) -> bytes:
        """All bytes."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


def open_contents(path: str | PathLike[str], member: str | None) -> Contents:
    """The contents of a file, or of standard input if the path is "-". ``member`` is a file in a zip archive.

    Raises OSError with the path if it cannot be read, ValueError if it cannot be decompressed.
    """
    if fspath(path) == "-":
        contents = Contents("standard input", sys.stdin.buffer.read())
    else:
        file = Path(path)
        _check_readable(file)
        source = file if file.is_file() else file.read_bytes()  # a pipe can be read once
        contents = Contents(escape(path, LONGEST_PATH), source)
    for _ in range(LAYERS):
        layer = next((layer for layer in DECOMPRESSORS if contents.start.startswith(layer)), None)
        if layer is not None:
            contents = Contents(contents.name, _decompress(contents, layer))
        elif contents.start.startswith(b"PK\3\4") and not is_spreadsheet(contents):
            contents = _unzip(contents, member)
        else:
            break
    return contents


def _check_readable(path: Path) -> None:
    """Raise OSError with the path, and with the nearest name in its folder if the file does not exist."""
    if path.is_dir():
        raise IsADirectoryError(EISDIR, strerror(EISDIR), str(path))
    if not path.exists():
        names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, names, n=1, cutoff=0.75)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise FileNotFoundError(ENOENT, f"{strerror(ENOENT)}{hint}", str(path))
    if path.is_file():
        with path.open("rb"):  # PermissionError with the path; polars' message is less clear
            pass


def _gzip() -> Any:
    return zlib.decompressobj(wbits=31)


DECOMPRESSORS: dict[bytes, tuple[str, Callable[[], Any]]] = {
    b"\x1f\x8b": ("gzip", _gzip),
    b"BZh": ("bzip2", bz2.BZ2Decompressor),
    b"\xfd7zXZ\0": ("xz", lzma.LZMADecompressor),
}
FAILURES = (
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, struct.error),
    *(EOFError, OSError, RuntimeError, NotImplementedError, UnicodeError, IndexError),
)


def _decompress(contents: Contents, layer: bytes) -> bytes:
    """The decompressed bytes; several compressed streams can follow each other. Takes bounded memory."""
    name, make = DECOMPRESSORS[layer]
    data = contents.all()
    room = _room(len(data))
    parts: list[bytes] = []
    while data.startswith(layer):
        stream = make()
        try:
            part = stream.decompress(data, room + 1)
        except FAILURES as error:
            raise ValueError(f"{contents.name} is not a complete {name} file: {error}") from error
        if len(part) > room:
            raise ValueError(too_large(contents.name))
        if not stream.eof:
            raise ValueError(f"{contents.name} is not a complete {name} file: its end is missing")
        parts.append(part)
        room -= len(part)
        data = stream.unused_data.lstrip(b"\0")  # zeros fill a tape's last block
    return b"".join(parts)


def _room(size: int) -> int:
    return max(GIB, MOST_TIMES * size)


def too_large(name: str) -> str:
    """The message for a file that is much larger after decompression."""
    return f"{name} is more than {MOST_TIMES} times as large decompressed: decompress it first if that is right"


def is_spreadsheet(contents: Contents) -> bool:
    """Whether a zip archive is an Excel or an OpenDocument file. Raises ValueError for one that is too large."""
    try:
        with _archive(contents) as archive:
            members = archive.infolist()
    except FAILURES:
        return False
    names = {member.filename for member in members}
    found = any(name.startswith("xl/") for name in names) or {"mimetype", "content.xml"} <= names
    if found and sum(m.file_size for m in members) > _room(sum(m.compress_size for m in members)):
        raise ValueError(too_large(contents.name))
    return found


def _archive(contents: Contents) -> zipfile.ZipFile:
    return zipfile.ZipFile(contents.source if isinstance(contents.source, Path) else io.BytesIO(contents.source))


def _unzip(contents: Contents, member: str | None) -> Contents:
    """The one table in a zip archive, or the file in it that is named."""
    try:
        with _archive(contents) as archive:
            chosen = member_of(contents.name, archive.infolist(), member)
            room = _room(chosen.compress_size)
            if chosen.file_size > room:
                raise ValueError(too_large(contents.name))
            with archive.open(chosen) as file:
                data = file.read(room + 1)
    except FAILURES as error:
        raise ValueError(f"{contents.name} is a zip archive that cannot be read: {error}") from error
    if len(data) > room:
        raise ValueError(too_large(contents.name))
    return Contents(f"{contents.name}/{escape(chosen.filename)}", data)


def member_of(archive: str, members: list[zipfile.ZipInfo], wanted: str | None) -> zipfile.ZipInfo:
    """The one table in a zip archive, or the file that is ``wanted``. Raises ValueError if there is none."""
    files = {
        m.filename: m
        for m in members
        if m.filename
        and not m.is_dir()
        and not m.filename.startswith("__MACOSX/")
        and not Path(m.filename).name.startswith(".")
    }
    if wanted in files:
        return files[str(wanted)]
    tables = [name for name in files if name.lower().endswith(TABLES)] or list(files)
    if wanted is None and len(tables) == 1:
        return files[tables[0]]
    listed = quote_all(tables, 10)
    if not tables:
        raise ValueError(f"{archive} is a zip archive without files")
    if wanted is not None:
        raise ValueError(f"{archive} has no file {quote(wanted)}; it has {listed}")
    raise ValueError(f"{archive} has several files, {listed}: choose one with --sheet or ReadOptions(sheet=…)")
