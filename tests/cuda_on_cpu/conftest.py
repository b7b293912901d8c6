# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the emulator share."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests import cuda_on_cpu as emulator


@pytest.fixture(scope="session")
def cupy() -> Any:
    """CuPy on emulated GPUs."""
    if not emulator.installed():
        if why := emulator.missing():
            pytest.skip(why)
        if "cupy" in sys.modules:
            pytest.skip("CuPy has been imported for a real GPU")
        emulator.install()
    return pytest.importorskip("cupy")
