"""What the tests of CUDA share."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def real() -> Any:
    """The real bindings of cublasLt."""
    return pytest.importorskip("nvmath.bindings.cublasLt", reason="nvmath-python is not installed")
