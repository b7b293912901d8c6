"""The examples in docstrings print what they say, and the names that people meet first have one."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

import dlarray

DOORS = ("__main__", "bench", "cli")  # programs: tests of their own run them
FIRST = {
    "fit", "load", "mlp", "use_device", "MLP", "Trained.predict", "Dense", "ReLU", "MeanSquaredError",
    "SparseCategoricalCrossEntropy", "Adam", "CosineDecay", "HeNormal", "accuracy", "confusion_matrix", "f1",
}  # fmt: skip


def examples() -> list[doctest.DocTest]:
    """Every docstring of the library with an example in it."""
    names = [module.name for module in pkgutil.walk_packages(dlarray.__path__, "dlarray.")]
    modules = [import_module(name) for name in names if name.split(".")[1] not in DOORS]
    find = doctest.DocTestFinder().find  # with no names but those it imports, an example works where it is pasted
    return [test for module in modules for test in find(module, globs={}) if test.examples]


EXAMPLES = examples()


def run(test: doctest.DocTest) -> str:
    """What is wrong with an example; nothing where it prints what it says."""
    complaints: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=complaints.append)
    return "".join(complaints)


@pytest.mark.parametrize("test", EXAMPLES, ids=lambda test: test.name.removeprefix("dlarray."))
def test_an_example_prints_what_it_says(test: doctest.DocTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DLARRAY_DEVICE", raising=False)
    assert not run(test)


def test_the_names_that_people_meet_first_have_an_example() -> None:
    names = [test.name for test in EXAMPLES]
    assert not [first for first in FIRST if not any(name.endswith(f".{first}") for name in names)]


def test_a_wrong_example_is_found() -> None:
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert "Expected:\n    3\nGot:\n    2" in run(test)
