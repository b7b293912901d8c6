# SPDX-License-Identifier: BSD-3-Clause
"""How the emulator is prepared and installed: what is patched in CuPy, and errors that say what is wrong."""

from __future__ import annotations

import ctypes
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import cuda_on_cpu as emulator
from tests.cuda_on_cpu import build, elf, patch, wheel

pytestmark = pytest.mark.usefixtures("cupy")
RUNTIME = "cupy_backends.cuda.api.runtime"


def file_of(module: str) -> Path:
    origin = sys.modules[module].__file__
    assert origin is not None
    return Path(origin)


@pytest.fixture
def finder() -> patch.Finder:
    """The one that is installed."""
    [found] = [finder for finder in sys.meta_path if isinstance(finder, patch.Finder)]
    return found


# What CuPy is made of


def test_each_module_with_the_runtime_in_it_is_patched() -> None:
    root = wheel.folder()
    found = {
        path.relative_to(root).as_posix().partition(".")[0].replace("/", ".")
        for path in root.rglob("*.so")
        if "cudaMalloc" in elf.functions(path)
    }
    assert found == set(patch.PATCHED)


def test_a_stripped_module_has_no_functions(tmp_path: Path) -> None:
    if (strip := shutil.which("strip")) is None:
        pytest.skip("there is no strip")
    stripped = tmp_path / "runtime.so"
    subprocess.run([strip, "-o", str(stripped), str(file_of(RUNTIME))], check=True)
    assert elf.functions(file_of(RUNTIME))
    assert not elf.functions(stripped)


def test_a_text_has_no_symbols(tmp_path: Path) -> None:
    path = tmp_path / "text.so"
    path.write_text("INPUT(libc.so.6)")
    with pytest.raises(ImportError, match=r"text\.so is not a shared library"):
        elf.functions(path)


# Patching


def test_a_function_that_cupy_no_longer_has_is_an_import_error(
    finder: patch.Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(finder.ours, "cudaMallocAsBefore", 1)
    with pytest.raises(ImportError, match=r"api\.runtime has no function cudaMallocAsBefore: it is another CuPy"):
        finder.patch(file_of(RUNTIME), RUNTIME)


def test_another_cupy_is_an_import_error(finder: patch.Finder, tmp_path: Path) -> None:
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy" / "__init__.py").touch()
    with pytest.raises(ImportError, match=re.escape(f"cupy would be imported from {tmp_path}")):
        finder.find_spec("cupy", [str(tmp_path)])
    assert finder.find_spec("numpy") is None


def test_a_function_of_the_runtime_that_is_not_emulated_says_so(
    finder: patch.Finder, capfd: pytest.CaptureFixture[str]
) -> None:
    address = patch.refusals(["cudaGraphicsMapResources"], finder.libraries[0])["cudaGraphicsMapResources"]
    assert ctypes.CFUNCTYPE(ctypes.c_int)(address)() == 801  # cudaErrorNotSupported
    assert "cudaGraphicsMapResources" in capfd.readouterr().err


def test_a_function_of_a_library_that_is_not_emulated_says_so(cupy: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="NOT_SUPPORTED"):
        cupy.linalg.qr(cupy.eye(2))
    assert "cusolverDn" in capfd.readouterr().err


# Settings


def test_it_is_installed_once() -> None:
    with pytest.raises(RuntimeError, match="the emulator is installed already"):
        emulator.install()


def test_no_device_is_a_machine_without_a_gpu(cupy: Any) -> None:
    runtime = cupy.cuda.runtime
    before = runtime.getDeviceCount()
    with emulator.devices(0), pytest.raises(runtime.CUDARuntimeError, match="cudaErrorNoDevice"):
        runtime.getDeviceCount()
    with emulator.devices(1):
        assert runtime.getDeviceCount() == 1
    assert runtime.getDeviceCount() == before


def test_counts_are_a_copy_and_go_up(cupy: Any) -> None:
    x = cupy.arange(3)
    before = emulator.counts()
    x.get()
    after = emulator.counts()
    assert after["copies_to_host"] == before["copies_to_host"] + 1
    assert list(after) == list(emulator.COUNTED)


def test_the_pool_hands_out_nan(cupy: Any) -> None:
    x = cupy.ones(1000)
    with emulator.poisoned():
        kept = x.data
        assert cupy.all(cupy.isnan(cupy.empty(1000)))
        address = kept.ptr
        del x, kept
        freed = cupy.cuda.UnownedMemory(address, 8000, None)
        assert cupy.all(cupy.isnan(cupy.ndarray(1000, memptr=cupy.cuda.MemoryPointer(freed, 0))))


# Where it cannot be used


def test_another_platform_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert emulator.missing() == "GPUs are emulated on x86-64 Linux only, and this is linux on aarch64"
    with pytest.raises(emulator.Unavailable, match="aarch64"):
        emulator.prepare()


def test_a_compiler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "COMPILER", "no-compiler")
    assert str(emulator.missing()).startswith("there is no compiler 'no-compiler': install g++")


def test_a_package_that_cupy_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel, "NEEDS", {"no_package.at_all": "no-package>=1"})
    assert emulator.missing() == "CuPy needs packages that are not installed: pip install 'no-package>=1'"


def test_what_pip_says_is_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel, "VERSION", "one two")
    with pytest.raises(emulator.Unavailable, match=r"(?s)pip cannot install cupy-cuda12x==one two into .*\nERROR: "):
        emulator.prepare()


def test_what_the_compiler_says_is_in_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "wrong.cpp").write_text("int f() { return nothing; }")
    monkeypatch.setattr(build, "SOURCES", tmp_path)
    monkeypatch.setattr(build, "LIBRARIES", (build.Library("libwrong.so.1", ("wrong",)),))
    with pytest.raises(emulator.Unavailable, match=r"wrong-\w+\.o cannot be compiled:\n.*\n(.*\n)*.*'?nothing'?"):
        build.build(wheel.folder())
