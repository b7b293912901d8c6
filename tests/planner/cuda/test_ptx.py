"""The printed kernels as NVIDIA's compiler makes them, executed by the PTX interpreter."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

import dlarray as dl
from dlarray.planner.cuda.gathering import Gathering
from dlarray.planner.cuda.program import Settings
from dlarray.planner.cuda.step import GpuStep
from tests.fakes import ptx
from tests.fakes.gpu import to_fake
from tests.fuzz import exact
from tests.support import cuda, kernels
from tests.support.library_steps import library_steps

by_nvrtc = pytest.mark.skipif(cuda.nvrtc() is None, reason="no nvrtc: pip install nvidia-cuda-nvrtc-cu12")


def values(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return abs(np.random.default_rng(1).normal(size=shape).astype(dtype)) + np.asarray(0.5, dtype)


@by_nvrtc
@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_every_kind_and_reduction(dtype: str):
    """Aligned and not: each size is both, in the one dtype and in the other."""
    for name, kernel in kernels.by_hand(dtype).items():
        for i, (rows, cols) in enumerate([*kernels.SIZES, (130, 3), (1, 130)] if kernel.sweeps else [(1, 1)]):
            given = kernels.call(kernel, rows, cols, values, kernels.IN_PLACE.get(name, {}))
            kernels.check(given, partial(ptx.run, offset=(i + kernels.FLOATS.index(dtype)) % 2))


@by_nvrtc
@pytest.mark.parametrize("processors", [1, 100])
def test_gpus_of_any_size(processors: int):
    for name, kernel in kernels.by_hand("float32").items():
        given = kernels.call(kernel, 65, 31, values, kernels.IN_PLACE.get(name, {}))
        kernels.check(given, partial(ptx.run, processors=processors))


@by_nvrtc
@pytest.mark.parametrize("dtype", [*kernels.FLOATS, "bool", *kernels.INTEGERS])
def test_every_exact_operation_bit_for_bit(dtype: str):
    kernels.check_exact(dtype, ptx.run)


@pytest.mark.slow
@by_nvrtc
@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_kernels_of_the_library(dtype: str):
    """All of them in float32; of float64, whose functions are of many more instructions, every third."""
    steps = list(library_steps(dtype, every=False).items())
    for name, (step, state, batch) in steps[:: 1 if dtype == "float32" else 3]:
        try:
            kernels.through_planner(step, state, batch, ptx.run)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


@by_nvrtc
@pytest.mark.parametrize("seed", [116, 149, 200, 201])
def test_random_kernels(seed: int):
    """In the first two one lane writes a scalar that others read."""
    program = exact.generate(seed)
    state, batches = program.start()
    assert kernels.through_planner(program, state, batches[0], partial(ptx.run, offset=seed % 3))


@by_nvrtc
@pytest.mark.parametrize("aligned", [16, 1])
def test_batches_are_fetched_and_losses_kept(aligned: int, tmp_path: Path):
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(20, 7)).astype(np.float32), rng.integers(0, 99, 20).astype(np.int16), rng.random((20, 16))]
    order = rng.permutation(20).astype(np.int32)
    batch = [np.zeros((4, *x.shape[1:]), x.dtype) for x in data]
    gpu = ptx.PtxGpu(tmp_path)
    gathering = Gathering(gpu, [x.nbytes // 20 for x in data], aligned, np.dtype(np.float32))
    losses, loss = np.zeros(6, np.float32), np.zeros(1, np.float32)
    cells = np.array([8, 1, *(x.ctypes.data for x in (losses, order, *data))], np.int64)
    for array in (losses, loss, cells, order, *data, *batch):
        ptx.allow(gpu.memory, array)
    for step in range(3):
        gathering.fetch(cells.ctypes.data, loss.ctypes.data, step, 4, [x.ctypes.data for x in batch])
        for x, part in zip(data, batch, strict=True):
            np.testing.assert_array_equal(part, x[order[8 + 4 * step : 12 + 4 * step]])
        loss[0] = step + 1
    gathering.advance(cells.ctypes.data, loss.ctypes.data, 3, 4)
    np.testing.assert_array_equal(losses, [0, 1, 2, 3, 0, 0])
    np.testing.assert_array_equal(cells[:2], [20, 4])


@by_nvrtc
@pytest.mark.parametrize("settings", [Settings(), Settings(epilogues=False, graph=False)])
def test_steps_of_training(settings: Settings, tmp_path: Path):
    """Three layers with rectifiers, and Adam: the first call checks the plan, the others run it."""
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(12, 10)).astype(np.float32), rng.integers(0, 5, 12)
    step, plain, batch = dl.first_step(dl.mlp(10, 16, 8, 5), x, t, batch_size=12)
    gpu = ptx.PtxGpu(tmp_path)
    planned, state, given = GpuStep(step, gpu, settings), to_fake(plain), to_fake(batch)
    for _ in range(4):
        state, loss = planned(state, given)
        plain, wanted = step(plain, batch)
        np.testing.assert_allclose(float(loss), float(wanted), rtol=1e-6)
        for a, b in zip(state["theta"], plain["theta"], strict=True):
            np.testing.assert_allclose(np.asarray(a), b, rtol=0, atol=1e-7)
    assert list(planned.programs.values()) != [None]
