"""A backend that breaks one clause of the contract reads which one, and what needs the clause does not run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import array_api_compat.numpy as np_xp
import numpy as np
import pytest

from dlarray.backend import Backend
from dlarray.core.trees import map_leaves
from dlarray.testing import contract, functions, known_answers
from dlarray.testing.check import Check, Result
from dlarray.testing.columns import columns
from dlarray.testing.runner import run
from tests.support import own_library
from tests.support.own_library import OwnArray, OwnBackend, installed, unwrap

DOUBLE, SINGLE = columns("own")


def results(backend: OwnBackend, checks: list[Check] | None = None, column: Any = SINGLE) -> dict[str, Result]:
    with installed(backend):
        return {f"{r.part}: {r.name}": r for r in run(column, contract.checks() if checks is None else checks)}


def failed(found: dict[str, Result]) -> list[str]:
    return [name.removeprefix("contract: ") for name, r in found.items() if r.outcome == "fail"]


def test_a_backend_that_says_the_least_keeps_the_contract():
    for column in (DOUBLE, SINGLE):
        found = results(OwnBackend(), column=column)
        assert failed(found) == []
        assert {r.outcome for r in found.values()} <= {"pass", "skip"}
        assert len(found) >= 18


@dataclass(frozen=True)
class Broken:
    """A change of the backend, of its arrays or of its namespace that breaks one clause."""

    clause: str
    reason: str
    backend: dict[str, Any]
    array: dict[str, Any]
    functions: dict[str, Any]


def broken(
    clause: str,
    reason: str,
    *,
    array: dict[str, Any] | None = None,
    functions: dict[str, Any] | None = None,
    **backend: Any,
) -> Any:
    return pytest.param(Broken(clause, reason, backend, array or {}, functions or {}), id=clause)


def of_numpy(name: str) -> Callable[..., Any]:
    return getattr(own_library.namespace, name)


def with_float64(self: OwnArray, other: Any) -> OwnArray:
    return OwnArray(self.values * np.asarray(unwrap(other), dtype="float64" if self.values.dtype.kind == "f" else None))


def saturated(self: OwnArray, other: Any) -> OwnArray:
    found = np.multiply(self.values, unwrap(other))
    if self.values.dtype != "int32":
        return OwnArray(found)
    exact = self.values.astype("int64") * np.asarray(unwrap(other)).astype("int64")
    return OwnArray(np.clip(exact, -(2**31), 2**31 - 1).astype("int32"))


def in_32_bits(x: OwnArray) -> OwnArray:
    return OwnArray(np.exp(x.values.astype("float32")).astype(x.values.dtype))


def copied_slice(self: OwnArray, key: Any) -> OwnArray:
    return OwnArray(np.array(self.values[key]))


def logical_shift(x: OwnArray, k: Any) -> OwnArray:
    return OwnArray((x.values.view("uint32") >> k).view("int32"))


def unlike(step: Any) -> Any:
    def compiled(state: Any, batch: Any) -> Any:
        state, loss = step(state, batch)
        return state, loss * 2.0

    return compiled


HOST = OwnArray(np.zeros(1))
BROKEN = [
    broken("device", "RuntimeError: no driver", devices=lambda self: no_driver()),
    broken("arrays", r"asarray of int32 \(1,\) is of 'numpy'", asarray=lambda self, host, handle: only_floats(host)),
    broken("namespace", "keep the first one", namespace=lambda self: own_library.Namespace()),
    broken("round trip", "float32 came back as float64", to_numpy=lambda self, x: x.values.astype("float64")),
    broken(
        "negative zero",
        "-0.0 came back as 0.0",
        asarray=lambda self, host, handle: OwnArray(host + 0 if host.dtype.kind == "f" else np.array(host)),
    ),
    broken("no axes", r"the shape is \(1,\), expected \(\)", to_numpy=lambda self, x: np.atleast_1d(x.values)),
    broken(
        "no examples", r"the shape is \(0,\)", to_numpy=lambda self, x: x.values if x.values.size else np.zeros(0, "f")
    ),
    broken("other dtypes", "int32 came back as int64", asarray=lambda self, host, handle: OwnArray(widened(host))),
    broken("to_numpy", "a float32, expected a numpy.ndarray", to_numpy=lambda self, x: x.values[()]),
    broken(
        "shape", "int64, int64, expected int", array={"shape": property(lambda x: tuple(map(np.int64, x.values.shape)))}
    ),
    broken("dtypes by name", "which is not xp.int32", functions={"int32": np_xp.int64}),
    broken("host not shared", "it is .*7", asarray=lambda self, host, handle: OwnArray(host)),
    broken("devices", r"handle\('no such device'\) returns 'cpu'", handle=lambda self, device: "cpu"),
    broken("device of an array", "the handle is 'cpu'", array={"device": "gpu"}),
    broken("results on the device", "an array of another library", functions={"exp": lambda x: np.exp(x.values)}),
    broken("dtype kept", r"x \* 2.0 has the dtype float64", array={"__mul__": with_float64}),
    broken(
        "comparisons",
        "the dtype is float32, expected bool",
        array={"__gt__": lambda x, y: OwnArray((x.values > y) * np.float32(1))},
    ),
    broken("copy is apart", r"x after y \+= 1", functions={"asarray": lambda x, **kw: OwnArray(unwrap(x))}),
    broken("bits", "the dtype is float32, expected int32", view=lambda self, x, dtype: x),
    broken("concat_to_numpy", "a list", concat_to_numpy=lambda self, arrays: [1.5, 2.5, 3.5]),
    broken(
        "upload",
        "batch 1 it is",
        upload=lambda self, batches, handle: ((self.asarray(x, handle), y) for x, y in [next(batches)] * 3),
    ),
    broken("to_device", "it is", to_device=lambda self, x, handle: x * 2.0),
    broken("version, memory, errors", "which has no digit", version=lambda self: "unknown"),
    broken("copied by name", "finds another backend", __reduce__=lambda self: (OwnBackend, ())),
    broken("int32_wraps", r"x \* 830770091 is", array={"__mul__": saturated}),
    broken("bit_operations", r"bitwise_right_shift\(x, 5\) is", functions={"bitwise_right_shift": logical_shift}),
    broken("exact_float64", r"xp.exp\(x\) is off by .*e-08, relative", functions={"exp": in_32_bits}),
    broken("writes_in_place", "the vector is .*0.0", array={"__getitem__": copied_slice}),
    broken("NumPy's arrays", "uses_numpy_arrays is True", uses_numpy_arrays=True),
    broken(
        "settle",
        r"settle\({'a': \('OwnArray', None\), 'b': 'OwnArray'}\) returns \[\('OwnArray', None\), 'OwnArray'\], "
        "expected the same dicts, tuples and None",
        settle=lambda self, tree: list(tree.values()),
    ),
    broken("compile", "compiled step 1 is off", compile=lambda self, step: unlike(step)),
    broken("accelerate", "accelerated call 1 is off", accelerate=lambda self, f: lambda fixed, x: f(fixed, x) + 0.5),
]


def only_floats(host: np.ndarray) -> Any:
    return OwnArray(np.array(host)) if host.dtype.kind == "f" else np.array(host)


def no_driver() -> list[str]:
    raise RuntimeError("no driver")


def widened(host: np.ndarray) -> np.ndarray:
    return host.astype("int64") if host.dtype == "int32" else np.array(host)


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_clause_is_named_with_its_reason(case: Broken):
    column = DOUBLE if case.clause == "exact_float64" else SINGLE
    backend = type("OwnBackend", (OwnBackend,), case.backend)()
    with (
        patch.multiple(OwnArray, **case.array) if case.array else patch.dict({}),
        patch.multiple(own_library.namespace, create=True, **case.functions) if case.functions else patch.dict({}),
    ):
        found = results(backend, column=column)
    first = failed(found)[0] if failed(found) else None
    assert first == case.clause, {name: r.reason for name, r in found.items() if r.outcome == "fail"}
    assert_reason(found[f"contract: {case.clause}"], case.reason)


def assert_reason(result: Result, pattern: str) -> None:
    with pytest.raises(AssertionError, match=pattern):
        raise AssertionError(result.reason)


def test_an_array_that_is_settled_may_have_another_class_than_before():
    class Held(OwnArray):
        """What ``asarray`` and ``settle`` return; results of operations are ``OwnArray``."""

        __module__ = "own_library"

    class Lazy(OwnBackend):
        def asarray(self, host: np.ndarray, handle: Any) -> OwnArray:
            return Held(np.array(host))

        def settle(self, tree: Any) -> Any:
            return map_leaves(tree, lambda x: Held(x.values) if isinstance(x, OwnArray) else x)

    assert failed(results(Lazy())) == []


@pytest.mark.parametrize("column", [DOUBLE, SINGLE])
def test_isdtype_is_asked_for_the_dtype_itself(column):
    def by_kind(dtype: Any, kind: Any) -> bool:
        return isinstance(kind, str) and bool(np.isdtype(dtype, kind))

    with patch.object(own_library.namespace, "isdtype", by_kind, create=True):
        found = results(OwnBackend(), column=column)
    assert failed(found) == ["dtypes by name"]
    assert (
        found["contract: dtypes by name"].reason
        == f"xp.isdtype(x.dtype, xp.{column.dtype}) is False, x is {column.dtype}"
    )
    with patch.object(
        own_library.namespace, "isdtype", lambda d, k: not isinstance(k, str) or np.isdtype(d, k), create=True
    ):
        found = results(OwnBackend(), column=column)
    assert found["contract: dtypes by name"].reason == f"xp.isdtype(x.dtype, xp.int32) is True, x is {column.dtype}"


def test_every_clause_is_broken_once():
    assert [case.values[0].clause for case in BROKEN] == [check.name for check in contract.checks()]


def test_what_needs_a_broken_clause_is_blocked():
    backend = type("OwnBackend", (OwnBackend,), {"asarray": lambda self, host, handle: only_floats(host)})()
    found = results(backend, [*contract.checks(), *functions.checks()])
    assert failed(found) == ["arrays"]
    assert found["contract: namespace"].reason == "needs “arrays” of the contract"
    assert {r.outcome for name, r in found.items() if name.startswith("functions")} == {"blocked"}
    assert [name for name, r in found.items() if r.outcome == "pass"] == ["contract: device"]


def test_arrays_without_a_view_of_their_bits_are_not_at_fault():
    backend = type("OwnBackend", (OwnBackend,), {})()
    with patch.object(OwnBackend, "view", Backend.view), pytest.raises(TypeError, match="own have no method view"):
        backend.view(OwnArray(np.zeros(1, "float32")), "int32")
    with patch.object(OwnBackend, "view", Backend.view):
        found = results(backend, [*contract.checks(), *known_answers.checks()])
    assert failed(found) == []
    without = {name for name, r in found.items() if "no method view" in r.reason}
    assert without == {"contract: bits", "random: noise and codes of bfloat16"}


def test_what_a_backend_states_as_missing_is_skipped_with_what_needs_it():
    class Saturating(OwnBackend):
        int32_wraps = False
        bit_operations = False

    with patch.object(OwnArray, "__mul__", saturated):
        found = results(Saturating(), [*contract.checks(), *functions.checks()])
    assert failed(found) == []
    assert found["contract: int32_wraps"].reason == "the backend states int32_wraps = False"
    assert found["contract: bit_operations"].reason.endswith("bit_operations = False; on this device it would hold")
    assert found["functions: xp.bitwise_and(labels, 2)"].outcome == "skip"
    assert found["functions: x * y"].outcome == "pass"
