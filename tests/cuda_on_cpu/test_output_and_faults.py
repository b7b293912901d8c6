# SPDX-License-Identifier: BSD-3-Clause
"""What kernels print, and that a fault ends a kernel with CUDA's error."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from tests import cuda_on_cpu as emulator


def test_prints(cupy: Any, capfd: pytest.CaptureFixture[str]):
    body = 'printf("%d of %d: %.1f\\n", (int)threadIdx.x, n, 0.5f * threadIdx.x);'
    text = 'extern "C" __global__ void kernel(int n) { BODY }'.replace("BODY", body)
    cupy.RawKernel(text, "kernel")((1,), (2,), (np.int32(7),))
    cupy.cuda.Device().synchronize()
    assert capfd.readouterr().out == "0 of 7: 0.0\n1 of 7: 0.5\n"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("assert(x[0] > 0);", ["assert(x[0] > 0) in line 1", "cudaErrorAssert"]),
        ("__trap();", ["__trap", "cudaErrorLaunchFailure"]),
        ("if (threadIdx.x) __syncthreads(); else __syncwarp();", ["wait for each other for ever"]),
        (
            "*(float4 *)(x + 1) = make_float4(1, 2, 3, 4);",
            ["kernel used a misaligned address", "cudaErrorMisalignedAddress"],
        ),
        ("*(float *)4096 = 0;", ["cudaErrorIllegalAddress"]),
    ],
)
def test_faults_end_the_kernel_and_break_the_device(cupy: Any, body: str, said: list[str]):
    """In a process of its own: as on a GPU, nothing runs on the device any more."""
    assert cupy
    code = f'extern "C" __global__ void kernel(float *x) {{ {body} }}'
    lines = [
        f"import {emulator.__name__} as emulator",
        "emulator.install()",
        "import cupy",
        f"kernel = cupy.RawKernel({code!r}, 'kernel')",
        "x = cupy.zeros(8, 'float32')",
        "kernel((1,), (32,), (x,))",
        "cupy.cuda.Device().synchronize()",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode
    for text in said:
        assert text in done.stderr


def test_nothing_runs_without_a_gpu(cupy: Any):
    runtime = import_module("cupy.cuda.runtime")
    with emulator.devices(0), pytest.raises(runtime.CUDARuntimeError, match="NoDevice"):
        cupy.zeros(3)
