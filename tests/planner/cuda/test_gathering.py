"""The kernels that fetch a batch and count, on the host and through nvrtc."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlarray.planner.cuda.gathering import Gathering
from tests.fakes.gpu import FakeGpu
from tests.support import cuda

pytestmark = pytest.mark.skipif(not cuda.have_compiler(), reason="there is no g++")


@pytest.fixture(scope="module")
def gpu(tmp_path_factory: pytest.TempPathFactory) -> FakeGpu:
    return FakeGpu(Path(tmp_path_factory.mktemp("cuda")))


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("aligned", [16, 4, 1])
def test_batches_and_losses(gpu: FakeGpu, ordered: bool, aligned: int):
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(20, 7)).astype(np.float32), rng.integers(0, 99, 20).astype(np.int16), rng.random((20, 16))]
    order = rng.permutation(20).astype(np.int32)
    batch = [np.zeros((4, *x.shape[1:]), x.dtype) for x in data]
    gathering = Gathering(gpu, [x.nbytes // 20 for x in data], aligned, np.dtype(np.float32))
    losses, loss = np.zeros(6, np.float32), np.zeros(1, np.float32)
    addresses = [x.ctypes.data for x in (losses, order, *data)]
    addresses[1] = addresses[1] if ordered else 0
    cells = np.array([8, 1, *addresses], np.int64)
    for step in range(3):
        gathering.fetch(cells.ctypes.data, loss.ctypes.data, step, 4, [x.ctypes.data for x in batch])
        places = np.arange(8 + 4 * step, 12 + 4 * step)
        for x, part in zip(data, batch, strict=True):
            np.testing.assert_array_equal(part, x[order[places] if ordered else places])
        loss[0] = step + 1
    gathering.advance(cells.ctypes.data, loss.ctypes.data, 3, 4)
    np.testing.assert_array_equal(losses, [0, 1, 2, 3, 0, 0])
    np.testing.assert_array_equal(cells[:2], [20, 4])


@pytest.mark.skipif(cuda.nvrtc() is None, reason="no nvrtc: pip install nvidia-cuda-nvrtc-cu12")
@pytest.mark.parametrize("architecture", ["sm_70", "sm_80", "sm_90"])
def test_nvrtc_compiles_it(gpu: FakeGpu, architecture: str):
    for dtype in ("float32", "float64"):
        text = Gathering(gpu, [28, 4, 2, 1, 8, 16], 16, np.dtype(dtype)).text
        ptx = cuda.compile_for(text, architecture)
        assert b".entry gather(" in ptx
        assert b".entry count(" in ptx
        assert b"ld.global.v4.u32" in ptx or b"ld.global.v2.u64" in ptx  # 16 bytes at once
