"""A device of each library, and models in files."""

from __future__ import annotations

from pathlib import Path

import pytest

import dlarray as dl
from tests.support.matrix import On
from tests.support.model_files import SMALL, written
from tests.support.models import trained_model


@pytest.fixture
def each(on: On) -> On:
    """One device of each library."""
    if on.name not in ("numpy-float32", "strict-device1", "torch-float32", "jax-float32", "cuda-float32"):
        pytest.skip("one device of each library is enough")
    return on


@pytest.fixture
def small(tmp_path: Path) -> bytes:
    """The file of the model SMALL."""
    return written(SMALL, tmp_path)


@pytest.fixture
def old(tmp_path: Path) -> tuple[Path, bytes]:
    """A model's file that a test may write over, and its bytes."""
    trained_model(dl.mlp(4, 2), seed=1).save(tmp_path / "model")
    return tmp_path / "model", (tmp_path / "model").read_bytes()
