"""NVIDIA's compilers, which need no GPU: what they make of the printed kernels.

nvrtc runs in a process of its own: the emulated GPU brings a library of the same name.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path


@cache
def library() -> Path | None:
    """NVIDIA's run-time compiler as pip installs it; None if it is not installed."""
    spec = importlib.util.find_spec("nvidia.cuda_nvrtc") if importlib.util.find_spec("nvidia") else None
    folders = spec.submodule_search_locations or [] if spec else []
    found = [path for folder in folders for path in sorted(Path(folder).glob("lib/libnvrtc.so*"))]
    return next((path for path in found if "builtins" not in path.name), None)


@cache
def known() -> list[str]:
    """The architectures that this nvrtc compiles for."""
    return _about()[2:]


@cache
def _about() -> list[str]:
    """The two parts of its version, and the architectures."""
    return _nvrtc().split()


def compile_for(text: str, architecture: str, optimized: bool = True) -> str:
    """The PTX of a CUDA source; AssertionError with the compiler's log if it does not compile.

    Without optimization, which older compilers cannot leave out, it takes a quarter of the time.
    """
    options = [f"--gpu-architecture={architecture}", "--fmad=false", "--std=c++14", "-ftz=true"]
    if not optimized and tuple(map(int, _about()[:2])) >= (12, 9):
        options.append("--Ofast-compile=max")
    return _nvrtc(*options, text=text)


def _nvrtc(*options: str, text: str = "") -> str:
    command = [sys.executable, "-I", "-S", __file__, str(library()), *options]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr + text
    return done.stdout


def _main(path: str, *options: str) -> int:
    """Print the PTX of the source on standard input; without options, the version and the architectures."""
    lib, size = ctypes.CDLL(path), ctypes.c_size_t()
    if not options:
        major, minor, count = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        lib.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        lib.nvrtcGetNumSupportedArchs(ctypes.byref(count))
        numbers = (ctypes.c_int * count.value)()
        lib.nvrtcGetSupportedArchs(numbers)
        print(major.value, minor.value, *(f"sm_{number}" for number in numbers))
        return 0
    program = ctypes.c_void_p()
    lib.nvrtcCreateProgram(ctypes.byref(program), sys.stdin.read().encode(), b"kernel.cu", 0, None, None)
    given = [option.encode() for option in options]
    failed: int = lib.nvrtcCompileProgram(program, len(given), (ctypes.c_char_p * len(given))(*given))
    what = "ProgramLog" if failed else "PTX"
    lib[f"nvrtcGet{what}Size"](program, ctypes.byref(size))
    result = ctypes.create_string_buffer(size.value)
    lib[f"nvrtcGet{what}"](program, result)
    print(result.value.decode())
    return failed


def entry(ptx: str, name: str) -> str:
    """The PTX of one kernel."""
    found = re.search(rf"\.entry {name}\(.*?\n}}", ptx, re.DOTALL)
    assert found, f"there is no {name}"
    return found.group()


def have_ptxas() -> bool:
    return shutil.which("nvcc") is not None and shutil.which("ptxas") is not None


def resources(text: str, architecture: str, folder: Path) -> dict[str, tuple[int, int]]:
    """The registers and the spilled bytes of each kernel of a text, as nvcc and ptxas report them."""
    path = folder / "kernels.cu"
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


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
