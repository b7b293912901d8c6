"""The kernels that fetch a batch and count, on a GPU and through nvrtc."""

from __future__ import annotations

import numpy as np
import pytest

from dlarray.planner.cuda.gathering import Gathering
from tests.support import nvrtc
from tests.support.gpu import WatchedGpu, to_gpu, to_host


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("aligned", [16, 4, 1])
def test_batches_and_losses(gpu: WatchedGpu, ordered: bool, aligned: int):
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(20, 7)).astype(np.float32), rng.integers(0, 99, 20).astype(np.int16), rng.random((20, 16))]
    order = rng.permutation(20).astype(np.int32)
    batch = to_gpu([np.zeros((4, *x.shape[1:]), x.dtype) for x in data])
    gathering = Gathering(gpu, [x.nbytes // 20 for x in data], aligned, np.dtype(np.float32))
    losses, loss = to_gpu((np.zeros(6, np.float32), np.zeros(1, np.float32)))
    on_gpu = to_gpu([order, *data])
    addresses = [x.data.ptr for x in (losses, *on_gpu)]
    addresses[1] = addresses[1] if ordered else 0
    cells = to_gpu(np.array([8, 1, *addresses], np.int64))
    for step in range(3):
        gathering.fetch(cells.data.ptr, loss.data.ptr, step, 4, [x.data.ptr for x in batch])
        places = np.arange(8 + 4 * step, 12 + 4 * step)
        for x, part in zip(data, batch, strict=True):
            np.testing.assert_array_equal(to_host(part), x[order[places] if ordered else places])
        loss[0] = step + 1
    gathering.advance(cells.data.ptr, loss.data.ptr, 3, 4)
    np.testing.assert_array_equal(to_host(losses), [0, 1, 2, 3, 0, 0])
    np.testing.assert_array_equal(to_host(cells[:2]), [20, 4])


@pytest.mark.skipif(nvrtc.library() is None, reason="no nvrtc: pip install nvidia-cuda-nvrtc-cu12")
@pytest.mark.parametrize("architecture", ["sm_70", "sm_80", "sm_90"])
def test_nvrtc_compiles_it(gpu: WatchedGpu, architecture: str):
    for dtype in ("float32", "float64"):
        text = Gathering(gpu, [28, 4, 2, 1, 8, 16], 16, np.dtype(dtype)).text
        ptx = nvrtc.compile_for(text, architecture)
        assert ".entry gather(" in ptx
        assert ".entry count(" in ptx
        assert "ld.global.v4.u32" in ptx or "ld.global.v2.u64" in ptx  # 16 bytes at once
