"""The GPU of the tests of CUDA: a real one, or an emulated one."""

from __future__ import annotations

import pytest

from tests.support import gpu as gpus


@pytest.fixture(scope="session")
def cuda() -> None:
    """Skips a test where there is no GPU, real or emulated."""
    if why := gpus.missing():
        pytest.skip(why)


@pytest.fixture
def gpu(cuda: None) -> gpus.WatchedGpu:
    """A GPU at whose clock each launch, copy and product takes as long as any other."""
    return gpus.WatchedGpu()
