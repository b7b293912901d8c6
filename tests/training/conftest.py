"""A device of each library."""

from __future__ import annotations

import pytest

from tests.support.matrix import On


@pytest.fixture
def each(on: On) -> On:
    """One device of each library."""
    if on.name not in ("numpy-float32", "strict-device1", "torch-float32", "jax-float32", "cuda-float32"):
        pytest.skip("one device of each library is enough")
    return on
