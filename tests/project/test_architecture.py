"""The laws of the code, checked by reading it: who may import whom, what an import does, what is public."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import dlarray
from dlarray.device import backend as backends
from tests.support.process import ROOT, python

FOLDERS = (
    "core",
    "device",
    "planner",
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
    "bench",
    "cli",
    "__main__",
)
"""Everything directly in dlarray/, in reading order: a module imports from its own folder and from those before it."""
PLANNER = ("kernel", "trace", "schedule", "report", "numpy", "numba", "run", "cuda")
"""The folders of the planner, likewise."""
BOOK = FOLDERS[FOLDERS.index("initializers") : FOLDERS.index("training")]
FORMULAS = set(BOOK) - {"model"}
LIBRARIES = {backend.name: set(backend.array_modules) for backend in backends.importable()}
"""The libraries of the backends, by the backends' names."""


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


# Who may import whom


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
    if head(module) != "planner":
        allowed -= {"planner"}  # backends alone call it
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
    assert not foreign(SOURCES[module]) & {"cupy", "jax", "torch", "array_api_strict"}


@pytest.mark.parametrize("module", BACKENDS)
def test_a_backend_imports_the_interface_and_its_own_library_alone(module):
    path = BACKENDS[module]
    package = module.partition(".")[0]
    strange = {name for name in own(path) if head(name) not in {"core", "device", "planner"}}
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


# What an import does


FORBIDDEN = sorted(set[str]().union(*LIBRARIES.values()) - {"numpy"})
FORBIDDEN += ["scipy", "sklearn", "matplotlib", "typer", "rich", "polars"]
REPORT = f"""
import sys
print(*[name for name in {FORBIDDEN!r} if name in sys.modules])
"""


LIGHT = {"core", "device", *BOOK, "training", "callbacks", "diagnostics"}
CORE = [module for module in SOURCES if head(module) in LIGHT]


def test_importing_dlarray_imports_no_array_library_but_numpy():
    assert python("import dlarray" + REPORT) == ""


def test_what_trains_can_be_read_without_another_library():
    assert python("".join(f"import {module}\n" for module in CORE) + REPORT) == ""


def test_reading_the_backends_imports_no_array_library():
    assert python("".join(f"import {module}\n" for module in BACKENDS) + REPORT) == ""
    assert python("from dlarray.device import backend\nfor name in backend.names(): backend.get(name)" + REPORT) == ""


def test_training_on_the_cpu_imports_no_array_library_but_numpy():
    code = """
import numpy as np
import dlarray
x = np.zeros((4, 2), dtype=np.float32)
dlarray.to_device(dlarray.asarray(x), "cpu")
"""
    assert python(code + REPORT) == ""


SPY = """
import os, sys
asked = []
environment = type(os.environ)
plain = environment.__getitem__

def spy(self, name):
    near = [sys._getframe(depth).f_globals["__name__"] for depth in (1, 2, 3)]  # environ.get, os.getenv in between
    if any(module.startswith("dlarray") for module in near):
        asked.append(name)
    return plain(self, name)

environment.__getitem__ = spy
"""


def test_importing_reads_no_environment_variable():
    code = SPY + "".join(f"import {module}\n" for module in CORE)
    code += "print(asked)\nfrom dlarray.device import current_device\nprint(current_device(), asked)"
    assert python(code, DLARRAY_DEVICE="strict").splitlines() == ["[]", "strict:cpu ['DLARRAY_DEVICE']"]


# What is public


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
    if path.name == "__init__.py" and name in SOURCES:  # a package shows what its modules define
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


# Size, and what must not stand in the repository


@pytest.mark.parametrize("module", EVERYTHING)
def test_a_module_can_be_read_in_one_sitting(module):
    lines = len(EVERYTHING[module].read_text(encoding="utf-8").splitlines())
    assert lines <= 300, f"{module} has {lines} lines: it may be two modules"


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
