# SPDX-License-Identifier: BSD-3-Clause
"""The symbol tables of a shared library: the functions that it has, and what it needs of other libraries."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SYMBOLS, DYNAMIC_SYMBOLS, VERSIONS, NEEDED_VERSIONS = 2, 11, 0x6FFFFFFF, 0x6FFFFFFE  # kinds of sections
FUNCTION = 2  # a type of symbols


@dataclass(frozen=True)
class Symbol:
    """A row of a symbol table. The address counts from where the library is loaded."""

    name: str
    type: int
    section: int
    """0: another library defines it."""
    address: int
    size: int


@dataclass(frozen=True)
class _Section:
    kind: int
    names: int
    """The number of the section with the names."""
    data: memoryview


def functions(path: Path) -> dict[str, Symbol]:
    """The functions that a library defines, internal ones too; none where the symbols have been stripped."""
    sections = _sections(path)
    return {
        symbol.name: symbol
        for section in sections
        if section.kind == SYMBOLS
        for symbol in _symbols(section, sections)
        if symbol.type == FUNCTION and symbol.section and symbol.address
    }


def needed(path: Path, libraries: set[str]) -> dict[str, list[str]]:
    """The functions that a library needs of these, whose sonames are the versions of their symbols, as NVIDIA's are."""
    sections = _sections(path)
    versions = dict(entry for s in sections if s.kind == NEEDED_VERSIONS for entry in _versions(s, sections))
    found: dict[str, list[str]] = {name: [] for name in libraries & set(versions.values())}
    if found:
        [table] = [section for section in sections if section.kind == DYNAMIC_SYMBOLS]
        [numbers] = [section for section in sections if section.kind == VERSIONS]
        pairs = zip(_symbols(table, sections), struct.iter_unpack("<H", numbers.data), strict=True)
        for symbol, (number,) in pairs:
            if not symbol.section and versions.get(number) in found:
                found[versions[number]].append(symbol.name)
    return found


def _sections(path: Path) -> list[_Section]:
    data = memoryview(path.read_bytes())
    if bytes(data[:6]) != b"\x7fELF\x02\x01":
        raise ImportError(f"{path} is not a shared library of 64-bit Linux (a little-endian ELF file)")
    (start,) = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    rows = (struct.unpack_from("<IIQQQQI", data, start + i * size) for i in range(count))
    return [_Section(kind, names, data[offset : offset + length]) for _, kind, _, _, offset, length, names in rows]


def _name(strings: _Section, at: int) -> str:
    return bytes(strings.data[at : at + 4096]).partition(b"\0")[0].decode()


def _symbols(section: _Section, sections: list[_Section]) -> Iterator[Symbol]:
    strings = sections[section.names]
    for name, info, _, index, address, size in struct.iter_unpack("<IBBHQQ", section.data):
        yield Symbol(_name(strings, name), info & 15, index, address, size)


def _versions(section: _Section, sections: list[_Section]) -> Iterator[tuple[int, str]]:
    """The number and name of each version that the library needs: a list of libraries, each with a list of versions."""
    strings, library = sections[section.names], 0
    while True:
        _, count, _, first, next_library = struct.unpack_from("<HHIII", section.data, library)
        version = library + first
        for _ in range(count):
            _, _, number, name, next_version = struct.unpack_from("<IHHII", section.data, version)
            yield number, _name(strings, name)
            version += next_version
        if not next_library:
            return
        library += next_library
