"""Files of Weka and KEEL: lines @attribute name type, then @data, then rows separated by commas."""

from __future__ import annotations

import re

from dlarray.tables.compression import Contents
from dlarray.tables.text_layout import Layout

__all__ = ["arff_table", "is_arff"]

ATTRIBUTE = re.compile(rb"^\s*@attribute\s+('[^'\n]*'|\"[^\"\n]*\"|[^\s{]+)", re.IGNORECASE | re.MULTILINE)
DATA = re.compile(rb"^\s*@data[^\n]*\n", re.IGNORECASE | re.MULTILINE)
COMMENT = re.compile(rb"^%[^\n]*$", re.MULTILINE)
QUOTED = re.compile(rb"(?:(?<=,)|(?<=, )|^) *'((?:[^'\\\n]|\\.)*)'", re.MULTILINE)
START = re.compile(rb"\s*(%[^\n]*\n\s*)*@(relation|attribute)", re.IGNORECASE)


def is_arff(contents: Contents) -> bool:
    """Whether a text begins as such a file."""
    return START.match(contents.start.removeprefix(b"\xef\xbb\xbf")) is not None


def arff_table(contents: Contents) -> tuple[Layout, Contents] | None:
    """The layout of such a file, and its text as CSV with the same lines; None for any other file.

    Raises ValueError for rows that are not read.
    """
    if not is_arff(contents):
        return None
    data = contents.all()
    end = DATA.search(data)
    found = ATTRIBUTE.finditer(data, 0, end.end() if end else 0)
    names = [match[1].strip(b"'\"").decode("utf-8", "replace") for match in found]
    if not end or not names:
        raise ValueError(f"{contents.name} has lines @attribute, but none with @data: it is not complete")
    rows = data[end.end() :]
    if rows.lstrip()[:1] == b"{":
        raise ValueError(f"{contents.name} has sparse rows, such as {{1 5, 7 2}}: write them in full")
    rows = QUOTED.sub(_as_csv, COMMENT.sub(b"", rows))
    lines = data.count(b"\n", 0, end.end())
    return Layout(",", names, lines, plain=False), Contents(contents.name, b"\n" * lines + rows)


def _as_csv(quoted: re.Match[bytes]) -> bytes:
    """A value in single quotes, in double ones."""
    value = re.sub(rb"\\(.)", rb"\1", quoted[1])
    return b'"' + value.replace(b'"', b'""') + b'"'
