"""Which module may import which, checked by reading the code."""

from __future__ import annotations

import ast
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from dlarray.device import backend as backends
from tests.support.process import ROOT
from tests.support.sources import BACKENDS, SOURCES, foreign, head, own, tree

FOLDERS = (
    "core",
    "device",
    "backend",
    "parallel",
    "planner",
    "blocks",
    "initializers",
    "activations",
    "layers",
    "losses",
    "schedules",
    "optimizers",
    "metrics",
    "model",
    "training",
    "callbacks",
    "diagnostics",
    "datasets",
    "plot",
    "explanation",
    "estimators",
    "tables",
    "interop",
    "onnx",
    "bench",
    "testing",
    "cli",
    "__main__",
)
"""Everything directly in dlarray/, in reading order: a module imports from its own folder and from those before it."""
PLANNER = ("kernel", "trace", "schedule", "report", "numpy", "native", "run", "cuda")
"""The folders of the planner, likewise."""
BOOK = FOLDERS[FOLDERS.index("initializers") : FOLDERS.index("training")]
FORMULAS = set(BOOK) - {"model"}
LIBRARIES = {backend.name: set(backend.array_modules) for backend in backends.importable()}
"""The libraries of the backends, by the backends' names."""


def test_the_lists_name_what_is_there():
    assert {head(module) for module in SOURCES} - {""} == set(FOLDERS)
    assert {module.split(".")[2] for module in SOURCES if module.startswith("dlarray.planner.")} == set(PLANNER)


@pytest.mark.parametrize("folder", PLANNER)
def test_the_readme_of_a_folder_of_the_planner_lists_its_modules(folder):
    path = ROOT / "dlarray" / "planner" / folder
    listed = (path / "README.md").read_text(encoding="utf-8")
    assert not [file.name for file in path.glob("[!_]*.py") if f"`{file.name}`" not in listed]


@pytest.mark.parametrize("module", [module for module in SOURCES if module != "dlarray"])
def test_a_module_imports_from_its_folder_and_those_before_it(module):
    allowed = set(FOLDERS[: FOLDERS.index(head(module)) + 1])
    if head(module) not in {"planner", "bench"}:
        allowed -= {"planner"}  # backends call it; the benchmarks find BLAS through it
    if head(module) == "cli":
        allowed |= {""}  # for the version
    wrong = {name for name in own(SOURCES[module]) if head(name) not in allowed}
    assert not wrong, f"{module} imports {wrong}"


@pytest.mark.parametrize(
    "module", [module for module in SOURCES if module.count(".") > 1 and head(module) == "planner"]
)
def test_a_module_of_the_planner_imports_from_its_folder_and_those_before_it(module):
    allowed = PLANNER[: PLANNER.index(module.split(".")[2]) + 1]
    used = {name for name in own(SOURCES[module]) if head(name) == "planner"}
    wrong = {name for name in used if name.count(".") < 2 or name.split(".")[2] not in allowed}
    assert not wrong, f"{module} imports {wrong}"


def test_the_import_graph_has_no_circle():
    """Who imports a module from outside its package runs the ``__init__`` of the package too."""
    graph = {module: own(path) | parents(module, path) for module, path in SOURCES.items()}
    list(TopologicalSorter({module: names - {module} for module, names in graph.items()}).static_order())


def parents(module: str, path: Path) -> set[str]:
    """The packages above what a module imports, except those that the module is in itself."""
    above = {name[:i] for name in own(path) for i, letter in enumerate(name) if letter == "."}
    return {name for name in above if not f"{module}.".startswith(f"{name}.")} & SOURCES.keys()


@pytest.mark.parametrize("module", [module for module in SOURCES if head(module) in FORMULAS])
def test_formulas_know_arrays_and_nothing_of_devices_or_libraries(module):
    assert not {name for name in own(SOURCES[module]) if head(name) in {"", "device"}}
    assert foreign(SOURCES[module]) <= ({"numpy"} if head(module) == "initializers" else set())
    if head(module) not in {"initializers", "layers"}:
        assert "dlarray.core.random" not in own(SOURCES[module])


def test_one_module_alone_imports_array_api_compat():
    users = {module for module, path in SOURCES.items() if "array_api_compat" in foreign(path)}
    assert users == {"dlarray.core.array"}


@pytest.mark.parametrize("module", [module for module in SOURCES if head(module) in {"core", "device", *BOOK}])
def test_core_device_and_book_need_numpy_at_most(module):
    assert foreign(SOURCES[module]) <= ({"array_api_compat"} if module == "dlarray.core.array" else {"numpy"})


@pytest.mark.parametrize("module", SOURCES)
def test_dlarray_names_no_backend_package_and_no_array_library(module):
    text = SOURCES[module].read_text(encoding="utf-8")
    named = [package for package in BACKENDS if package.partition(".")[0] in text]
    assert not named, f"{module} names {named}"
    exchanged = {"torch"} if head(module) == "interop" else set[str]()  # models of torch, not its arrays
    assert not foreign(SOURCES[module]) & ({"cupy", "jax", "torch", "array_api_strict"} - exchanged)


@pytest.mark.parametrize("module", BACKENDS)
def test_a_backend_imports_the_interface_and_its_own_library_alone(module):
    path = BACKENDS[module]
    package = module.partition(".")[0]
    strange = {name for name in own(path) if head(name) not in {"core", "device", "backend", "planner"}}
    assert not strange, f"{module} imports {strange}"
    others = set[str]().union(*(found for name, found in LIBRARIES.items() if package != f"dlarray_{name}"))
    assert not foreign(path) & (others - {"numpy"}), f"{module} imports the library of another backend"
    at_the_top = {
        name.name.partition(".")[0] for node in tree(path).body if isinstance(node, ast.Import) for name in node.names
    }
    at_the_top |= {str(node.module).partition(".")[0] for node in tree(path).body if isinstance(node, ast.ImportFrom)}
    assert at_the_top - sys.stdlib_module_names <= {"dlarray", "numpy", package}, (
        f"{module} imports its library when it is read"
    )


@pytest.mark.parametrize("module", SOURCES)
def test_no_module_compares_the_name_of_a_backend(module):
    """A third-party backend is an equal: what a backend does is a member of its interface."""
    for node in ast.walk(tree(SOURCES[module])):
        if isinstance(node, ast.Compare):
            assert not re.search(r"(backend|\bof\(\w+\))\.name\b", ast.unparse(node)), f"{module}:{node.lineno}"
