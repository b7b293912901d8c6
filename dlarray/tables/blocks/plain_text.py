"""The text of a large file as bytes of UTF-8 that can be read from any position."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO, Any, cast

from dlarray.core.text import escape
from dlarray.tables.compression import (
    GIB,
    LAYERS,
    MOST_TIMES,
    START,
    Contents,
    is_spreadsheet,
    member_of,
    too_large,
)
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.text_encoding import (
    CR_ALONE,
    OPTION,
    check_no_nul,
    encoding_of,
    ends_with_cr,
    is_utf8,
    note,
)

__all__ = ["PlainText", "first_bytes", "plain_text"]

PART = 2**20  # bytes that are decompressed and decoded at once
CTRL_Z = b"\x1a"
UTF8_MARK = codecs.BOM_UTF8
OPENERS: dict[bytes, tuple[str, Any]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\0": ("xz", lzma.open),
}


class _Copy:
    """A temporary file with the text of another one.

    It has no name on systems that can do that, so nothing is left of it when the process ends.
    """

    def __init__(self) -> None:
        self.file = cast("IO[bytes]", tempfile.TemporaryFile(prefix="dlarray-"))  # noqa: SIM115 - open as long as this
        self._lock = Lock()

    def __del__(self) -> None:
        self.file.close()

    def read(self, start: int, count: int) -> bytes:
        """So many bytes from a position on."""
        with self._lock:
            self.file.seek(start)
            return self.file.read(count)

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.file.seek(0, io.SEEK_END)


@dataclass(frozen=True)
class PlainText:
    """The bytes of a text from ``start`` to ``stop``: of the file itself, or of a temporary ``copy`` in UTF-8."""

    name: str
    path: Path
    start: int
    stop: int
    copy: _Copy | None = None

    def read(self, start: int, count: int) -> bytes:
        """So many bytes from a position on, or as many as there are."""
        count = min(count, self.stop - start)
        if self.copy is None:
            with self.path.open("rb") as file:
                file.seek(start)
                return file.read(count)
        return self.copy.read(start, count)

    @property
    def head(self) -> Contents:
        """The first bytes, from which the layout of the table is found."""
        most = 1024 * START
        return Contents(self.name, self.read(self.start, min(most, self.stop - self.start)))


def plain_text(path: Path, name: str, options: ReadOptions, encoding: str | None = None) -> PlainText:
    """The text of a file, copied if it is compressed, not in UTF-8, or its lines end with CR alone.

    ``encoding`` is that of the text where it is known. Raises ValueError for a file that is no text in its encoding,
    and OSError if there is no room for the copy.
    """
    with ExitStack() as files:
        with _complete(name):
            stream, name, packed = _decompressed(path, name, options.sheet, files)
            head = Contents(name, stream.peek(START)[:START])
        if encoding is None:
            encoding = options.encoding or encoding_of(head)
        decode = encoding is not None and not is_utf8(encoding)
        start = head.start.decode(encoding or "utf-8", "ignore").encode() if decode else head.start
        cr_alone = b"\r" in start and b"\n" not in start and ends_with_cr(start)
        check_no_nul(Contents(name, start))
        if not (packed or decode or cr_alone):
            return _without_ends(PlainText(name, path, 0, path.stat().st_size))
        if cr_alone:
            note(name, CR_ALONE)
        copy = _copied(stream, name, path.stat().st_size, encoding if decode else None, cr_alone)
    return _without_ends(PlainText(name, path, 0, copy.size, copy))


def first_bytes(path: Path, name: str, options: ReadOptions) -> tuple[Contents, bool]:
    """The first bytes of a file after decompression, and whether it is compressed."""
    with ExitStack() as files, _complete(name):
        stream, name, packed = _decompressed(path, name, options.sheet, files)
        return Contents(name, stream.peek(START)[:START]), packed


def _decompressed(path: Path, name: str, member: str | None, files: ExitStack) -> tuple[io.BufferedReader, str, bool]:
    """The bytes of a file after decompression, the name for messages, and whether it is compressed."""
    raw: Any = path.open("rb", buffering=0)
    stream: io.BufferedReader = files.enter_context(io.BufferedReader(raw, START))
    packed = False
    for _ in range(LAYERS):
        start = stream.peek(8)
        layer = next((layer for layer in OPENERS if start.startswith(layer)), None)
        if layer is not None:
            opened: Any = OPENERS[layer][1](stream)
        elif start.startswith(b"PK\3\4") and not packed and not is_spreadsheet(Contents(name, path)):
            archive = files.enter_context(zipfile.ZipFile(stream))
            chosen = member_of(name, archive.infolist(), member)
            name = f"{name}/{escape(chosen.filename)}"
            opened = archive.open(chosen)
        else:
            break
        stream, packed = files.enter_context(io.BufferedReader(opened, START)), True
    return stream, name, packed


def _copied(stream: io.BufferedReader, name: str, size: int, encoding: str | None, cr_alone: bool) -> _Copy:
    """A temporary file with the text in UTF-8, without a mark, and with lines that end in LF or CRLF."""
    room, total = max(GIB, MOST_TIMES * size), 0
    decoder = codecs.getincrementaldecoder(encoding)() if encoding else None
    newlines = io.IncrementalNewlineDecoder(None, translate=True) if cr_alone else None
    copy = _Copy()
    try:
        while True:
            with _complete(name):
                data = stream.read(PART)
            total += len(data)
            if total > room:
                raise _TooLargeError(too_large(name))
            text = data
            if decoder is not None:
                text = decoder.decode(data, final=not data).encode()
            if newlines is not None:
                text = newlines.decode(text.decode("latin-1"), final=not data).encode("latin-1")
            copy.file.write(text)
            if not data:
                return copy
    except UnicodeError as error:
        raise ValueError(f"{name} is not {encoding} text: {error}; choose another with {OPTION}") from error
    except _TooLargeError as error:
        raise ValueError(str(error)) from None


@contextmanager
def _complete(name: str) -> Generator[None]:
    """Raises ValueError with the file's name where what is decompressed is damaged or ends too early."""
    try:
        yield
    except (EOFError, OSError, lzma.LZMAError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk, not of what was read
            raise
        raise ValueError(f"{name} is not a complete compressed file: {error}") from error


class _TooLargeError(Exception):
    """A file is much larger after decompression."""


def _without_ends(text: PlainText) -> PlainText:
    """The text without UTF-8's mark at its beginning and without Ctrl-Z at its end."""
    start = len(UTF8_MARK) if text.read(0, len(UTF8_MARK)) == UTF8_MARK else 0
    end = text.read(max(start, text.stop - 4), 4)
    stop = text.stop
    if end.rstrip(b"\r\n").endswith(CTRL_Z):
        stop -= len(end) - len(end.rstrip(b"\r\n" + CTRL_Z))
    return PlainText(text.name, text.path, start, stop, text.copy)
