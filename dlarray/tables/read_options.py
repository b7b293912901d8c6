"""How a file of a table is read where detection is not enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlarray.core.check import one_of, whole
from dlarray.core.text import quote
from dlarray.tables.text_format import DECIMAL_MARKS

__all__ = ["ReadOptions"]

KINDS = ("number", "date", "text")  # what a column can be chosen to be
THOUSANDS_MARKS = (",", ".", " ", "'", "_")


@dataclass(frozen=True)
class ReadOptions:
    r"""How a file is read; what is None is detected.

    The first five say where the file has its names and values, the others what the values mean. A saved model has
    stored what values mean, so its ``predict`` and ``evaluate`` use only the first five.

    Parameters
    ----------
    separator
        The character between the columns, or " " for columns that are separated by any white space.
    encoding
        The encoding of text, such as "utf-8", "cp1252" or "utf-16".
    comment
        Lines that begin with this text are skipped, such as "#".
    skip_lines
        Number of lines before the line of names.
    sheet
        The name of a spreadsheet's sheet, or of a file in a zip archive; by default the only one.
    decimal
        The decimal mark of numbers, "." or ",".
    thousands
        The mark between thousands: one of "," "." " " "'" "_", or "" for none.
    missing
        Words for missing values, besides those that are known.
    not_missing
        Words that are values, although they are known as words for missing ones, such as "None".
    date_format
        The format of dates, such as "%d.%m.%Y".
    match_case
        Whether categories and classes that differ only in upper and lower case are different ones.
    number, date, text
        Columns that have numbers, dates or text, although their values look otherwise. Values that do not fit are
        missing.

    Raises
    ------
    ValueError, TypeError
        For a value that cannot be used.
    """

    separator: str | None = None
    encoding: str | None = None
    comment: str | None = None
    skip_lines: int | None = None
    sheet: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    missing: Sequence[str] = ()
    not_missing: Sequence[str] = ()
    date_format: str | None = None
    match_case: bool = False
    number: Sequence[str] = ()
    date: Sequence[str] = ()
    text: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.separator is not None:
            _check_separator(self.separator)
        if self.encoding is not None:
            _check_encoding(self.encoding)
        if self.comment is not None and not self.comment.strip():
            raise ValueError(f"comment must be what a line of comment begins with, such as '#', got {self.comment!r}")
        if self.skip_lines is not None:
            whole("skip_lines", self.skip_lines)
        if self.decimal is not None:
            one_of("decimal", self.decimal, DECIMAL_MARKS)
        if self.thousands is not None:
            one_of("thousands", self.thousands, (*THOUSANDS_MARKS, ""))
        if self.thousands and self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands must be two marks, got {self.decimal!r} for both")
        for name in ("missing", "not_missing", *KINDS):
            words: Sequence[str] = getattr(self, name)
            if isinstance(words, str):
                raise TypeError(f"{name} must be a sequence of words, got the text {words!r}")
            object.__setattr__(self, name, tuple(words))
        if twice := [name for name, times in Counter((*self.number, *self.date, *self.text)).items() if times > 1]:
            raise ValueError(f"number, date and text must name a column once, got {quote(twice[0])} twice")
        if self.date_format is not None and "%" not in self.date_format:
            raise ValueError(f"date_format must have parts such as %d, %m and %Y, got {self.date_format!r}")

    @property
    def kinds(self) -> Mapping[str, str]:
        """The chosen kind of each column that has one."""
        return {name: kind for kind in KINDS for name in getattr(self, kind)}


def _check_separator(separator: str) -> None:
    if len(separator) != 1 or not separator.isascii() or separator.isalnum() or separator in '"\n\r\0.':
        raise ValueError(f"the separator must be one character, such as ',' ';' '|' '\\t' or ' ', got {separator!r}")


def _check_encoding(encoding: str) -> None:
    try:
        b"a".decode(encoding, "replace")
    except (LookupError, ValueError):
        raise ValueError(f"there is no encoding {encoding!r}; known are utf-8, cp1252, latin-1, utf-16, …") from None
