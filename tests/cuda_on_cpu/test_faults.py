# SPDX-License-Identifier: BSD-3-Clause
"""Kernels that go wrong end with CUDA's errors; a host that reads a GPU's memory dies, and stderr says why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
START = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests import cuda_on_cpu as emulator
emulator.install(devices=8, peers=False)
import cupy, json
"""
KERNELS = {
    "null": "*(float *)0 = 1;",
    "other device": "((float *)other)[0] = 1;",
    "trap": "__trap();",
    "assert": "assert(x == 0);",
    "zero": "x[0] = 7 / (int)(other >> 60);",
    "misaligned": "*(double *)((char *)x + 4) = 1;",
    "diverged": "if (threadIdx.x < 16) __syncthreads(); else __shfl_sync(0xffffffffu, 1, 0);",
    "stack": "volatile char room[1 << 20]; for (int i = (1 << 20) - 1; i >= 0; i -= 64) room[i] = i;",
}
BREAK_EACH = (
    START
    + f"""
kernels = {KERNELS!r}
others = []
for i in range(8):
    with cupy.cuda.Device(i):
        others.append(cupy.zeros(4, 'f'))
found = {{}}
for i, (name, body) in enumerate(kernels.items()):
    def attempt(call):
        try:
            call()
        except RuntimeError as error:
            return str(error)
    print('<' + name + '>', file=sys.stderr, flush=True)
    with cupy.cuda.Device(i):
        x = others[i]
        head = 'extern "C" __global__ void broken_%d(float *x, unsigned long long other)' % i
        kernel = cupy.RawKernel(head + '{{ ' + body + ' }}', 'broken_%d' % i)
        found[name] = [
            attempt(lambda: kernel((1,), (32,), (x, cupy.uint64(others[i - 1].data.ptr)))),
            attempt(cupy.cuda.Device(i).synchronize),
            attempt(lambda: cupy.cuda.runtime.malloc(4)),
            attempt(lambda: cupy.cuda.runtime.memsetAsync(x.data.ptr, 0, 4, 0)),
        ]
    print('<end>', file=sys.stderr, flush=True)
print(json.dumps(found), flush=True)
import os
os._exit(0)
"""
)


def run(text: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own."""
    command = [sys.executable, "-c", text]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": ""})


@pytest.fixture(scope="module")
def broken(cupy: Any) -> tuple[dict[str, list[str | None]], str]:
    """The errors of a launch, a wait and what follows, for each kernel on a device of its own; and what was printed."""
    done = run(BREAK_EACH)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize(
    ("kernel", "error", "said"),
    [
        (
            "null",
            "cudaErrorIllegalAddress: an illegal memory access",
            "wrote (nil) of the host, which it cannot access",
        ),
        ("other device", "cudaErrorIllegalAddress: an illegal memory access", "of device 0, which it cannot access"),
        ("trap", "cudaErrorLaunchFailure: unspecified launch failure", "broken_2: __trap"),
        ("assert", "cudaErrorAssert: device-side assert triggered", "assert(x == 0)"),
        ("zero", "cudaErrorLaunchFailure: unspecified launch failure", "divided an integer by zero"),
        ("misaligned", "cudaErrorMisalignedAddress: misaligned address", "used a misaligned address"),
        ("diverged", "cudaErrorLaunchTimeout: the launch timed out", "16 of 32 in __syncthreads, 16 in an operation"),
        ("stack", "cudaErrorIllegalAddress: an illegal memory access", "broken_7"),
    ],
)
def test_a_kernel_that_goes_wrong(broken: tuple[dict[str, list[str | None]], str], kernel: str, error: str, said: str):
    errors, printed = broken
    launch, wait, *later = errors[kernel]
    assert launch is None  # the launch itself is only queued
    assert wait is not None
    assert wait.startswith(error)
    assert later == [wait, wait]  # the device stays broken, and only it
    assert said in printed.partition(f"<{kernel}>")[2].partition("<end>")[0]


@pytest.mark.parametrize("handler", ["", "import faulthandler; faulthandler.enable()"])
def test_a_host_that_reads_device_memory(cupy: Any, handler: str):
    done = run(START + f"import ctypes\nx = cupy.ones(4)\n{handler}\nctypes.string_at(x.data.ptr, 8)")
    assert done.returncode == -signal.SIGSEGV
    assert ("CUDA emulator: the host read 0x" in done.stderr and "of device 0" in done.stderr) or handler
    assert ("Fatal Python error: Segmentation fault" in done.stderr) == bool(handler)


def test_the_handler_before_ours_still_runs(cupy: Any):
    enabled = "import faulthandler; faulthandler.enable()\n" + START
    done = run(enabled + "import ctypes\nx = cupy.ones(4)\nctypes.string_at(x.data.ptr, 8)")
    assert "CUDA emulator: the host read 0x" in done.stderr
    assert "Fatal Python error: Segmentation fault" in done.stderr


def test_a_fork_has_no_gpu(cupy: Any):
    done = run(
        START + "import os\nx = cupy.ones(4)\nif os.fork() == 0:\n    x + 1\nassert os.wait()[1]\nprint(x.sum())"
    )
    assert "cudaErrorInitializationError: initialization error" in done.stderr
    assert done.stdout.strip() == "4.0"
    assert done.returncode == 0


def test_kernels_that_are_linked_into_cupy_are_refused(cupy: Any):
    """The module that launches them does not look at the error: numbers would be garbage."""
    done = run(START + "print(cupy.random.default_rng(3).random(4))")
    assert done.returncode == -signal.SIGABRT
    assert "not emulated: cudaLaunchKernel" in done.stderr
    assert not done.stdout
