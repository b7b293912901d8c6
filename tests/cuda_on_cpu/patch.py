# SPDX-License-Identifier: BSD-3-Clause
"""Make CuPy's modules call our functions in place of the CUDA runtime, Thrust and CUB that are linked into them.

The dynamic linker has no part in calls within a module. So the code is changed in memory when the module is imported:
the first instructions of each function that the symbol table names become a jump to our function of that name.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import struct
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from . import elf

RUNTIME = re.compile(r"cuda[A-Z]\w*")
RETURNS_ERROR = re.compile(r"cuda(?!LaunchKernel)[A-Z]\w*")
PATCHED = {
    "cupy_backends.cuda.api.runtime": RUNTIME,
    "cupy.cuda.cub": re.compile(rf"{RUNTIME.pattern}|_Z\d+cub_\w+"),
    "cupy.cuda.jitify": RUNTIME,
    "cupy.cuda.thrust": re.compile(rf"{RUNTIME.pattern}|_Z\d+thrust_\w+"),
    "cupy.random._generator_api": RUNTIME,
}
"""The modules into which NVIDIA's code is linked, each with the names of the functions that are replaced."""

JUMP = struct.Struct("<2sQ2s")
CODE = 48  # bytes for what refusals writes before each name
READ, WRITE, EXECUTE = mmap.PROT_READ, mmap.PROT_WRITE, mmap.PROT_EXEC


class Finder:
    """Patches the modules of ``PATCHED`` as they are imported. It is asked before Python's own finders."""

    def __init__(self, cupy: Path, libraries: Sequence[Path]) -> None:
        """Load the libraries for CuPy's modules, which find them by their sonames."""
        self.cupy = cupy.resolve()
        self.libraries = [ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL) for path in libraries]
        self.ours: dict[str, int] = {}
        for path, library in zip(libraries, self.libraries, strict=True):
            for name in elf.functions(path):
                if any(pattern.fullmatch(name) for pattern in PATCHED.values()):
                    self.ours[name] = _address(library, name)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Called by Python where a module is imported for the first time."""
        if name not in PATCHED and name not in ("cupy", "cupy_backends", "cupyx"):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.origin is None:
            return spec
        if not Path(spec.origin).resolve().is_relative_to(self.cupy):
            raise ImportError(
                f"{name} would be imported from {spec.origin}, but GPUs are emulated for the CuPy in {self.cupy}:"
                " remove the other CuPy's folder from sys.path, or do not install the emulator"
            )
        if name in PATCHED:
            self.patch(Path(spec.origin), name)
        return spec

    def patch(self, path: Path, module: str) -> None:
        """Load a module of ``PATCHED`` and redirect its functions."""
        symbols = elf.functions(path)
        theirs = [name for name in symbols if PATCHED[module].fullmatch(name)]
        expected = [name for name in self.ours if PATCHED[module].fullmatch(name)]
        if lost := sorted(set(expected) - set(theirs)):
            raise ImportError(
                f"{module} has no function {', '.join(lost)}: it is another CuPy, its symbols are stripped, or CUDA has"
                f" renamed them, so they cannot be replaced; nm {path} lists the names that there are"
            )
        known = f"PyInit_{module.rpartition('.')[2]}"
        base = _address(ctypes.CDLL(str(path)), known) - symbols[known].address
        refused = refusals([name for name in theirs if name not in self.ours], self.libraries[0])
        _redirect({base + symbols[name].address: (self.ours | refused)[name] for name in theirs})


def _address(library: ctypes.CDLL, name: str) -> int:
    address = ctypes.cast(library[name], ctypes.c_void_p).value
    assert address is not None, f"{library} has no {name}"
    return address


def _jump(address: int) -> bytes:
    return JUMP.pack(b"\x48\xb8", address, b"\xff\xe0")  # mov rax, address; jmp rax


def _call(address: int) -> bytes:
    return JUMP.pack(b"\x48\xb8", address, b"\xff\xd0")  # mov rax, address; call rax


def _redirect(jumps: dict[int, int]) -> None:
    """Write a jump at each of these addresses of code."""
    start = min(jumps) & -mmap.PAGESIZE
    length = max(jumps) + JUMP.size - start
    _protect(start, length, READ | WRITE | EXECUTE)
    for at, address in jumps.items():
        ctypes.memmove(at, _jump(address), JUMP.size)
    _protect(start, length, READ | EXECUTE)


def refusals(names: Sequence[str], runtime: ctypes.CDLL) -> dict[str, int]:
    """Code that says that a function is not emulated, for each name.

    A function of the runtime returns an error then. Those of Thrust and CUB return nothing, and the kernels that are
    linked into a module are launched without a look at the error, so there the process is aborted.
    """
    refuse, abort = _address(runtime, "emulator_not_emulated"), _address(ctypes.CDLL(None), "abort")
    size = CODE + max(map(len, names), default=0) + 1
    room = mmap.mmap(-1, size * len(names) + 1, prot=READ | WRITE | EXECUTE)
    _rooms.append(room)
    start = ctypes.addressof(ctypes.c_char.from_buffer(room))
    addresses = {name: start + i * size for i, name in enumerate(names)}
    for name, at in addresses.items():
        code = b"\x48\xbf" + struct.pack("<Q", at + CODE)  # mov rdi, name
        code += (
            _jump(refuse) if RETURNS_ERROR.fullmatch(name) else b"\x50" + _call(refuse) + _call(abort)
        )  # push rax, to align
        room[at - start : at - start + size] = (code.ljust(CODE, b"\0") + name.encode()).ljust(size, b"\0")
    return addresses


_rooms: list[mmap.mmap] = []  # for as long as the process runs


def _protect(start: int, length: int, protection: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(length), protection):
        raise OSError(ctypes.get_errno(), f"CuPy's code cannot be changed in memory: {os.strerror(ctypes.get_errno())}")
