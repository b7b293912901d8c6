"""The checks of functions cover every call of the array API in a formula, and can fail."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from dlarray.backend import DefaultDtypes
from dlarray.testing import activations, functions
from dlarray.testing.columns import columns
from dlarray.testing.runner import run
from tests.project.test_architecture import BOOK
from tests.support import own_library
from tests.support.own_library import OwnArray, OwnBackend, installed
from tests.support.process import ROOT

FORMULAS = [
    path
    for name in (*BOOK, "core", "training")
    for path in sorted([*(ROOT / "dlarray" / name).glob("*.py"), *(ROOT / "dlarray").glob(f"{name}.py")])
]


def calls(text: str) -> dict[str, str]:
    """The calls of functions of a namespace: name, number of arguments and keywords, with one example of each.

    An argument that is a number in the text counts as a number: ``maximum(_, 0.0)``.
    """
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if re.match(r"xp\b|array_namespace\(", ast.unparse(node.func.value)):
            words = [number(arg) for arg in node.args]
            words += [f"{k.arg}=" for k in sorted(node.keywords, key=lambda k: str(k.arg))]
            found[f"{node.func.attr}({', '.join(words)})"] = ast.unparse(node)
    return found


def number(arg: ast.expr) -> str:
    text = ast.unparse(arg)
    return text if text in ("0", "0.0", "1.0") else "_"


def test_every_function_that_a_formula_calls_has_a_check_with_the_same_arguments():
    used = {call: f"{path}: {text}" for path in FORMULAS for call, text in calls(path.read_text("utf-8")).items()}
    assert len(used) > 50
    checked = calls("\n".join(check.name for check in functions.checks() if check.name != "default_dtypes"))
    checked |= calls(inspect.getsource(functions._default_dtypes))
    assert not {call: where for call, where in used.items() if call not in checked}
    assert not names(checked) - names(used), "checked, and no formula calls it"


def test_every_operator_of_a_formula_has_a_check():
    of_the_host = {ast.Mod, ast.FloorDiv, ast.LShift, ast.RShift}  # of Python's numbers and NumPy's words
    used = set().union(*(operators(path.read_text("utf-8")) for path in FORMULAS)) - of_the_host
    checked = operators("\n".join(check.name for check in functions.checks() if check.name != "default_dtypes"))
    assert not used - checked


def operators(text: str) -> set[type]:
    """The operators in a text; ``is``, ``in``, ``and``, ``or`` and ``not`` are none of arrays."""
    found: set[type] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.BinOp, ast.UnaryOp)):
            found.add(type(node.op))
        elif isinstance(node, ast.Compare):
            found |= {type(op) for op in node.ops}
    return found - {ast.Is, ast.IsNot, ast.In, ast.NotIn, ast.Not}


def names(calls: Iterable[str]) -> set[str]:
    return {call.partition("(")[0] for call in calls}


def test_there_are_at_least_35_and_their_names_differ():
    names = [check.name for check in functions.checks()]
    assert len(names) == len(set(names)) > 35
    assert {check.part for check in functions.checks()} == {"functions"}


@pytest.mark.parametrize("column", columns("cpu"), ids=lambda column: column.name)
def test_numpy_passes_all(column):
    found = run(column, functions.checks())
    assert [r for r in found if r.outcome != "pass"] == []
    assert max(r.ulp or 0.0 for r in found) < 8


@pytest.mark.parametrize("name", ["xp.exp(x)", "xp.maximum(with_nan, 0.0)", "xp.take(x, labels, axis=0)", "x @ W"])
def test_a_wrong_function_fails_by_its_name(name, monkeypatch):
    """The first element of each result is wrong: in the column's numbers, not in the reference."""
    (check,) = [check for check in functions.checks() if check.name == name]
    column = columns("cpu", ("float32",))[0]
    ulp = type(column).ulp

    def wrong(self, actual, expected, scale=1.0):
        actual = np.array(actual)
        actual.flat[0] = 1.0 + actual.flat[0]
        return ulp(self, actual, expected, scale)

    monkeypatch.setattr(type(column), "ulp", wrong)
    (found,) = run(column, [check])
    assert (found.outcome, found.name) == ("fail", name)
    assert "ulp, allowed" in found.reason or "expected" in found.reason


def test_a_wrong_default_dtype_is_named_with_what_is_expected():
    info = DefaultDtypes(np.dtype("int32"), np.dtype("int64"))
    with installed(OwnBackend()), patch.multiple(own_library.namespace, create=True, __array_namespace_info__=info):
        (check,) = [check for check in functions.checks() if check.name == "default_dtypes"]
        (found,) = run(columns("own", ("float32",))[0], [check])
    assert found.outcome == "fail"
    assert found.reason.startswith(
        "the default dtype of real numbers is dtype('int32'), expected xp.float32 or another for which"
    )


class Expression(OwnArray):
    """What operations return in a lazy library: another class than the one of arrays from the host."""

    __module__ = "own_library"

    def __matmul__(self, other: Any) -> Any:
        raise TypeError("an expression has no product of matrices")


def expressions(name: str) -> Any:
    compute = getattr(OwnArray, name)
    return lambda x, other: Expression(compute(x, other).values)


def reasons(checks: list[Any]) -> dict[str, str]:
    with installed(OwnBackend()):
        return {r.name: r.reason for r in run(columns("own", ("float32",))[0], checks) if r.outcome != "pass"}


def test_a_function_that_is_wrong_on_results_of_operations_alone_fails(monkeypatch):
    """Arrays from the host are right in it, so a check of those alone would pass."""
    concat = own_library.namespace.concat
    for name in ("__mul__", "__add__"):
        monkeypatch.setattr(OwnArray, name, expressions(name))
    monkeypatch.setattr(
        own_library.namespace,
        "concat",
        lambda parts, **kw: OwnArray(concat(parts, **kw).values * (1 - 2 * isinstance(parts[0], Expression))),
        raising=False,
    )
    found = reasons(functions.checks())
    assert set(found) == {
        "x @ W",
        "(x * 2 + 1) @ W",
        "xp.concat((x, y))",
        "xp.concat([x, y], axis=-1)",
        "x @ xp.matrix_transpose(y)",
    }
    assert found["x @ W"] == "on a result of operations: TypeError: an expression has no product of matrices"
    assert found["(x * 2 + 1) @ W"] == "TypeError: an expression has no product of matrices"
    assert found["xp.concat((x, y))"].startswith("on a result of operations: off by ")


def test_a_result_of_another_library_fails_with_its_type(monkeypatch):
    index = OwnArray.__getitem__
    monkeypatch.setattr(OwnArray, "__getitem__", lambda x, key: index(x, key).values)
    for name in ("sum", "abs"):
        whole = getattr(own_library.namespace, name)
        monkeypatch.setattr(
            own_library.namespace, name, lambda x, whole=whole, **kw: whole(x, **kw).values[()], raising=False
        )
    found = reasons(functions.checks())
    array = "returned numpy.ndarray, expected an array of own_library (array_modules)"
    for name in ("x[:, 2]", "v[:]", "x[..., :2]", "v[2:5]", "xp.abs(x)", "xp.sum(x, axis=0)"):
        assert found[name] == array, name
    assert found["xp.sum(x)"] == "returned numpy.float32, expected an array of own_library (array_modules)"
    assert not {"x + y", "xp.exp(x)", "xp.mean(x)"} & found.keys()
    assert array in " ".join(reasons(activations.checks()).values())
