"""The files of a table: one, or all of a folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from dlarray.core.text import escape, quote, quote_all
from dlarray.tables.compression import LONGEST_PATH
from dlarray.tables.text_encoding import note

__all__ = ["Part", "files_of"]

PARQUET = (".parquet", ".pq")
TEXT = (".csv", ".tsv", ".txt", ".tab", ".data", ".dat")
PACKED = (".gz", ".bz2", ".xz", ".zip")
KEY = re.compile(r"([^=/]+)=(.*)")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Part:
    """A file of a table, its ``name`` for messages, its ``size``, and the values that the names of its folders give.

    As Hive and Spark write tables, the rows in ``year=2013/part-0.parquet`` have a column year. ``place`` is the path
    from the folder of the table.
    """

    path: Path
    name: str
    place: str
    size: int
    keys: tuple[tuple[str, str | None], ...] = ()

    def check(self) -> None:
        """Raise ValueError if the file has another size now."""
        if (size := self.path.stat().st_size) != self.size:
            raise ValueError(
                f"{self.name} had {self.size:,} bytes when the table was opened, and has {size:,} now: open the table "
                "again, and do not write its files while it is read"
            )


def files_of(path: Path) -> list[Part]:
    """The file itself, or the files of a folder and of its folders, in the order of their names.

    Files whose name begins with a point or an underscore are no part of the table. Raises ValueError for a folder
    without tables, and for one with files of two kinds.
    """
    name = escape(path, LONGEST_PATH)
    if not path.is_dir():
        return [Part(path, name, path.name, path.stat().st_size)]
    every = sorted(file for file in path.rglob("*") if file.is_file() and not _is_hidden(file.relative_to(path)))
    found = {file: kind for file in every if (kind := _kind(file))}
    kinds = sorted(set(found.values()))
    if not kinds:
        has = f"it has {quote_all([file.name for file in every], 5)}" if every else "it is empty"
        raise ValueError(f"{name} is a folder without Parquet or CSV files: {has}")
    if len(kinds) > 1:
        first = [next(file for file, of in found.items() if of == kind).name for kind in kinds]
        raise ValueError(f"{name} has files of two kinds, such as {quote_all(first)}: a table has files of one kind")
    if others := [file.name for file in every if file not in found]:
        note(name, f"no part of the table, and not read: {quote_all(others, 5)}")
    parts = [_part(file, file.relative_to(path)) for file in found]
    _check_keys(parts)
    return parts


def _part(file: Path, place: Path) -> Part:
    return Part(file, escape(file, LONGEST_PATH), place.as_posix(), file.stat().st_size, _keys(place))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _kind(file: Path) -> str:
    name = file.name.lower()
    for ending in PACKED:
        name = name.removesuffix(ending)
    if name.endswith(PARQUET):
        return "Parquet"
    return "text" if name.endswith(TEXT) else ""


def _keys(path: Path) -> tuple[tuple[str, str | None], ...]:
    found = [KEY.fullmatch(part) for part in path.parts[:-1]]
    return tuple((unquote(match[1]), None if match[2] == NO_VALUE else unquote(match[2])) for match in found if match)


def _check_keys(parts: Sequence[Part]) -> None:
    """Raise ValueError if files lie in folders with other keys."""
    names = [key for key, _ in parts[0].keys]
    for part in parts:
        if (other := [key for key, _ in part.keys]) != names:
            has = " and ".join(map(quote, other)) or "none"
            raise ValueError(
                f"{part.name} lies in folders for the columns {has}, and {parts[0].name} in those for "
                f"{' and '.join(map(quote, names)) or 'none'}: give a folder whose files have the same columns"
            )
