"""The size of a module, and what no file of the repository contains."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.process import ROOT
from tests.support.sources import EVERYTHING, texts


@pytest.mark.parametrize("module", EVERYTHING)
def test_a_module_can_be_read_in_one_sitting(module):
    lines = len(EVERYTHING[module].read_text(encoding="utf-8").splitlines())
    assert lines <= 300, f"{module} has {lines} lines: it may be two modules"


HOSTS = [r"pypi\.", r"pythonhosted", r"npmjs", r"anaconda\.org", r"download\.pytorch", r"crates\.io"]
PATHS = [r"/" + folder + r"/\w" for folder in ("work", "root", "home", "opt", "Users")]


def test_no_file_names_a_registry_or_a_path_of_one_machine():
    wrong = re.compile("|".join(HOSTS + PATHS))
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path, text in texts()
        if path != Path(__file__)
        for number, line in enumerate(text.splitlines(), 1)
        if wrong.search(line)
    ]
    assert not found, "\n".join(found)


def test_no_lock_file():
    assert not [path for path, _ in texts() if path.suffix == ".lock" or path.name in {"package-lock.json"}]
