"""Reading CSV and Parquet files with polars; first each file is checked, for messages that name the remedy."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter
from difflib import get_close_matches
from errno import EISDIR, ENOENT
from os import PathLike, strerror
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read_file"]

CSV = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
PARQUET = (".parquet", ".pq")
SEPARATORS = ",;\t|"
START = 2**16  # bytes that are checked for the type of the file
UNNAMED = "(unnamed)"  # the index column that pandas writes
SAVE_AS_UTF8 = "save it as CSV in UTF-8"
REMEDIES = {
    ".xlsx": "a spreadsheet: save it as CSV there, or polars.read_excel(…).write_parquet('table.parquet')",
    ".xls": "a spreadsheet: save it as CSV there, or polars.read_excel(…).write_parquet('table.parquet')",
    ".ods": "a spreadsheet: save it as CSV there, or polars.read_ods(…).write_parquet('table.parquet')",
    ".json": "JSON: convert it with polars.read_json(…).write_parquet('table.parquet')",
    ".feather": "Arrow: convert it with polars.read_ipc(…).write_parquet('table.parquet')",
    ".arrow": "Arrow: convert it with polars.read_ipc(…).write_parquet('table.parquet')",
    ".pkl": "a pickle, which could run any code: write CSV or Parquet from the program that made it",
    ".safetensors": "a model, not a table",
}


def read_file(path: str | PathLike[str]) -> tuple[pl.DataFrame, str]:
    """The table in a file, and the separator of its columns of text; "" for Parquet, whose columns are typed.

    Raises like ``read``.
    """
    file = Path(path)
    name = file.name.lower()
    polars()
    _check_readable(file)
    if name.endswith(PARQUET):
        frame, separator = _parquet(file), ""
    elif name.endswith(CSV):
        frame, separator = _csv(file)
    else:
        ending = file.suffix.lower()
        what = f"is {REMEDIES[ending]}" if ending in REMEDIES else f"ends in {ending!r}" if ending else "has no ending"
        raise ValueError(f"{path} {what}; tables are read from {', '.join(CSV[:3])} and {', '.join(PARQUET)} files")
    if not frame.width:
        raise ValueError(f"{path} has no columns")
    if not frame.height:
        raise ValueError(f"{path} has column names but no rows")
    return frame, separator


def _check_readable(path: Path) -> None:
    """Raise OSError with the path, and with the nearest name in its folder if the file does not exist."""
    if path.is_dir():
        raise IsADirectoryError(EISDIR, strerror(EISDIR), str(path))
    if not path.exists():
        names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, names, n=1, cutoff=0.75)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise FileNotFoundError(ENOENT, f"{strerror(ENOENT)}{hint}", str(path))
    with path.open("rb"):  # PermissionError with the path; polars' message is less clear
        pass


def _parquet(path: Path) -> pl.DataFrame:
    pl = polars()
    try:
        return cast("pl.DataFrame", pl.read_parquet(path, glob=False))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path} is not a complete Parquet file: {_first_line(error)}") from error


def _csv(path: Path) -> tuple[pl.DataFrame, str]:
    separator = _separator(path)
    frame = _parse(path, path, separator)
    if frame.width > 1 and _may_have_blank_lines(frame):
        frame = _parse(path, _without_blank_lines(path), separator)
    return frame.rename({name: name.strip() or UNNAMED for name in frame.columns}), separator


def _parse(path: Path, source: Path | bytes, separator: str) -> pl.DataFrame:
    """Columns of text. ``path`` is for the message of an error."""
    pl = polars()
    try:
        return cast("pl.DataFrame", pl.read_csv(source, separator=separator, infer_schema=False, glob=False))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path} is not a valid CSV file: {_explained(error)}") from error


def _may_have_blank_lines(frame: pl.DataFrame) -> bool:
    """Whether there are rows without values. A line of separators gives such a row too."""
    pl = polars()
    empty = frame[:, 1:].select(pl.all_horizontal(pl.all().is_null())).to_series()
    first = frame[:, 0].filter(empty)
    return first.has_nulls() or bool((first.str.strip_chars() == "").any())


def _without_blank_lines(path: Path) -> bytes:
    """The file without its blank lines; those inside quotes stay."""
    lines: list[bytes] = []
    quoted = False
    with _open(path) as file:
        for line in file:
            if line.strip() or quoted:
                lines.append(line)
                quoted ^= line.count(b'"') % 2 == 1
    return b"".join(lines)


def _open(path: Path) -> Any:
    return gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")


def _header(file: Any) -> bytes:
    """The line of names, of any length; with the next lines if a quoted name contains a line break."""
    first = line = next((line for line in file if line.strip()), b"")
    while line.count(b'"') % 2 and len(line) < len(first) + START and (more := file.readline()):
        line += more
    return first if line.count(b'"') % 2 else line


def _separator(path: Path) -> str:
    """The separator of the columns. Raises ValueError for a file that is not text, is empty, or has bad names."""
    try:
        with _open(path) as file:
            start: bytes = file.read(START)
            file.seek(0)
            header = _header(file)
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is not a complete gzip file: {error}") from error
    _check_text(path, start, header)
    text = header.decode("utf-8-sig").rstrip("\r\n")
    rows = {c: _fields(text, c) for c in SEPARATORS}
    separator = max(SEPARATORS, key=lambda c: len(rows[c]))
    names = [name.strip() for name in rows[separator]]
    if empty := [str(i + 1) for i, name in enumerate(names) if not name and i > 0]:
        raise ValueError(f"{path}: column {', '.join(empty)} has no name in the first line")
    if duplicates := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"{path}: duplicate names in the first line, {', '.join(map(repr, duplicates))}: rename one")
    return separator


def _check_text(path: Path, start: bytes, header: bytes) -> None:
    """Raise ValueError for a file that is not UTF-8 text with lines."""
    if not start.strip():
        raise ValueError(f"{path} is empty")
    if start[:4] == b"PAR1":
        raise ValueError(f"{path} is a Parquet file: give it the ending .parquet")
    if start[:2] == b"PK":
        raise ValueError(f"{path} is a spreadsheet or an archive, not CSV: save it as CSV")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError(f"{path} is UTF-16 text: {SAVE_AS_UTF8}")
    if b"\0" in start:
        raise ValueError(f"{path} contains NUL bytes: it is damaged, UTF-16 or not text; {SAVE_AS_UTF8}")
    try:
        header.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text: {SAVE_AS_UTF8}") from None
    if b"\r" in re.sub(rb'"[^"]*"', b"", header).rstrip(b"\r\n"):
        raise ValueError(f"{path} ends its lines with CR alone, as old Macs did: {SAVE_AS_UTF8}, with LF or CRLF")


def _fields(line: str, separator: str) -> list[str]:
    """The fields of a line."""
    try:
        return next(csv.reader(line.splitlines(keepends=True), delimiter=separator))
    except csv.Error:  # a field beyond 128 KiB: this is not the separator
        return [line]


def _explained(error: Exception) -> str:
    text = _first_line(error)
    if "more fields" in text:
        return "a line has more fields than the first line has names; put quotes around a value that contains a comma"
    if "utf-8" in text.lower():
        return f"its text is not UTF-8; {SAVE_AS_UTF8}"
    return text


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
