"""How much memory a table may take, and how much it would take if it were read whole."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dlarray.core.check import at_least_one
from dlarray.device.memory import host_memory

__all__ = ["Allowed", "bytes_in_words", "needed"]

A_VALUE = 200
"""Bytes for each value of a table that is read whole: its text, its type, about ten features, and their copies."""
OF_A_BLOCK = 1 / 8
"""The part of the allowed memory that a block may take, by the same count."""
SHARE = 0.5
UNKNOWN = 2**32
LEAST = 10**6
POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
SIZE = re.compile(r"\s*(\d+(?:\.\d*)?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Allowed:
    """The number of ``bytes`` that a table may take, and where the number comes from."""

    bytes: int
    reason: str

    @classmethod
    def of(cls, memory: str | int | None) -> Allowed:
        """A number of bytes or text such as "8GB"; None is half of the memory that is free.

        Raises ValueError or TypeError for anything else, and for less than 1 MB.
        """
        if memory is None:
            found = host_memory()
            if found is None:
                return cls(UNKNOWN, "as this system does not say how much memory is free")
            return cls(max(LEAST, int(SHARE * found[0])), "half of the memory that is free")
        if isinstance(memory, str):
            if not (match := SIZE.fullmatch(memory)):
                raise ValueError(f"memory must be a size such as 8GB or 500MB, got {memory!r}")
            memory = int(float(match[1]) * (1024 if match[3] else 1000) ** POWERS[match[2].lower()])
        if at_least_one("memory", memory) < LEAST:
            raise ValueError(f"memory must be at least 1 MB, got {bytes_in_words(memory)}")
        return cls(memory, "as requested")

    def rows_of_a_block(self, columns: int) -> int:
        """The most rows of a block."""
        return max(1, int(self.bytes * OF_A_BLOCK / (A_VALUE * columns)))


def needed(rows: int, columns: int) -> int:
    """The bytes that a table takes that is read whole, about."""
    return rows * columns * A_VALUE


def bytes_in_words(count: int) -> str:
    """Such as "7.3 GB"."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
