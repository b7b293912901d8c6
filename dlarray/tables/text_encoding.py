"""Text as UTF-8, whatever its encoding and the ends of its lines."""

from __future__ import annotations

import codecs
import re

from dlarray.core.text import quote
from dlarray.tables.compression import Contents
from dlarray.tables.values import issue

__all__ = [
    "CR_ALONE",
    "OPTION",
    "as_utf8",
    "check_no_nul",
    "decoded",
    "encoding_of",
    "ends_with_cr",
    "is_utf8",
    "note",
    "to_utf8",
]

MARKS = (  # in this order: the mark of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
CR_ALONE = "its lines end with CR alone, as on old Macs"
OPTION = "--encoding or ReadOptions(encoding=…)"


def note(name: str, text: str) -> None:
    """Give a ``TableWarning`` about a file."""
    issue(f"{name}: {text}", 4)


def as_utf8(contents: Contents, encoding: str | None) -> Contents:
    """The text with lines that end in LF or CRLF; UTF-8 unless only its later part shows that it is not.

    UTF-16 and UTF-32 are known by the mark at the beginning, or UTF-16 by its zeros; a ``TableWarning`` reports text
    that is read as cp1252. Raises ValueError for other text.
    """
    if encoding is None:
        encoding = encoding_of(contents)
    if encoding is not None and not is_utf8(encoding):
        contents = decoded(contents, encoding)
    if b"\r" in contents.start and b"\n" not in contents.start:
        data = contents.all()
        if ends_with_cr(data):
            note(contents.name, CR_ALONE)
            contents = Contents(contents.name, data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    check_no_nul(contents)
    return contents


def ends_with_cr(data: bytes) -> bool:
    """Whether the lines of a text end with CR alone, as on old Macs; LF is nowhere in its start."""
    return data.count(b"\r") > 1 or data.rstrip(b"\r").count(b"\r") > 0


def check_no_nul(contents: Contents) -> None:
    """Raise ValueError if there are NUL bytes in the start of a text."""
    if b"\0" in contents.start:
        line = contents.start.partition(b"\0")[0].count(b"\n") + 1
        raise ValueError(f"{contents.name} contains NUL bytes, first in line {line}: it is damaged or not text")


def is_utf8(encoding: str) -> bool:
    """Whether this is a name of UTF-8."""
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def encoding_of(contents: Contents) -> str | None:
    """The encoding of a text by its start, if it is not UTF-8. Warns and raises like ``as_utf8``."""
    start = contents.start
    for mark, encoding in MARKS:
        if start.startswith(mark):
            return encoding
    pairs = start[: len(start) // 2 * 2]
    if b"\0" in pairs:
        for encoding, zeros in (("utf-16-le", pairs[1::2]), ("utf-16-be", pairs[::2])):
            if zeros.count(0) > 0.7 * len(zeros):
                note(contents.name, f"its text is read as {encoding}, because every second byte is zero")
                return encoding
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return to_utf8(contents)
    return None


def to_utf8(contents: Contents, before: int = 0) -> str:
    """The encoding of text that is not UTF-8: cp1252, with a ``TableWarning``. Raises ValueError if it is unlikely.

    In the languages that cp1252 is for, letters with accents stand alone; in Russian or Japanese text they do not. So
    many lines of the file stand ``before`` the text.
    """
    data = contents.all()
    first = re.search(rb"[\x80-\xff]", data)
    line = before + (data.count(b"\n", 0, first.start()) + 1 if first else 1)
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", data[: 2**24])]
    unlikely = sum(n for n in runs if n > 2) > sum(runs) / 2
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        unlikely, text = True, ""
    if unlikely:
        raise ValueError(
            f"{contents.name} is not UTF-8 text (line {line}), and its encoding is not known: "
            f"name it with {OPTION}, such as cp1251 or shift_jis, or save the file as UTF-8"
        )
    word = re.search(r"\w*[^\x00-\x7f]\w*", text)
    shown = f", such as {quote(word.group(), 40)} in line {line}" if word else ""
    note(contents.name, f"its text is not UTF-8 and is read as cp1252{shown}; if that is wrong, use {OPTION}")
    return "cp1252"


def decoded(contents: Contents, encoding: str) -> Contents:
    """The text in UTF-8, without a mark. Raises ValueError if it is not in this encoding."""
    try:
        text = contents.all().decode(encoding)
        return Contents(contents.name, text.removeprefix("\ufeff").encode())
    except UnicodeError as error:
        raise ValueError(f"{contents.name} is not {encoding} text: {error}; choose another with {OPTION}") from error
