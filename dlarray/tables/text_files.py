"""Tables in text: CSV and its relatives, read by polars after their layout has been found."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, cast

from dlarray.core.check import count
from dlarray.tables.arff import arff_table
from dlarray.tables.column_names import with_names
from dlarray.tables.compression import Contents
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.text_encoding import as_utf8, decoded, note, to_utf8
from dlarray.tables.text_layout import Layout, find_layout, names_again
from dlarray.tables.text_rows import WHITE_SPACE, WIDE_SPACE, fields, records
from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Lines", "NotUtf8Error", "read_rows", "read_text", "unclosed"]

CTRL_Z = b"\x1a"  # DOS wrote it at the end of a text
Lines = Callable[[int], int]
"""The number of a row's first line, from 1; rows are counted from 0."""


def read_text(contents: Contents, options: ReadOptions) -> tuple[pl.DataFrame, str, Lines]:
    """Columns of text, their separator, and the lines of the rows.

    Raises ValueError for a file that is not a table.
    """
    contents = _without_ctrl_z(as_utf8(contents, options.encoding))
    try:
        return _read(contents, options)
    except NotUtf8Error:
        if options.encoding is not None:
            raise ValueError(f"{contents.name} is not {options.encoding} text") from None
    return _read(decoded(contents, to_utf8(contents)), options)


def read_rows(rows: Contents, layout: Layout, comment: str | None) -> tuple[pl.DataFrame, Lines]:
    """Columns of text whose names are numbers, and the lines of the rows, from a part of a file without its names.

    ``layout.lines`` lines of the file stand before these ``rows``. Raises ValueError like ``read_text``.
    """
    return _table(_numbered(rows, layout, comment), rows, 0, layout, comment)


def _sources(contents: Contents, layout: Layout, comment: str | None) -> Iterator[Contents]:
    """The table in forms that polars can read, from the file itself to the most changed."""
    if layout.plain:
        yield contents
    yield from _numbered(Contents(contents.name, _after_names(contents, layout)), layout, comment)


def _numbered(rows: Contents, layout: Layout, comment: str | None) -> Iterator[Contents]:
    """Rows behind a line of names that are numbers: as they are, and mended."""
    yield (plain := _plain(rows, layout))
    yield _mended(plain, layout, comment)


class NotUtf8Error(Exception):
    """A later part of the file is not UTF-8."""


def _read(contents: Contents, options: ReadOptions) -> tuple[pl.DataFrame, str, Lines]:
    if attributes := arff_table(contents):
        layout, contents = attributes
    else:
        layout = find_layout(contents, options)
    frame, lines = _table(_sources(contents, layout, options.comment), contents, layout.lines, layout, options.comment)
    return with_names(contents.name, frame, layout.names), layout.separator, lines


def _table(
    sources: Iterator[Contents], contents: Contents, skipped: int, layout: Layout, comment: str | None
) -> tuple[pl.DataFrame, Lines]:
    """The rows of the first source that polars can read, and their lines.

    The rows of ``contents`` begin after the ``skipped`` lines.
    """
    separator = _separator(layout)
    for source in sources:
        frame = _parse(source, separator, comment)
        if frame is not None and frame.width == len(layout.names):
            break
    else:
        raise ValueError(f"{contents.name} is not a table that can be read")
    if frame.width > 1 and _may_have_blank_lines(frame):
        again = _parse(Contents(source.name, _without_blank_lines(source.all())), separator, comment)
        frame = frame if again is None else again
    lines = _lines(contents, skipped, layout, comment, frame.height)
    return _without_repeated_names(contents.name, frame, layout.names, lines)


def _separator(layout: Layout) -> str:
    """The character that separates columns when polars reads them."""
    return "\t" if layout.separator in (WHITE_SPACE, WIDE_SPACE) else layout.separator


def _without_ctrl_z(contents: Contents) -> Contents:
    """The text without Ctrl-Z at its end."""
    source = contents.source
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        file.seek(max(0, file.seek(0, io.SEEK_END) - 4))
        end = file.read()
    if not end.rstrip(b"\r\n").endswith(CTRL_Z):
        return contents
    return Contents(contents.name, contents.all().rstrip(b"\r\n" + CTRL_Z) + b"\n")


def _lines(contents: Contents, skipped: int, layout: Layout, comment: str | None, rows: int) -> Lines:
    """The lines of the rows, found when they are first asked for: blank lines and comments are no rows."""

    @cache
    def lines() -> Sequence[int]:
        text = _text(contents.all().removeprefix(b"\xef\xbb\xbf")).rstrip("\n").split("\n")[skipped:]
        in_order = range(layout.lines + 1, layout.lines + 1 + rows)
        if len(text) == rows:
            return in_order
        found = records([f"{line}\n" for line in text], layout.separator, layout.lines, comment)
        try:
            numbers = [record.first for record in found]
        except csv.Error:
            return in_order
        return numbers if len(numbers) == rows else in_order

    return lambda row: lines()[row]


def _without_repeated_names(
    name: str, frame: pl.DataFrame, names: list[str], lines: Lines
) -> tuple[pl.DataFrame, Lines]:
    """The rows that are not the line of names again, with their lines. A ``TableWarning`` reports the others."""
    pl = polars()
    if not names_again(names) or not (frame[:, 0].str.strip_chars() == names[0].strip()).any():
        return frame, lines
    cells = frame.select(pl.all().str.strip_chars().fill_null(""))
    again = cells.select(
        pl.all_horizontal(pl.col(c) == n.strip() for c, n in zip(cells.columns, names, strict=True))
    ).to_series()
    repeated: list[int] = again.arg_true().to_list()
    if not repeated:
        return frame, lines
    others = f" and {len(repeated) - 1:,} more" if len(repeated) > 1 else ""
    verb = "repeat" if others else "repeats"
    note(name, f"line {lines(repeated[0]):,}{others} {verb} the names of the columns: skipped")
    kept = (~again).arg_true()
    return frame.filter(~again), lambda row: lines(int(kept[row]))


def _parse(contents: Contents, separator: str, comment: str | None) -> pl.DataFrame | None:
    """Columns of text; None if polars cannot read the lines."""
    pl = polars()
    try:
        frame = pl.read_csv(
            contents.source, separator=separator, comment_prefix=comment, infer_schema=False, glob=False
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        if "utf-8" in str(error).lower():
            raise NotUtf8Error from error
        return None
    return cast("pl.DataFrame", frame)


def _after_names(contents: Contents, layout: Layout) -> bytes:
    """The rows alone."""
    data = contents.all().removeprefix(b"\xef\xbb\xbf")
    start = 0
    for _ in range(layout.lines):
        start = data.find(b"\n", start) + 1 or len(data)
    return data[start:]


def _plain(contents: Contents, layout: Layout) -> Contents:
    """The rows after a line of names that are numbers, one for each column."""
    rows = contents.all()
    if layout.separator in (WHITE_SPACE, WIDE_SPACE):
        rows = _tab_separated(rows, layout)
    return Contents(contents.name, _header(len(layout.names), _separator(layout)) + rows)


def _header(columns: int, separator: str) -> bytes:
    return separator.join(map(str, range(columns))).encode() + b"\n"


def _tab_separated(rows: bytes, layout: Layout) -> bytes:
    lines = _text(rows).split("\n")
    if layout.separator == WHITE_SPACE and b'"' not in rows:
        return "\n".join(["\t".join(line.split()) for line in lines]).encode()
    return _written([row for row, _ in fields(lines, layout.separator)], "\t")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise NotUtf8Error from error


def _written(rows: Sequence[Sequence[str]], separator: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _mended(plain: Contents, layout: Layout, comment: str | None) -> Contents:
    """The table with rows of equal length, by Python's reader, which takes quotes inside values as they are.

    Raises ValueError that names the lines with too many fields, or the line of a quote that is not closed.
    """
    lines = [f"{line}\n" for line in _text(plain.all()).rstrip("\n").split("\n")[1:]]
    width = len(layout.names)
    rows: list[list[str]] = []
    wrong: list[tuple[int, int]] = []
    first = last = cut = 0
    try:
        for row, number in fields(lines, _separator(layout)):
            if comment and row and row[0].startswith(comment):
                first = last = number
                continue
            first, last = last, number
            if len(row) > width:
                cut += 1
                if any(cell.strip() for cell in row[width:]):
                    wrong.append((first + 1 + layout.lines, len(row)))
            rows.append(row[:width])
    except csv.Error:
        raise ValueError(unclosed(plain.name, last + 1 + layout.lines)) from None
    if _ends_in_quotes("".join(lines[first:]), _separator(layout)):
        raise ValueError(unclosed(plain.name, first + 1 + layout.lines))
    if wrong:
        raise ValueError(_uneven(plain.name, wrong, layout, len(rows)))
    note(plain.name, "empty fields after the last column are left out" if cut else "quotes in values are kept")
    return Contents(plain.name, _header(width, _separator(layout)) + _written(rows, _separator(layout)))


def _ends_in_quotes(row: str, separator: str) -> bool:
    """Whether a quote that begins a field is not closed; quotes inside of values are part of them."""
    quoted = re.compile(rf'(?:\A|(?<=[{re.escape(separator)}]))"(?:[^"]|"")*("|\Z)')
    return any(not field[1] for field in quoted.finditer(row))


def unclosed(name: str, line: int) -> str:
    """The message for a quote that is not closed."""
    return f"{name}: a quote that begins in line {line} is not closed"


def _uneven(name: str, wrong: list[tuple[int, int]], layout: Layout, rows: int) -> str:
    (line, found), more = wrong[0], len(wrong) - 1
    others = f", and so {'has' if more == 1 else 'have'} {more:,} more" if more else ""
    if len(wrong) > rows / 2:
        remedy = "if another character separates the columns, use --separator or ReadOptions(separator=…)"
    elif layout.separator in (WHITE_SPACE, WIDE_SPACE):
        remedy = "put quotes around a value that contains spaces"
    else:
        remedy = f"put quotes around a value that contains {layout.separator!r}"
    return f"{name}: line {line} has {found} fields, more than the {count(len(layout.names), 'name')}{others}; {remedy}"


def _may_have_blank_lines(frame: pl.DataFrame) -> bool:
    """Whether there are rows without values. A line of separators gives such a row too."""
    pl = polars()
    empty = frame[:, 1:].select(pl.all_horizontal(pl.all().is_null())).to_series()
    first = frame[:, 0].filter(empty)
    return first.has_nulls() or bool((first.str.strip_chars() == "").any())


def _without_blank_lines(data: bytes) -> bytes:
    """The text without its blank lines; those inside quotes stay."""
    lines: list[bytes] = []
    quoted = False
    for line in io.BytesIO(data):
        if line.strip() or quoted:
            lines.append(line)
            quoted ^= line.count(b'"') % 2 == 1
    return b"".join(lines)
