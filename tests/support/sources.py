"""The modules of the code, read as text and as syntax trees, and the text files of the repository."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.process import ROOT


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path, ROOT): path for path in sorted((ROOT / "dlarray").rglob("*.py"))}
BACKENDS = {module_name(path, ROOT / "backends"): path for path in sorted((ROOT / "backends").rglob("*.py"))}
EVERYTHING = SOURCES | BACKENDS


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> frozenset[str]:
    """The modules that a file imports, anywhere in it, in functions and by ``import_module`` too.

    ``from package import module`` counts as the module.
    """
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in EVERYTHING else str(node.module))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found |= {str(part.value) for part in node.args if isinstance(part, ast.Constant)}
    return frozenset(found)


def own(path: Path) -> set[str]:
    return {name for name in imports(path) if name.partition(".")[0] == "dlarray"}


def foreign(path: Path) -> set[str]:
    """What a file imports from outside dlarray and the standard library."""
    roots = {name.partition(".")[0] for name in imports(path)}
    return roots - sys.stdlib_module_names - {"dlarray"}


def head(module: str) -> str:
    """The file or folder directly in dlarray/ that a module belongs to; "" for dlarray itself."""
    return module.partition(".")[2].partition(".")[0]


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file of the repository, those that are ignored left out."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    for path in (ROOT / name for name in listed):
        if path.is_file():
            try:
                yield path, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
