"""Numba's kernels are stored in files, which processes share and replace where they are damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlarray.planner.numba import executor as numba_executor
from tests.planner.test_numba import compiled, normal, run
from tests.support import kernels
from tests.support.process import ROOT, python

PROGRAM = """
import numpy as np
from dlarray.planner.numba import executor as numba_executor
from tests.support import kernels
made = []
compile_text = numba_executor.compiled
numba_executor.compiled = lambda text: made.append(compile_text(text)) or made[-1]
call = kernels.call(kernels.by_hand("float64")["relu of a sum"], 4, 64, lambda d, s: np.ones(s, d), {})
bound = numba_executor.numba_loops(call)
[function(*args) for function, args in bound.calls]
assert (call.outputs[0] == 2).all()
(kernel,) = made
print(sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()))
"""


def program(folder: Path) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    environment = os.environ | {"DLARRAY_CACHE": str(folder), "PYTHONPATH": paths}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@compiled
def test_processes_share_a_folder(tmp_path: Path):
    """Three processes at once on an empty folder; then one that finds the machine code there."""
    for process in [program(tmp_path) for _ in range(3)]:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert len(list(tmp_path.glob("*.py"))) == 1
    last = program(tmp_path)
    out, errors = last.communicate(timeout=120)
    assert out.split() == ["1", "0"], errors


@pytest.mark.slow
@compiled
@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
def test_machine_code_that_was_cut_off_is_made_again(ending: str, tmp_path: Path):
    for _ in range(2):
        _, errors = program(tmp_path).communicate(timeout=120)
        assert not errors
        kept = list(tmp_path.rglob(f"*{ending}"))
        assert kept
        for file in kept:
            file.write_bytes(file.read_bytes()[:20])
    out, errors = program(tmp_path).communicate(timeout=120)
    assert not errors
    out, errors = program(tmp_path).communicate(timeout=120)
    assert out.split() == ["1", "0"], errors


def test_a_kernel_s_file_of_other_bytes_is_written_anew(tmp_path: Path):
    path = tmp_path / "kernel.py"
    for other in (b"\xff\xfe", b"", b"x = 1\r\n"):
        path.write_bytes(other)
        assert numba_executor._stored(path, "x = 1\n").read_bytes() == b"x = 1\n"
    before = path.stat().st_mtime_ns
    assert numba_executor._stored(path, "x = 1\n").stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == [path]


@compiled
def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DLARRAY_CACHE", str(tmp_path / "file"))
    kernel = kernels.together([("floor", "float32")], "float32")
    kernels.check(kernels.call(kernel, 2, 64, normal, {}), run)


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DLARRAY_CACHE", "/somewhere")
    assert numba_executor.cache_folder() == Path("/somewhere")
    monkeypatch.setenv("HOME", "/homes/me")
    monkeypatch.setenv("USERPROFILE", "/homes/me")
    monkeypatch.setenv("DLARRAY_CACHE", "~/kernels")
    assert numba_executor.cache_folder() == Path("/homes/me/kernels")
    monkeypatch.setenv("DLARRAY_CACHE", "~nobody-of-this-name/kernels")
    with pytest.raises(FileNotFoundError, match="nobody-of-this-name"):
        numba_executor.cache_folder()
    monkeypatch.delenv("DLARRAY_CACHE")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
        assert numba_executor.cache_folder() == Path("/cache/dlarray")
        monkeypatch.setenv("XDG_CACHE_HOME", "~/cache")
        assert numba_executor.cache_folder() == Path("/homes/me/cache/dlarray")


# Without Numba or its compiler


@compiled
@pytest.mark.parametrize(("value", "executor"), [("1", "ufuncs"), ("0", "numba"), ("", "numba")])
def test_a_compiler_that_is_switched_off_counts_as_none(value: str, executor: str):
    text = "from dlarray.planner import fastest; print(fastest()); import numba; print(fastest())"
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text],
        env=os.environ | {"NUMBA_DISABLE_JIT": value},
        capture_output=True,
        text=True,
    )
    assert run.stdout.split() == [executor, executor], run.stderr


def test_without_numba_the_hint_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    numba_executor._versions.cache_clear()
    with pytest.raises(ImportError, match=r"dlarray\[fast\]"):
        numba_executor.module_text("")
    numba_executor._versions.cache_clear()


def test_a_numba_that_cannot_be_imported_is_reported_and_ufuncs_are_used(tmp_path: Path) -> None:
    package = tmp_path / "numba"
    package.mkdir()
    (package / "__init__.py").write_text('raise ImportError("needs another NumPy")')
    code = """
import warnings
from dlarray.planner import fastest
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    print(fastest(), fastest())
print(*[warning.message for warning in found])
"""
    assert python(code, tmp_path).splitlines() == [
        "ufuncs ufuncs",
        "Numba is installed, and cannot be imported: needs another NumPy. "
        "Steps run through NumPy's ufuncs, which is slower",
    ]
