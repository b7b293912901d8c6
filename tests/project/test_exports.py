"""``__all__`` lists what a module defines, the stub declares what dlarray holds, and public names are documented."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import dlarray
from tests.support.process import ROOT
from tests.support.sources import EVERYTHING, SOURCES, tree


def defined(path: Path) -> set[str]:
    """The names that a module defines at its top: classes, functions, types and constants."""
    found: set[str] = set()
    for node in tree(path).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            is_type_variable = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "TypeVar"
            targets = [name for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]
            found |= {target.id for target in targets if not is_type_variable}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return {name for name in found if not name.startswith("_")}


def imported(path: Path) -> dict[str, str]:
    """The public names that a file takes from modules of dlarray, and from which; stars are looked up."""
    found: dict[str, str] = {}
    for node in tree(path).body:
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "dlarray":
            names = [alias.asname or alias.name for alias in node.names]
            names = import_module(str(node.module)).__all__ if names == ["*"] else names
            for name in names:
                here, there = import_module(str(node.module)), import_module(found.get(name, str(node.module)))
                assert getattr(here, name) is getattr(there, name), f"{path} takes two things named {name}"
            found |= {name: str(node.module) for name in names if not name.startswith("_")}

    def is_module(name: str, home: str) -> bool:
        return isinstance(getattr(import_module(home), name), ModuleType)

    return {name: home for name, home in found.items() if home == "dlarray" or not is_module(name, home)}


def shared(module: str, word: str) -> bool:
    """Whether a module's neighbour in the same package takes this name from it."""
    package = module.rpartition(".")[0]
    neighbours = [path for name, path in EVERYTHING.items() if name.startswith(f"{package}.") and package != "dlarray"]
    nodes = [node for path in neighbours for node in tree(path).body if isinstance(node, ast.ImportFrom)]
    return any(node.module == module and word in [alias.name for alias in node.names] for node in nodes)


@pytest.mark.parametrize("name", [module for module in EVERYTHING if module not in {"dlarray", "dlarray.__main__"}])
def test_all_is_what_a_module_defines(name):
    """What is not for others begins with an underscore; CONSTANTS, and what only neighbours use, need not be listed."""
    path = EVERYTHING[name]
    module = import_module(name)
    public = defined(path)
    if (path.name == "__init__.py" and name in SOURCES) or name == "dlarray.backend":  # they show what others define
        public |= imported(path).keys()
    assert len(module.__all__) == len(set(module.__all__))
    assert set(module.__all__) <= public
    unlisted = {word for word in public - set(module.__all__) if not word.isupper() and not shared(name, word)}
    assert not unlisted
    for word in public:
        assert hasattr(module, word)


def test_the_stub_declares_what_dlarray_holds():
    """``__init__`` imports when it is asked, so ``__init__.pyi`` says the same once more."""
    declared = imported(ROOT / "dlarray" / "__init__.pyi")
    modules = {name for name, home in declared.items() if home == "dlarray"}
    assert declared.keys() - modules == set(dlarray.__all__)
    assert len(dlarray.__all__) == len(set(dlarray.__all__))
    assert declared.keys() <= set(dir(dlarray))
    for name, home in declared.items():
        expected = import_module(f"dlarray.{name}") if name in modules else getattr(import_module(home), name)
        assert getattr(dlarray, name) is expected
    with pytest.raises(AttributeError, match="module 'dlarray' has no attribute 'nothing'"):
        _ = dlarray.nothing


@pytest.mark.parametrize("module", EVERYTHING)
def test_what_is_public_is_documented(module):
    documented = (ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in tree(EVERYTHING[module]).body if isinstance(node, documented)]
    missing = [node.name for node in nodes if not node.name.startswith("_") and not ast.get_docstring(node)]
    assert not missing, f"{module} does not say what these are: {missing}"
    assert ast.get_docstring(tree(EVERYTHING[module])), f"{module} does not say what it is"
