# SPDX-License-Identifier: BSD-3-Clause
"""Compile the libraries that stand for NVIDIA's.

Objects and libraries are named by a hash of what they are made from: a change of one source compiles that source, and a
second call compiles nothing.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import stubs
from .folders import BUILD, HEADERS, HOME, SOURCES, Unavailable, locked

COMPILER = os.environ.get("CXX", "g++")
FLAGS = ("-std=gnu++17", "-O2", "-g1", "-fPIC", "-Wall", f"-I{SOURCES}", f'-DEMULATOR_HOME="{HOME}"')

OWN = ("-fvisibility=hidden", "-Wno-psabi")  # no library takes another's template of the same name
PRODUCTS = (*OWN, "-O3")


INSTRUCTIONS = {"avx2", "f16c", "fma"}
"""Of the CPU: what the emulated nvrtc compiles kernels for."""


@dataclass(frozen=True)
class Library:
    """A library under NVIDIA's name for it, from the sources in these folders of ``src``."""

    soname: str
    folders: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    status: int | None = None
    """What functions return that CuPy's modules need and that are not emulated; None: there are no such functions."""

    def sources(self) -> list[Path]:
        return [path for folder in self.folders for path in sorted((SOURCES / folder).glob("*.cpp"))]


LIBRARIES = (
    Library("libcuda.so.1", ("runtime", "libraries/thrust", "libraries/cub")),
    Library("libnvrtc.so.12", ("nvrtc",)),
    Library("libcublasLt.so.12", ("libraries", "libraries/cublaslt"), PRODUCTS),
    Library("libcublas.so.12", ("libraries", "libraries/cublas"), PRODUCTS, status=15),  # CUBLAS_STATUS_NOT_SUPPORTED
    Library("libnvJitLink.so.12"),  # CuPy loads it before cuSPARSE, and calls nothing of it
    Library("libcusparse.so.12", ("libraries/cusparse",), OWN, status=10),  # CUSPARSE_STATUS_NOT_SUPPORTED
    Library("libnccl.so.2", ("libraries/nccl",), OWN),
    Library("libcusolver.so.11", status=9),  # CUSOLVER_STATUS_NOT_SUPPORTED
    Library("libcurand.so.10", status=999),  # CURAND_STATUS_INTERNAL_ERROR; it has none for "not supported"
    Library("libcufft.so.11", status=16),  # CUFFT_NOT_SUPPORTED
)
"""In the order in which they are loaded: each may use what those before it define."""


def missing() -> str | None:
    """Why nothing can be compiled here; None if it can."""
    if shutil.which(COMPILER) is None:
        return f"there is no compiler {COMPILER!r}: install g++, or give the path of a GNU C++ compiler as CXX"
    if lacks := INSTRUCTIONS - set(Path("/proc/cpuinfo").read_text().split()):
        return f"kernels are compiled for CPUs with AVX2, and this one lacks {', '.join(sorted(lacks))}"
    return None


def build(wheel: Path) -> list[Path]:
    """Compile what has changed, and return the libraries in the order in which they are loaded."""
    statuses = {library.soname: library.status for library in LIBRARIES if library.status is not None}
    with locked("libraries"), ThreadPoolExecutor(os.cpu_count()) as pool:
        common = _hash(_compiler(), *FLAGS, *map(Path.read_text, sorted(SOURCES.rglob("*.h"))))
        sources = {library: library.sources() for library in LIBRARIES}
        for soname, text in stubs.texts(wheel, statuses).items():
            [library] = [library for library in LIBRARIES if library.soname == soname]
            sources[library].append(_written(BUILD / "stubs" / f"{soname.partition('.')[0]}.cpp", text))
        jobs = {
            library: [pool.submit(_object, s, library.flags, common) for s in sources[library]] for library in LIBRARIES
        }
        return list(pool.map(_link, LIBRARIES, [[job.result() for job in jobs[library]] for library in LIBRARIES]))


def kernels(libraries: Sequence[Path]) -> Path:
    """Where CuPy may keep compiled kernels: a folder for these libraries and for what kernels include."""
    [nvrtc] = [path for path in libraries if path.name.startswith("libnvrtc")]
    included = [path.read_text() for path in sorted(HEADERS.rglob("*")) if path.is_file()]
    return BUILD / f"kernels-{_hash(nvrtc.parent.name, *included)}"


def _object(source: Path, flags: Iterable[str], common: str) -> Path:
    key = _hash(common, source.read_text(), *flags)
    return _make(BUILD / "objects" / f"{source.stem}-{key}.o", "-c", str(source), *FLAGS, *flags)


def _link(library: Library, objects: list[Path]) -> Path:
    """Link a library. The version of its symbols is its name, which is what CuPy's modules ask for."""
    versions = f"{library.soname} {{ global: *; }};\n"
    folder = BUILD / f"{library.soname.partition('.')[0]}-{_hash(versions, *(path.name for path in objects))}"
    script = _written(folder / "versions", versions)
    options = ["-shared", f"-Wl,-soname,{library.soname}", f"-Wl,--version-script={script}", "-ldl", "-lpthread"]
    return _make(folder / library.soname, *map(str, objects), *options)


def _make(path: Path, *arguments: str) -> Path:
    """Run the compiler if the file is not there. The file appears in one step: nobody can see a part of it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILD) as room:
            made = Path(room) / path.name
            command = [COMPILER, *arguments, "-o", str(made)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Unavailable(f"{path.name} cannot be compiled:\n{' '.join(command)}\n{done.stderr}")
            made.replace(path)
    return path


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@functools.cache
def _compiler() -> str:
    """Which compiler it is, and for which CPU it compiles."""
    done = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True)
    return done.stdout


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
