"""The text of CUDA kernels: compiled by nvrtc without a GPU, and run as C++ on the host against the interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlarray.planner.cuda.printer import grids, source
from dlarray.planner.loops import Call
from tests import cuda, kernels

ARCHITECTURES = ("sm_70", "sm_80", "sm_90")

on_host = pytest.mark.skipif(not cuda.have_compiler(), reason="there is no g++")
by_nvrtc = pytest.mark.skipif(cuda.nvrtc() is None, reason="no nvrtc: pip install nvidia-cuda-nvrtc-cu12")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cuda")


def values(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return abs(np.random.default_rng(1).normal(size=shape).astype(dtype)) + np.asarray(0.5, dtype)


HAND = [(dtype, name) for dtype in kernels.FLOATS for name in kernels.by_hand(dtype)]


@on_host
@pytest.mark.parametrize(("dtype", "name"), HAND)
def test_every_kind_and_reduction(dtype: str, name: str, folder: Path):
    kernel = kernels.by_hand(dtype)[name]
    in_place = kernels.IN_PLACE.get(name, {})
    for rows, cols in kernels.SIZES if kernel.sweeps else [(1, 1)]:
        given = kernels.call(kernel, rows, cols, values, in_place)
        kernels.check(given, lambda call: cuda.run_on_host(call, folder))


@on_host
@pytest.mark.parametrize("processors", [1, 2, 100])
def test_cards_of_any_size(processors: int, folder: Path):
    kernel = kernels.by_hand("float64")["softmax"]
    given = kernels.call(kernel, 65, 31, values, {})
    kernels.check(given, lambda call: cuda.run_on_host(call, folder, processors))


@on_host
@pytest.mark.parametrize("dtype", [*kernels.FLOATS, "bool", *kernels.INTEGERS])
def test_every_exact_operation_bit_for_bit(dtype: str, folder: Path):
    kernels.check_exact(dtype, lambda call: cuda.run_on_host(call, folder))


@on_host
@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_every_kernel_of_the_library(dtype: str, folder: Path):
    def run(call: Call) -> None:
        cuda.run_on_host(call, folder)

    for name, (step, state, batch) in kernels.library(dtype).items():
        try:
            kernels.through_planner(step, state, batch, run)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


@by_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nvrtc_compiles_every_operation(architecture: str):
    for dtype in (*kernels.FLOATS, "bool", *kernels.INTEGERS):
        for kernel in kernels.exact(dtype):
            assert b"rows_kernel" in cuda.compile_for(source(kernel), architecture)
    for dtype, name in HAND:
        kernel = kernels.by_hand(dtype)[name]
        ptx = cuda.compile_for(source(kernel), architecture)
        assert all(f".entry {grid.name}(".encode() in ptx for grid in grids(kernel, 1, 1, 1))


@by_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_nvrtc_compiles_every_kernel_of_the_library(architecture: str, dtype: str):
    texts: set[str] = set()

    def keep(call: Call) -> None:
        texts.add(source(call.kernel))
        kernels.interpreter.run(call)

    for step, state, batch in kernels.library(dtype).values():
        kernels.through_planner(step, state, batch, keep)
    for text in sorted(texts):
        cuda.compile_for(text, architecture)


@by_nvrtc
def test_what_is_no_cuda_does_not_compile():
    with pytest.raises(AssertionError, match="error"):
        cuda.compile_for("__global__ void k() { no such thing; }", "sm_70")
