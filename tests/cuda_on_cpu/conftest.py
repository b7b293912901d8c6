# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the emulator share."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from tests import cuda_on_cpu as emulator


@pytest.fixture(scope="session")
def cupy() -> Any:
    """CuPy on emulated GPUs."""
    if not emulator.installed():
        pytest.skip(emulator.missing() or "the tests use a real GPU: --emulated emulates one")
    return import_module("cupy")
