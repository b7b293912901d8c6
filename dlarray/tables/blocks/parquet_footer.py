"""The row groups of a Parquet file, from its footer: their rows and sizes. polars does not show them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["RowGroup", "row_groups"]

MARK = b"PAR1"
ROW_GROUPS, BYTES, ROWS = 4, 2, 3  # numbers of fields in FileMetaData and in RowGroup
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)  # types of Thrift


@dataclass(frozen=True)
class RowGroup:
    """The number of its ``rows``, and of its bytes before compression."""

    rows: int
    bytes: int


def row_groups(path: Path, name: str) -> list[RowGroup]:
    """The row groups of a file, in order. Raises ValueError if the file does not end as a Parquet file does."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        length, mark = struct.unpack("<I4s", file.read(8).rjust(8, b"\0"))
        if mark != MARK or length + 8 > size:
            raise ValueError(f"{name} is not a complete Parquet file: its end is missing")
        file.seek(size - 8 - length)
        footer = file.read(length)
    try:
        groups = _Thrift(footer).struct().get(ROW_GROUPS, [])
        return [RowGroup(int(group[ROWS]), int(group[BYTES])) for group in groups]
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name} is not a complete Parquet file: its footer cannot be read") from error


class _Thrift:
    """Values in Thrift's compact protocol, in which the footer is written; a structure is a dict by field number.

    Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self) -> dict[int, Any]:
        found: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            kind = head & 15
            field = field + (head >> 4) if head >> 4 else self._signed()
            found[field] = kind == TRUE if kind in (TRUE, FALSE) else self._value(kind)
        return found

    def _value(self, kind: int) -> Any:
        if kind in (TRUE, FALSE, BYTE):
            return self._byte()
        if kind in (I16, I32, I64):
            return self._signed()
        if kind == DOUBLE:
            return self._bytes(8)
        if kind == BINARY:
            return self._bytes(self._unsigned())
        if kind in (LIST, SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._unsigned()
            return [self._value(head & 15) for _ in range(count)]
        if kind == MAP:
            count = self._unsigned()
            kinds = self._byte() if count else 0
            return [(self._value(kinds >> 4), self._value(kinds & 15)) for _ in range(count)]
        if kind == STRUCT:
            return self.struct()
        raise ValueError(f"type {kind}")

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _bytes(self, count: int) -> bytes:
        self._at += count
        if self._at > len(self._data):
            raise IndexError
        return self._data[self._at - count : self._at]

    def _unsigned(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return found

    def _signed(self) -> int:
        found = self._unsigned()
        return found >> 1 ^ -(found & 1)
