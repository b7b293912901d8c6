"""CUDA C without a GPU: nvrtc through ctypes, and the same text as C++ on the host (cuda_host.py)."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import mmap
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dlarray.planner.cuda.launch import head
from dlarray.planner.cuda.prelude import PRELUDE
from dlarray.planner.cuda.printer import source
from dlarray.planner.cuda.spread import COUNT, grids, workspace
from dlarray.planner.kernel.head import ArrayAt
from dlarray.planner.kernel.loops import Call, Kernel
from tests.support.cuda_host import COMPILER, HOST, LAUNCH

_made: dict[str, ctypes.CDLL] = {}
"""The library of each text that was compiled together with others."""


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _launchers(text: str, names: Sequence[str], prefix: str = "", scope: str = "") -> str:
    exchange = "true" if re.search("across<|last_block", text.removeprefix(PRELUDE)) else "false"
    return "".join(LAUNCH.format(name=n, prefix=prefix, scope=scope, exchange=exchange) for n in names)


@cache
def _header(folder: Path) -> Path:
    """What all texts begin with, compiled once."""
    path = folder / "host.h"
    path.write_text(HOST + PRELUDE)
    subprocess.run([*COMPILER, "-x", "c++-header", str(path), "-o", f"{path}.gch"], check=True)
    return path


def _started(text: str, folder: Path) -> tuple[subprocess.Popen[bytes], Path]:
    path = folder / f"{_name(text)}.so"
    path.with_suffix(".cpp").write_text(f'#include "{_header(folder)}"\n{text.removeprefix(PRELUDE)}')
    return subprocess.Popen([*COMPILER, "-shared", str(path.with_suffix(".cpp")), "-o", str(path), "-lm"]), path


def _finished(compiling: subprocess.Popen[bytes], path: Path) -> ctypes.CDLL:
    assert compiling.wait() == 0, f"{path.with_suffix('.cpp')} does not compile"
    return ctypes.CDLL(str(path))


@cache
def library(text: str, names: tuple[str, ...], folder: Path) -> ctypes.CDLL:
    """A compiled text. ``launch_name(head, warps)`` runs a kernel; with a negative number, the last warp first."""
    return _finished(*_started(text + _launchers(text, names), folder))


def prepare(kernels: Iterable[Kernel], folder: Path, processes: int = 2) -> None:
    """Compile the texts of many kernels together, which takes a fraction of the time."""
    texts: dict[str, str] = {}
    for kernel in kernels:
        if (text := source(kernel)) not in _made and text not in texts:
            inner = text.removeprefix(PRELUDE)
            names = [grid.name for grid in grids(kernel, 1, 1, 1)]
            space = f"k{_name(text)}"
            texts[text] = f"namespace {space} {{\n{inner}\n}}\n" + _launchers(text, names, f"{space}_", f"{space}::")
    bundles = [list(texts)[i::processes] for i in range(processes)]
    started = [(_started("".join(texts[text] for text in bundle), folder), bundle) for bundle in bundles if bundle]
    for compiling, bundle in started:
        made = _finished(*compiling)
        _made.update(dict.fromkeys(bundle, made))


def have_compiler() -> bool:
    return shutil.which("g++") is not None


def run_on_host(call: Call, folder: Path, processors: int = 3, offset: int | None = 0, order: int = 1) -> None:
    """Run the kernels of a call on a GPU of few multiprocessors.

    They work on copies that start ``offset`` items after a multiple of 64 bytes; a write to other memory is an error.
    Without an offset, copies end before memory that cannot be read. ``order`` is 1, or -1 for the last warp first.
    """
    kernel, rows, cols = call.kernel, call.rows, call.cols
    work = grids(kernel, rows, cols, processors)
    text = source(kernel)
    if text not in _made:
        prepare([kernel], folder)
    nbytes = workspace(kernel, rows, cols, processors)
    space = _Fenced(np.full(nbytes, 0xFF, np.uint8), 0)
    space.array[:COUNT] = 0
    fenced: dict[Any, _Fenced] = {}
    for array in (*call.inputs, *call.outputs):
        fenced.setdefault(_lies(array), _Fenced(array, offset))
    arrays = [on_gpu(fenced[_lies(a)].array) for a in (*call.inputs, *call.outputs)]
    words = head(kernel, rows, cols, call.constants, arrays, space.array.ctypes.data, work[0].warps)
    for grid in work:
        launch = getattr(_made[text], f"k{_name(text)}_launch_{grid.name}")
        failed = launch(ctypes.c_void_p(words.ctypes.data), ctypes.c_longlong(order * grid.warps))
        assert not failed, f"lanes part in {grid.name}:\n{text}"
    assert not space.array[:COUNT].any(), "the next kernel finds a count"
    for held in (space, *fenced.values()):
        assert held.whole, f"something is written beside an array:\n{text}"
    for array in call.outputs:
        array[...] = fenced[_lies(array)].array


def _lies(array: np.ndarray) -> Any:
    """A key that is equal for two arrays on the same memory with the same layout."""
    return array.ctypes.data, array.shape, tuple(s for n, s in zip(array.shape, array.strides, strict=True) if n > 1)


class _Fenced:
    """A copy of an array, with the same strides, between bytes that must not change."""

    FENCE = 128

    def __init__(self, array: np.ndarray, offset: int | None) -> None:
        reach = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
        before, after = -sum(r for r in reach if r < 0), sum(r for r in reach if r > 0) + array.itemsize
        size = before + after if array.size else 0
        if offset is None:
            self._memory = _edge(self.FENCE + size)
            self._start = self._memory.size - size
        else:
            self._memory = np.empty(2 * self.FENCE + 64 + size, np.uint8)
            self._start = self.FENCE + -(self._memory.ctypes.data + self.FENCE) % 64 + offset * array.itemsize
        self._memory[:] = 0xA5
        self._stop = self._start + size
        self.array = np.ndarray(array.shape, array.dtype, self._memory.data, self._start + before, array.strides)
        self.array[...] = array

    @property
    def whole(self) -> bool:
        return bool((self._memory[: self._start] == 0xA5).all() and (self._memory[self._stop :] == 0xA5).all())


def _edge(size: int) -> np.ndarray:
    """At least so many bytes, before memory that cannot be read."""
    page = mmap.PAGESIZE
    pages = -(-size // page) * page
    memory = np.frombuffer(mmap.mmap(-1, pages + page), np.uint8)
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(memory.ctypes.data + pages), page, 0) == 0
    return memory[:pages]


def on_gpu(array: np.ndarray) -> ArrayAt:
    """An array of the host as a kernel gets it."""
    row, column = (stride // array.itemsize for stride in array.strides)
    return ArrayAt(array.ctypes.data, (row, column))


def moved(kernel: Kernel, rows: int, cols: int, processors: int) -> int:
    """The bytes that the kernels move to and from memory: arrays once in each sweep, and the workspace twice."""
    sizes = {"E": rows * cols, "R": cols, "C": rows, "S": 1}
    read = [n for n, given in enumerate(kernel.inputs) if given.kind in "CS"]
    for sweep in range(kernel.sweeps):
        args = {a for v in kernel.evaluated(sweep) for a in kernel.operations[v - kernel.first].args}
        read += [a for a in args if a < len(kernel.inputs) and kernel.inputs[a].kind in "ER"]
    arrays = sum(sizes[kernel.kind(v)] * np.dtype(kernel.dtype(v)).itemsize for v in (*read, *kernel.outputs))
    return arrays + 2 * max(workspace(kernel, rows, cols, processors) - COUNT, 0)


@cache
def nvrtc() -> ctypes.CDLL | None:
    """NVIDIA's run-time compiler as pip installs it; None if it is not installed."""
    spec = importlib.util.find_spec("nvidia.cuda_nvrtc") if importlib.util.find_spec("nvidia") else None
    for folder in spec.submodule_search_locations or [] if spec else []:
        for path in sorted(Path(folder).glob("lib/libnvrtc.so*")):
            if "builtins" not in path.name:
                return ctypes.CDLL(str(path))
    return None


def _version() -> tuple[int, int]:
    """The version of this nvrtc."""
    lib, major, minor = nvrtc(), ctypes.c_int(), ctypes.c_int()
    assert lib is not None
    assert lib.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)) == 0
    return major.value, minor.value


def known(architecture: str) -> bool:
    """Whether this nvrtc compiles for an architecture."""
    lib = nvrtc()
    count = ctypes.c_int()
    if lib is None or lib.nvrtcGetNumSupportedArchs(ctypes.byref(count)):
        return False
    found = (ctypes.c_int * count.value)()
    return lib.nvrtcGetSupportedArchs(found) == 0 and int(architecture.removeprefix("sm_")) in found


def compile_for(text: str, architecture: str, optimized: bool = True) -> bytes:
    """The PTX of a CUDA source; AssertionError with the compiler's log if it does not compile.

    Without optimization, which older compilers cannot leave out, it takes a quarter of the time.
    """
    lib = nvrtc()
    assert lib is not None
    program = ctypes.c_void_p()
    assert lib.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None) == 0
    try:
        options = [f"--gpu-architecture={architecture}".encode(), b"--fmad=false", b"--std=c++14"]
        if not optimized and _version() >= (12, 9):
            options.append(b"--Ofast-compile=max")
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


def bundle(wanted: Sequence[Kernel]) -> str:
    """The texts of many kernels in one, with ``_0``, ``_1`` and so on after the names of their parts."""
    parts: list[str] = []
    for i, kernel in enumerate(wanted):
        inner = re.sub(r"KERNEL (\w+)\(", rf"KERNEL \1_{i}(", source(kernel).removeprefix(PRELUDE))
        parts.append(f"namespace k{i} {{\n{inner}\n}}\n")
    return PRELUDE + "".join(parts)


def entry(ptx: bytes, name: str) -> str:
    """The PTX of one kernel."""
    found = re.search(rf"\.entry {name}\(.*?\n}}", ptx.decode(errors="replace"), re.DOTALL)
    assert found, f"there is no {name}"
    return found.group()


def have_ptxas() -> bool:
    return shutil.which("nvcc") is not None and shutil.which("ptxas") is not None


def resources(text: str, architecture: str, folder: Path) -> dict[str, tuple[int, int]]:
    """The registers and the spilled bytes of each kernel of a text, as nvcc and ptxas report them."""
    path = folder / f"{_name(text)}.cu"
    path.write_text(text)
    command = ["nvcc", "-cubin", f"-arch={architecture}", "--fmad=false", "-Xptxas=-v", "-o", str(path) + ".cubin"]
    printed = subprocess.run([*command, str(path)], check=True, capture_output=True, text=True).stderr
    found: dict[str, tuple[int, int]] = {}
    for part in printed.split("Compiling entry function ")[1:]:
        spilled = sum(int(n) for n in re.findall(r"(\d+) bytes spill", part))
        registers = re.search(r"Used (\d+) registers", part)
        assert registers
        found[part.split("'")[1]] = int(registers.group(1)), spilled
    return found
