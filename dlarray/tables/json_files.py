"""Tables in JSON: one object for each row, one in each line or all in a list."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from dlarray.tables.column_names import with_names
from dlarray.tables.compression import Contents
from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["is_json", "read_json"]

REMEDY = "a table is one object for each row, in a list or one in each line, as pandas writes it with orient='records'"


def is_json(contents: Contents) -> bool:
    """Whether a text begins as a list of objects, or with an object; a line of names may begin with a bracket too."""
    start = contents.start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:1] == b"[":
        return start[1:].lstrip()[:1] in (b"{", b"]", b"[")
    return start[:1] == b"{" and start[1:].lstrip()[:1] in (b'"', b"}")


def read_json(contents: Contents) -> pl.DataFrame:
    """The table; the columns have the types of the values. Raises ValueError for JSON of another form."""
    data = contents.all().removeprefix(b"\xef\xbb\xbf")
    records = _lines(contents.name, data) if data.lstrip().startswith(b"{") else _list(contents.name, data)
    if not all(isinstance(record, dict) for record in records):
        raise ValueError(f"{contents.name} is JSON of another form; {REMEDY}")
    if len(records) == 1 and records[0] and all(isinstance(value, (dict, list)) for value in records[0].values()):
        raise ValueError(f"{contents.name} is one JSON object; {REMEDY}")
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = [_column(str(i), [record.get(name) for record in records]) for i, name in enumerate(names)]
    return with_names(contents.name, polars().DataFrame(columns), names)


def _list(file: str, data: bytes) -> list[Any]:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not valid JSON: {error}; {REMEDY}") from error


def _lines(file: str, data: bytes) -> list[Any]:
    found: list[Any] = []
    for number, line in enumerate(io.BytesIO(data), 1):
        try:
            if line.strip():
                found.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            if not found and _is_one_object(data):
                raise ValueError(f"{file} is one JSON object; {REMEDY}") from None
            raise ValueError(f"{file}, line {number} is not valid JSON: {error}; {REMEDY}") from error
    return found


def _is_one_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False


def _column(name: str, values: list[Any]) -> pl.Series:
    """A column by the type of its values; text if they have several."""
    pl = polars()
    kinds: set[type[Any]] = {type(value) for value in values if value is not None}
    try:
        if kinds == {bool}:
            return pl.Series(name, values, dtype=pl.Boolean)
        if kinds == {int}:
            return pl.Series(name, values, dtype=pl.Int64)
        if kinds == {float} or kinds == {int, float}:
            return pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64)
    except (OverflowError, TypeError):  # an integer that has no such type
        pass
    text = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pl.Series(name, text, dtype=pl.String)
