"""Where a text file has its names and values: the separator, the line of names, and what stands before it."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from dlarray.core.text import quote
from dlarray.tables.compression import START, Contents
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.text_encoding import note
from dlarray.tables.text_rows import WHITE_SPACE, WIDE_SPACE, Record, fields, records

__all__ = [
    "LONGEST",
    "Layout",
    "find_layout",
    "first_fields",
    "header_of",
    "is_number",
    "names_again",
]

SEPARATORS = ",;\t|"
SAMPLE_LINES = 1000
LONGEST = 2**26  # bytes of a line
MOST_COLUMNS = 1_000_000
CONSISTENT = 0.8  # the share of a sample's lines that have as many fields as there are columns
COMMENTS = ("#", "%", "//")


@dataclass(frozen=True)
class Layout:
    """The ``separator``, the ``names`` as the file has them, and the number of ``lines`` before the first row."""

    separator: str
    names: list[str]
    lines: int
    plain: bool = True  # the first line has the names, one for each field of the rows


def find_layout(contents: Contents, options: ReadOptions) -> Layout:
    """The layout of a text. A ``TableWarning`` reports what is not usual. Raises ValueError if it has no lines."""
    skipped = options.skip_lines or 0
    lines, complete = _sample_lines(contents, skipped)
    separator = options.separator
    if skipped == 0 and (stated := re.fullmatch(r'"?sep=([!#-/:-@[-`{-~\t ])"?[,;\t]*', lines[0].rstrip("\r\n"))):
        skipped, separator = 1, separator or stated[1]
    comments = _leading_comments(lines, skipped, options.comment)
    body = lines[skipped + len(comments) :]
    if not any(line.strip() for line in body):
        raise ValueError(f"{contents.name} has no lines after the first {skipped + len(comments)}")
    candidates = [separator] if separator else [*SEPARATORS, WHITE_SPACE, WIDE_SPACE]
    tried = {c: _records(body, c, skipped + len(comments), options.comment, complete) for c in candidates}
    separator = _best(tried)
    found = tried[separator] or [Record([""], skipped + len(comments) + 1, skipped + len(comments) + 1)]
    columns = _columns(found)
    header = 0 if options.skip_lines is not None else _header(found, columns)
    names, end = found[header].fields, found[header].last
    plain = end == 1 and not comments
    commented = None if options.comment or header else _commented_names(comments, separator, found, columns)
    if commented is not None:
        names, end, rows = commented, skipped + len(comments), found
    else:
        before = lines[skipped : found[header].first - 1]
        if options.skip_lines is None and any(line.strip() for line in before):
            _tell_preamble(contents.name, before, skipped + 1)
        rows = found[header + 1 :]
        others = [r for r in rows if r.stripped != [name.strip() for name in names]] if names_again(names) else rows
        if _are_values(names, others):
            plain, end, rows = False, found[header].first - 1, found[header:]
            names = [f"column_{i + 1}" for i in range(columns)]
            which = f"called column_1 to column_{columns}" if columns > 1 else "called column_1"
            note(contents.name, f"line {end + 1} has values, not names: the columns are {which}")
    return _with_row_names(contents.name, Layout(separator, names, end, plain), rows)


def _sample_lines(contents: Contents, skipped: int) -> tuple[list[str], bool]:
    """The first lines of a text, with their ends, and whether they are all of them.

    There are at least three after those that are ``skipped``, if the text has them.

    Raises ValueError for an empty file and for one with a line that no table has.
    """
    size = START
    start = contents.start
    while start.count(b"\n") < skipped + 3 and len(start) == size and size < LONGEST:
        size *= 4
        start = contents.first(size)
    if not start.strip():
        raise ValueError(f"{contents.name} is empty")
    complete = len(start) < size
    text = start.decode("utf-8-sig", "replace")
    lines = re.findall(r"[^\n]*\n|[^\n]+$", text)
    if not complete and len(lines) > 1:
        lines.pop()
    elif not complete:
        raise ValueError(f"{contents.name} is no table: its first line is longer than {LONGEST >> 20} MiB")
    widest = max(max(line.count(c) for c in SEPARATORS) for line in lines[:3])
    if widest >= MOST_COLUMNS:
        raise ValueError(f"{contents.name} is no table: a line has more than {MOST_COLUMNS:,} fields")
    most = skipped + SAMPLE_LINES
    return lines[:most], complete and len(lines) <= most


def first_fields(contents: Contents, separator: str) -> list[str]:
    """The fields of the first row, which has names or values."""
    lines, _ = _sample_lines(contents, 0)
    return next((row for row, _ in fields(lines, separator) if row), list[str]())


def _records(lines: list[str], separator: str, before: int, comment: str | None, complete: bool) -> list[Record]:
    """The rows of a sample that are not blank."""
    found: list[Record] = []
    with suppress(csv.Error):  # a field beyond 128 KiB: this is not the separator, or a quote is not closed
        found.extend(records(lines, separator, before, comment))
    if not complete and len(found) > 1 and found[-1].last == before + len(lines):
        found.pop()  # its end may be missing
    return found


def _columns(records: list[Record]) -> int:
    """The number of fields that most rows have, of those that have two or more; 1 if none has."""
    counts = Counter(len(r) for r in records if len(r) > 1)
    return max(counts, key=lambda n: (counts[n], n)) if counts else 1


def _best(tried: dict[str, list[Record]]) -> str:
    """The separator: it gives most rows the same number of fields, the line of names as well if possible.

    White space is considered only if the line of names has none of the characters that separate columns.
    """
    ranks: dict[str, tuple[int, int]] = {}
    for separator, found in tried.items():
        columns = _columns(found)
        if columns < 2:
            continue
        header = _header(found, columns)
        names, rows = found[header].fields, found[header + 1 :]
        same = sum(len(r) == columns for r in rows)
        spaces = separator in (WHITE_SPACE, WIDE_SPACE)
        consistent = same >= (CONSISTENT if separator != WIDE_SPACE else 1) * len(rows) and same >= header
        if spaces and (not consistent or set("".join(names)) & set(SEPARATORS)):
            continue
        exact = len(names) == columns or (len(names) == columns + 1 and not names[-1].strip())
        if consistent and header == 0:
            ranks[separator] = ((6 if exact else 4) - spaces, columns)
        elif consistent:
            ranks[separator] = (2 - spaces, columns)
        elif len(found[0]) > 1:  # an uneven table
            ranks[separator] = (0, len(found[0]))
    return max(ranks, key=lambda c: ranks[c]) if ranks else next(iter(tried))


def _header(records: list[Record], columns: int) -> int:
    """The index of the line of names: the first that has a name for each column, or for all but the row names.

    What stands before it has fewer fields. If most rows have fewer fields than the first line, that line has the names.
    """
    full = next((i for i, r in enumerate(records) if len(r) >= columns), 0)
    before = full - 1
    if columns == 1 or full == 0 or len(records[before]) != columns - 1 or (columns == 2 and before):
        return full
    numbers = [any(map(is_number, r.fields)) for r in records[full : full + 20]]
    return before if numbers[0] or not any(numbers) else full


def header_of(cells: list[list[str]]) -> int:
    """The index of the row of names among the first rows of a sheet."""
    ends = [max((j + 1 for j, cell in enumerate(row) if cell.strip()), default=0) for row in cells]
    records = [Record(row[:end], i, i) for i, (row, end) in enumerate(zip(cells, ends, strict=True)) if end]
    return records[_header(records, _columns(records))].first if records else 0


def _leading_comments(lines: list[str], skipped: int, comment: str | None) -> list[str]:
    """The lines of comment at the beginning; a line of names may begin with # too."""
    found: list[str] = []
    for line in lines[skipped:]:
        if not line.startswith(comment or COMMENTS):
            break
        found.append(line)
    return found


def _commented_names(comments: list[str], separator: str, rows: list[Record], columns: int) -> list[str] | None:
    """The names in the last line of comment: it is as wide as the rows, and alone or the first row has numbers."""
    if not comments:
        return None
    text = comments[-1].rstrip("\r\n")
    rest = text.removeprefix("#")
    first_is_mark = rest.startswith(separator) and separator in SEPARATORS
    names, _ = next(fields([text if first_is_mark else rest.lstrip()], separator), (list[str](), 0))
    numbers = any(map(is_number, rows[0].fields))
    if len(names) == columns and not any(map(is_number, names)) and (numbers or len(comments) == 1):
        return names
    return None


def names_again(names: list[str]) -> bool:
    """Whether a row that equals the names is no row, but the names again, as in files that are joined."""
    return len(names) > 1 and not any(map(is_number, names))


def _are_values(first: list[str], rows: list[Record]) -> bool:
    """Whether a line that should have names has values.

    They are numbers that repeat, or that have fractions and no order, or words that are in their columns again.
    """
    if not rows:
        return False
    numbers = [text.strip() for text in first if is_number(text)]
    like_second = all(is_number(b) for a, b in zip(first, rows[0].fields, strict=False) if is_number(a))
    if 2 * len(numbers) >= len(first) and like_second:
        values = [float(text.replace(",", ".")) for text in numbers]
        fractions = any(value % 1 for value in values) and any(b <= a for a, b in itertools.pairwise(values))
        if len(numbers) > len(set(numbers)) or fractions:
            return True
    columns = zip(*(row.fields for row in rows if len(row) == len(first)), strict=True)
    again = sum(text.strip() != "" and text in values for text, values in zip(first, columns, strict=False))
    return again > 1 and 2 * again > len(first)


def is_number(text: str) -> bool:
    """Whether a field is a number, with a decimal point or comma."""
    try:
        float(text.strip().replace(",", "."))
    except ValueError:
        return False
    return True


def _tell_preamble(name: str, skipped: list[str], first: int) -> None:
    text = next(line.strip() for line in skipped if line.strip())
    last = first + len(skipped) - 1
    which = f"line {first} is" if first == last else f"lines {first} to {last} are"
    note(name, f"{which} no part of the table and skipped ({quote(text, 40)})")


def _with_row_names(name: str, layout: Layout, rows: list[Record]) -> Layout:
    """The layout with a name for each field, if the line of names has one fewer than most rows have.

    R writes row names so. If the last field is always empty, each line ends in a separator.
    """
    columns = _columns(rows) if rows else len(layout.names)
    spaces = layout.separator in (WHITE_SPACE, WIDE_SPACE)
    if spaces:
        note(name, "its columns are separated by white space")
    usual = sum(len(r) == columns for r in rows) >= CONSISTENT * len(rows)
    if len(layout.names) != columns - 1 or not usual:
        return Layout(layout.separator, layout.names, layout.lines, layout.plain and not spaces)
    if all(len(r) < columns or not r.fields[-1].strip() for r in rows):
        return Layout(layout.separator, [*layout.names, ""], layout.lines, False)
    note(name, "the rows have one field more than there are names: the first column is taken as row names")
    return Layout(layout.separator, ["", *layout.names], layout.lines, False)
