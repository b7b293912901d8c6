"""Fixtures of the tests of devices."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import dlarray.device as dd
from dlarray.device import search
from dlarray.device.choice import VARIABLE


@pytest.fixture
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No device is set, and none has been tested yet."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(search, "_working", {})
    yield
    dd.set_device(None)
