"""The way of an author: the backend of docs/conformance.md in an empty folder, then the command and pytest."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dlarray.testing import contract, plugin
from tests.support.process import ROOT

PAGE = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
LIBRARY = """
from tests.support import own_library
from tests.support.own_library import OwnArray

OwnArray.__module__ = "mylibrary"
OwnArray.__array__ = lambda self, dtype=None, copy=None: self.values
own_library.namespace = __import__("sys").modules[__name__]
__version__ = "1.0"


def __getattr__(name):
    return getattr(own_library.Namespace(), name)
"""
"""An array library of the standard with the name that the page has."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    backend = re.search(r"^```python\n(import numpy.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert backend is not None
    (tmp_path / "dlarray_mine.py").write_text(backend[1], encoding="utf-8")
    (tmp_path / "mylibrary.py").write_text(LIBRARY, encoding="utf-8")
    return tmp_path


def call(folder: Path, *words: str, code: int = 0) -> str:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "backends")]),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_backend_of_the_page_is_all_that_the_command_needs(folder: Path) -> None:
    pytest.importorskip("typer")
    parts = ("--part", "contract,functions")
    out = call(folder, "dlarray", "matrix", "--device", "mine", *parts, "--html", "r.html", "--json", "r.json")
    assert re.search(r"^mine-float64: mine .*passed", out, re.MULTILINE)
    assert "failed" not in out
    found = json.loads((folder / "r.json").read_text(encoding="utf-8"))["columns"]
    assert [column["name"] for column in found] == ["mine-float64", "mine-float32"]
    assert all(column["counts"]["fail"] == column["counts"]["blocked"] == 0 for column in found)
    assert "no check failed" in (folder / "r.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_wrapper_of_the_page_mends_operators_and_indices(folder: Path) -> None:
    pytest.importorskip("typer")
    wrong = """
def multiply(x, y, right=OwnArray.__mul__):
    return right(x, y).values


OwnArray.__getitem__ = lambda self, key: self.values[key]
OwnArray.__mul__ = OwnArray.__rmul__ = multiply
"""
    (folder / "mylibrary.py").write_text(LIBRARY + wrong, encoding="utf-8")
    words = ("dlarray", "matrix", "--device", "mine", "--dtype", "float32", "--part", "contract,functions,training")
    assert re.search(r"failed  .*returned numpy.ndarray, expected an array of mylibrary", call(folder, *words, code=1))
    wrapper = re.search(r"^```python\n(import operator.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert wrapper is not None
    with (folder / "dlarray_mine.py").open("a", encoding="utf-8") as file:
        file.write("\n\n" + wrapper[1])
    assert "failed" not in call(folder, *words)


@pytest.mark.slow
def test_the_checks_run_by_pytest_with_the_expectations_beside_the_backend(folder: Path) -> None:
    wrong = LIBRARY.replace(
        "def __getattr__", "def take(x, i, axis=None):\n    raise TypeError('take: int64')\n\n\ndef __getattr__"
    )
    (folder / "mylibrary.py").write_text(wrong, encoding="utf-8")
    words = ["pytest", "-p", "dlarray.testing.plugin", "-p", "no:cacheprovider", "-q", "--pyargs", "dlarray.testing"]
    words += ["--rootdir", str(folder), "--dlarray-device", "mine", "--dlarray-dtype", "float32", "-rfsx", "-k"]
    out = call(folder, *words, "contract or functions", code=1)
    assert "FAILED" in out
    assert re.search(r"mine-float32-functions: xp.take\(x, labels, axis=0\)\] - Failed: TypeError: take: int64", out)
    assert "SKIPPED" in out
    assert "the numbers of this column are float32" in out
    (folder / "mine.xfails").write_text(
        "functions: xp.take(x, labels, axis=0)  # issue 12\nfunctions: xp.take(v, xp.argsort(v))  # the same\n"
        "functions: xp.exp(x)  # mended\n"
    )
    out = call(folder, *words, "contract or functions")
    assert re.search(r"2 xfailed, 1 xpassed", out)
    assert "issue 12" in out


@pytest.mark.slow
def test_pytest_says_what_is_wrong_with_the_options(folder: Path) -> None:
    words = ("pytest", "-p", "dlarray.testing.plugin", "-p", "no:cacheprovider", "--pyargs", "dlarray.testing", "-rs")
    words = (*words, "--rootdir", str(folder))
    assert "nothing to check: give --dlarray-device NAME" in call(folder, *words)
    assert "unknown device" in call(folder, *words, "--dlarray-device", "mime", code=2)


def test_the_plug_in_imports_nothing_and_adds_options_alone() -> None:
    """It is loaded in every run of pytest of every project where dlarray is installed."""
    heavy = "sorted(m for m in sys.modules if m.startswith(('dlarray', 'numpy')))"
    code = f"import sys; import dlarray.testing.plugin; print(*{heavy})"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert out.split() == ["dlarray", "dlarray.testing", "dlarray.testing.plugin"]
    assert plugin.__all__ == ["pytest_addoption"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"dlarray": "dlarray.testing.plugin"}


def test_the_page_lists_the_contract() -> None:
    rows = dict(re.findall(r"^\| `([^`|]+)` \| (.+) \|$", PAGE[PAGE.index("## The contract") :], re.MULTILINE))
    says = {check.name: str(check.run.__doc__).replace("``", "`") for check in contract.checks()}
    assert rows == {name: " ".join(text.split()).rstrip(".") for name, text in says.items()}
