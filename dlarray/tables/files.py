"""Files to what they hold: CSV with whatever lies between its columns, and Parquet. Read by polars, checked first."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from difflib import get_close_matches
from errno import EISDIR, ENOENT
from os import PathLike, strerror
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["opened"]

CSV = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
PARQUET = (".parquet", ".pq")
BETWEEN = ",;\t|"
START = 2**16  # bytes by which a file is known for no table
UNNAMED = "(unnamed)"  # the index that pandas writes
REMEDIES = {
    ".xlsx": "a spreadsheet: save it as CSV there, or polars.read_excel(…).write_parquet('table.parquet')",
    ".xls": "a spreadsheet: save it as CSV there, or polars.read_excel(…).write_parquet('table.parquet')",
    ".ods": "a spreadsheet: save it as CSV there, or polars.read_ods(…).write_parquet('table.parquet')",
    ".json": "JSON: polars.read_json(…).write_parquet('table.parquet') makes a table of it",
    ".feather": "Arrow: polars.read_ipc(…).write_parquet('table.parquet')",
    ".arrow": "Arrow: polars.read_ipc(…).write_parquet('table.parquet')",
    ".pkl": "a pickle, which could run anything: write CSV or Parquet where it was made",
    ".safetensors": "a model, not a table",
}


def opened(path: str | PathLike[str]) -> tuple[pl.DataFrame, str]:
    """What the file holds, and what lies between its columns of text; "" for Parquet, whose columns have types.

    Raises as ``read`` does.
    """
    file = Path(path)
    name = file.name.lower()
    polars()
    _check_is_there(file)
    if name.endswith(PARQUET):
        frame, between = _parquet(file), ""
    elif name.endswith(CSV):
        frame, between = _csv(file)
    else:
        ending = file.suffix.lower()
        what = f"is {REMEDIES[ending]}" if ending in REMEDIES else f"ends in {ending!r}" if ending else "has no ending"
        raise ValueError(f"{path} {what}; tables are read from {', '.join(CSV[:3])} and {', '.join(PARQUET)} files")
    if not frame.width:
        raise ValueError(f"{path} has no columns")
    if not frame.height:
        raise ValueError(f"{path} has names of columns and no rows")
    return frame, between


def _check_is_there(path: Path) -> None:
    """Raise OSError with the path, and with the nearest name in its folder where it is not there."""
    if path.is_dir():
        raise IsADirectoryError(EISDIR, strerror(EISDIR), str(path))
    if not path.exists():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, beside, n=1, cutoff=0.75)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise FileNotFoundError(ENOENT, f"{strerror(ENOENT)}{hint}", str(path))
    with path.open("rb"):  # PermissionError with the path, before polars says it in its own words
        pass


def _parquet(path: Path) -> pl.DataFrame:
    pl = polars()
    try:
        return cast("pl.DataFrame", pl.read_parquet(path, glob=False))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path} is not a whole Parquet file: {_first_line(error)}") from error


def _csv(path: Path) -> tuple[pl.DataFrame, str]:
    between = _checked_start(path)
    frame = _lines(path, path, between)
    if frame.width > 1 and _may_be_blank(frame):
        frame = _lines(path, _without_blank_lines(path), between)
    return frame.rename({name: name.strip() or UNNAMED for name in frame.columns}), between


def _lines(path: Path, source: Path | bytes, between: str) -> pl.DataFrame:
    """Columns of text. ``path`` is what an error names."""
    pl = polars()
    try:
        return cast("pl.DataFrame", pl.read_csv(source, separator=between, infer_schema=False, glob=False))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path} is not a table as CSV files hold them: {_told(error)}") from error


def _may_be_blank(frame: pl.DataFrame) -> bool:
    """Whether there are rows with nothing in them, which a line of separators gives too."""
    pl = polars()
    nothing = frame[:, 1:].select(pl.all_horizontal(pl.all().is_null())).to_series()
    first = frame[:, 0].filter(nothing)
    return first.has_nulls() or bool((first.str.strip_chars() == "").any())


def _without_blank_lines(path: Path) -> bytes:
    """The file without its blank lines, but for those within quotes."""
    kept: list[bytes] = []
    quoted = False
    with _open(path) as file:
        for line in file:
            if line.strip() or quoted:
                kept.append(line)
                quoted ^= line.count(b'"') % 2 == 1
    return b"".join(kept)


def _open(path: Path) -> Any:
    return gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")


def _names(file: Any) -> bytes:
    """The line of names, however long, and the lines after it where a name in quotes holds the end of a line."""
    first = line = next((line for line in file if line.strip()), b"")
    while line.count(b'"') % 2 and len(line) < len(first) + START and (more := file.readline()):
        line += more
    return first if line.count(b'"') % 2 else line


def _checked_start(path: Path) -> str:
    """What lies between the columns. Raises ValueError for what is no text, empty, or has bad names."""
    try:
        with _open(path) as file:
            start: bytes = file.read(START)
            file.seek(0)
            line = _names(file)
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is not a whole gzip file: {error}") from error
    if not start.strip():
        raise ValueError(f"{path} is empty")
    if start[:4] == b"PAR1":
        raise ValueError(f"{path} is a Parquet file: give it the ending .parquet")
    if start[:2] == b"PK":
        raise ValueError(f"{path} is a spreadsheet or an archive, not CSV: save it as CSV")
    if b"\0" in start:
        raise ValueError(f"{path} is not UTF-8 text: save it as CSV in UTF-8")
    text = line.decode("utf-8-sig", errors="replace").rstrip("\r\n")
    rows = {c: _fields(text, c) for c in BETWEEN}
    between = max(BETWEEN, key=lambda c: len(rows[c]))
    names = [name.strip() for name in rows[between]]
    if empty := [str(i + 1) for i, name in enumerate(names) if not name and i > 0]:
        raise ValueError(f"{path}: column {', '.join(empty)} has no name in the first line")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"{path}: the names {', '.join(map(repr, twice))} stand twice in the first line: rename one")
    return between


def _fields(line: str, between: str) -> list[str]:
    """The fields of a line."""
    try:
        return next(csv.reader(line.splitlines(keepends=True), delimiter=between))
    except csv.Error:  # a field beyond 128 KiB: another character lies between the columns
        return [line]


def _told(error: Exception) -> str:
    text = _first_line(error)
    if "more fields" in text:
        return "a line has more fields than the first line has names; a comma inside a value needs quotes about it"
    if "utf-8" in text.lower():
        return "its text is not UTF-8; save it as CSV in UTF-8"
    return text


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
