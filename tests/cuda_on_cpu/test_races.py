# SPDX-License-Identifier: BSD-3-Clause
"""Threads and blocks run in a drawn order under a seed, so that a race between them shows as different numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import cuda_on_cpu as emulator

SEEDS = range(6)
LAST = 'extern "C" __global__ void last(int *x) { x[0] = blockIdx.x * blockDim.x + threadIdx.x; }'
SUM = 'extern "C" __global__ void sum(int *x) { atomicAdd(x, blockIdx.x * blockDim.x + threadIdx.x); }'


def results(cupy: Any, text: str, name: str, blocks: int, threads: int) -> set[int]:
    kernel, found = cupy.RawKernel(text, name), set[int]()
    for seed in SEEDS:
        x = cupy.zeros(1, np.int32)
        with emulator.order(seed):
            kernel((blocks,), (threads,), (x,))
            found.add(int(x[0]))
    return found


@pytest.mark.parametrize(("blocks", "threads"), [(1, 64), (64, 1)])
def test_a_race_shows(cupy: Any, blocks: int, threads: int):
    assert len(results(cupy, LAST, "last", blocks, threads)) > 1
    assert results(cupy, SUM, "sum", blocks, threads) == {2016}


def test_writing_an_element_twice_shows(cupy: Any):
    """CuPy leaves open which value an index that occurs twice gets."""
    found = set[float]()
    for seed in SEEDS:
        x = cupy.zeros(2, np.float32)
        where, values = cupy.zeros(20, np.int64), cupy.arange(20, dtype=np.float32)
        with emulator.order(seed):
            x[where] = values
            found.add(float(x[0]))
    assert len(found) > 1


def test_without_a_seed_the_order_is_that_of_the_numbers(cupy: Any):
    x = cupy.zeros(1, np.int32)
    cupy.RawKernel(LAST, "last")((4,), (8,), (x,))
    assert int(x[0]) == 31
