"""The page on array libraries is what ``make matrix`` writes from ``docs/_libraries``."""

from __future__ import annotations

import re
import runpy
import tomllib

import pytest

from tests.support.process import ROOT

FOLDER = ROOT / "docs" / "_libraries"
COMMAND = runpy.run_path(str(ROOT / ".ci" / "matrix.py"))
FILES = sorted(path for path in FOLDER.glob("*.md") if path.stem != "page")
PAGE = (ROOT / "docs" / "array_libraries.md").read_text(encoding="utf-8")


def sections(path):
    return re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_finding_is_a_program_of_five_lines_with_its_output_and_stands_on_the_page(path):
    assert path.stem in COMMAND["LIBRARIES"]
    assert sections(path)
    for section in sections(path):
        (program,) = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        assert len(program.splitlines()) <= 5
        assert len(re.findall(r"^```output\n.+?^```$", section, re.MULTILINE | re.DOTALL)) == 1
        assert COMMAND["shown"](section).strip() in PAGE


def test_fourteen_libraries_have_trained_in_one_process():
    rows = re.findall(r"^\| ([^|]+) \| [\d.]+\S* \| .+ \| ([\d.]+|–) \|$", PAGE, re.MULTILINE)
    assert set(dict(rows)) <= set(COMMAND["LIBRARIES"].values())
    assert sum(losses != "–" for _, losses in rows) >= 14


def test_the_environment_has_every_library_that_has_a_backend():
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = " ".join(about["optional-dependencies"]["matrix"])
    backends = set(about["entry-points"]["dlarray.backends"]) - {"numpy", "cupy", "dpnp"}
    assert not {name for name in backends if name not in needed}
    assert backends < set(COMMAND["LIBRARIES"])


def test_a_program_that_prints_something_else_is_left_out(capsys):
    section = "Title\n\nText.\n\n```python\nprint(1)\n```\n\n```output\n{}\n```\n"
    assert COMMAND["holds"]("cpu", section.format("1"))
    assert not COMMAND["holds"]("cpu", section.format("2"))
    assert "“Title” is left out, for it prints\n1\n" in capsys.readouterr().err
