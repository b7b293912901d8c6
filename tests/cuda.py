"""CUDA C without a GPU: nvrtc through ctypes, and the same text as C++ on the host, the lanes of a warp a loop."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np

from dlarray.planner.cuda.launch import Placed, head
from dlarray.planner.cuda.printer import grids, source, workspace
from dlarray.planner.loops import Call

HOST = """
#define DLARRAY_HOST
#include <math.h>
#define KERNEL extern "C" void
#define DEVICE static inline
static thread_local long long WARP, WARPS;
#define LANE lane
#define LANES for (int lane = 0; lane < 32; ++lane)
#define ONE_LANE
#define PER_LANE(type, name) type name[32]
#define IN_LANE(name) name[lane]
#define INF __builtin_inf()
#define REDUCE_LANES(type, name, combine) \\
    for (int d = 16; d; d >>= 1) { \\
        type other[32]; LANES other[lane] = name[lane ^ d]; LANES name[lane] = combine(name[lane], other[lane]); }
#define REDUCED(name) name[0]
"""

LAUNCH = """
extern "C" void launch_{name}(const Head *head, long long warps) {{
    WARPS = warps;
    for (WARP = 0; WARP < warps; ++WARP) {name}(*head);
}}
"""


@cache
def library(text: str, names: tuple[str, ...], folder: Path) -> ctypes.CDLL:
    whole = HOST + text + "".join(LAUNCH.format(name=name) for name in names)
    stem = folder / hashlib.sha256(whole.encode()).hexdigest()[:16]
    stem.with_suffix(".cpp").write_text(whole)
    command = ["g++", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-w", "-fwrapv", "-fno-strict-aliasing"]
    subprocess.run([*command, str(stem.with_suffix(".cpp")), "-o", str(stem.with_suffix(".so"))], check=True)
    return ctypes.CDLL(str(stem.with_suffix(".so")))


def have_compiler() -> bool:
    return shutil.which("g++") is not None


def run_on_host(call: Call, folder: Path, processors: int = 3) -> None:
    """Run the kernels of a call on a card of few multiprocessors, one warp after the other."""
    kernel, rows, cols = call.kernel, call.rows, call.cols
    work = grids(kernel, rows, cols, processors)
    code = library(source(kernel), tuple(grid.name for grid in work), folder)
    space = np.full(workspace(kernel, rows, cols, processors) // 8 + 1, np.nan)
    arrays = [placed(a) for a in (*call.inputs, *call.outputs)]
    warps = work[0].warps
    words = head(kernel, rows, cols, call.constants, arrays, space.ctypes.data, warps)
    for grid in work:
        getattr(code, f"launch_{grid.name}")(ctypes.c_void_p(words.ctypes.data), ctypes.c_longlong(grid.warps))


def placed(array: np.ndarray) -> Placed:
    """An array of the host as a kernel is told of it."""
    row, column = (stride // array.itemsize for stride in array.strides)
    return Placed(array.ctypes.data, (row, column))


@cache
def nvrtc() -> ctypes.CDLL | None:
    """NVIDIA's run-time compiler as pip installs it; None where it is not there."""
    spec = importlib.util.find_spec("nvidia.cuda_nvrtc") if importlib.util.find_spec("nvidia") else None
    for folder in spec.submodule_search_locations or [] if spec else []:
        for path in sorted(Path(folder).glob("lib/libnvrtc.so*")):
            if "builtins" not in path.name:
                return ctypes.CDLL(str(path))
    return None


def compile_for(text: str, architecture: str) -> bytes:
    """The PTX of a CUDA source; AssertionError with the compiler's log where it does not compile."""
    lib = nvrtc()
    assert lib is not None
    program = ctypes.c_void_p()
    assert lib.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None) == 0
    try:
        options = [f"--gpu-architecture={architecture}".encode(), b"--fmad=false", b"--std=c++14"]
        failed = lib.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        size = ctypes.c_size_t()
        lib.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        lib.nvrtcGetProgramLog(program, log)
        assert not failed, log.value.decode() + text
        lib.nvrtcGetPTXSize(program, ctypes.byref(size))
        ptx = ctypes.create_string_buffer(size.value)
        lib.nvrtcGetPTX(program, ptx)
        return ptx.raw
    finally:
        lib.nvrtcDestroyProgram(ctypes.byref(program))


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
