"""The floating-point flags of BLAS: a planned step warns of nothing that the eager step does not."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlarray.planner import compile as plan

SOURCE = """
#include <stdint.h>
extern "C" void fill_stack(uint32_t pattern) {
    volatile uint32_t words[65536];
    for (int i = 0; i < 65536; i++) words[i] = pattern;
}
"""
SIGNALLING_NAN = 0x7FA00001


@pytest.fixture(scope="module")
def fill_stack(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], None]:
    """Leaves a pattern in the memory of the stack, where BLAS reads lanes of vectors that it has not set."""
    if shutil.which("g++") is None:
        pytest.skip("there is no g++")
    folder: Path = tmp_path_factory.mktemp("stack")
    (folder / "stack.cpp").write_text(SOURCE)
    command = ["g++", "-O0", "-shared", "-fPIC", "-o", str(folder / "stack.so"), str(folder / "stack.cpp")]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(folder / "stack.so")).fill_stack


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", range(1, 18))
def test_sums_of_rows_report_no_flag_of_lanes_that_blas_does_not_use(
    fill_stack: Callable[[int], None], columns: int, dtype: str
) -> None:
    def step(state: Any, x: Any) -> Any:
        total = np.sum(x, axis=1, keepdims=True)
        return state + 1, x / total

    for rows in (2, 6, 7, 10, 15):
        fast, state = plan(step, executor="ufuncs", check=False), np.zeros(1)
        x = np.random.default_rng(rows).uniform(1, 2, (rows, columns)).astype(dtype)
        for _ in range(3):
            fill_stack(SIGNALLING_NAN)
            with np.errstate(all="raise"):
                state, y = fast(state, x)
        np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)
