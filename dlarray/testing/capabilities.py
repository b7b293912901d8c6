"""What a backend states about itself, checked: each attribute that says what its library can do.

An attribute that is stated as missing is not a fault: the check is skipped with that reason, and so is what needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlarray.core.array import array_namespace
from dlarray.core.trees import flatten, leaves, map_leaves
from dlarray.testing.check import NotApplicable
from dlarray.testing.columns import Column

__all__ = ["CHECKS"]

WORDS = np.asarray([0, 1, -1, 7, 123456789, -987654321, 2**31 - 1, -(2**31)], dtype="int32")
FACTOR = 0x31848BAB  # one of the factors of the hash behind dropout's masks


def _int32_wraps(column: Column) -> None:
    """Products and sums of int32 are those modulo 2³²."""

    def hold() -> None:
        x = column.array(WORDS)
        _words(column, f"x * {FACTOR}", x * FACTOR, _wrapped(WORDS * np.int64(FACTOR)))
        _words(column, "x + x", x + x, _wrapped(WORDS * np.int64(2)))

    _stated(column, "int32_wraps", hold)


def _bit_operations(column: Column) -> None:
    """Bit operations on int32 arrays, also with Python ints; a shift to the right keeps the sign."""

    def hold() -> None:
        x, xp = column.array(WORDS), column.xp
        _words(column, "xp.bitwise_right_shift(x, 5)", xp.bitwise_right_shift(x, 5), WORDS >> 5)
        _words(
            column, "xp.bitwise_left_shift(x, 16)", xp.bitwise_left_shift(x, 16), _wrapped(WORDS.astype("int64") << 16)
        )
        _words(column, "xp.bitwise_and(x, 255)", xp.bitwise_and(x, 255), WORDS & 255)
        _words(column, "xp.bitwise_or(x, 4)", xp.bitwise_or(x, 4), WORDS | 4)
        _words(column, "x ^ x[2:3]", x ^ x[2:3], WORDS ^ WORDS[2:3])

    _stated(column, "bit_operations", hold)


def _exact_float64(column: Column) -> None:
    """float64 is computed in 64 bits, also in products of matrices, sums and exp."""
    if column.dtype != "float64":
        raise NotApplicable(f"the numbers of this column are {column.dtype}")

    def hold() -> None:
        host = 1 + 2.0**-40 * np.arange(6).reshape(2, 3)
        x, xp = column.array(host), column.xp
        found = {
            "x * x": (x * x, host * host),
            "x @ xp.matrix_transpose(x)": (x @ xp.matrix_transpose(x), host @ host.T),
            "xp.sum(x)": (xp.sum(x), np.sum(host)),
            "xp.exp(x)": (xp.exp(x), np.exp(host)),
        }
        for formula, (y, expected) in found.items():
            off = column.ulp(y, expected) * column.eps
            assert off < 2**-40, f"{formula} is off by {off:.2g}, relative"  # in 32 bits it is 2⁻²⁴

    _stated(column, "exact_float64", hold)


def _writes_in_place(column: Column) -> None:
    """``+=`` on a slice changes the array that it is a slice of, so θ can be one vector with views."""

    def hold() -> None:
        vector = column.array(np.zeros(6))
        part = column.xp.reshape(vector[2:6], (2, 2))
        part += 1.0
        found = column.numpy(vector).tolist()
        assert found == [0, 0, 1, 1, 1, 1], f"after += on its slice [2:6] the vector is {found}"

    _stated(column, "writes_in_place", hold)


def _numpy_arrays(column: Column) -> None:
    """``uses_numpy_arrays`` and ``shares_host_memory`` are what they state."""
    x, backend = column.array([1.0, 2.0]), column.backend
    is_numpy = type(x) is np.ndarray
    assert backend.uses_numpy_arrays == is_numpy, (
        f"uses_numpy_arrays is {backend.uses_numpy_arrays}, and its arrays are {type(x).__name__}"
    )
    if backend.shares_host_memory and not any("cuda" in part for part in column.target.name.split(":")):
        read = np.asarray(x)
        assert read.dtype == column.dtype, f"shares_host_memory is True, and numpy.asarray gives {read.dtype}"
        assert read.tolist() == [1.0, 2.0], f"shares_host_memory is True, and numpy.asarray gives {read}"


def _settle(column: Column) -> None:
    """``settle`` returns the same tree with the same numbers."""
    x = column.array([1.0, 2.0])
    tree = {"a": (x * 2.0, None), "b": x + 1.0}
    found = column.backend.settle(tree)
    arrays = [y for y in (*leaves(tree), *leaves(found)) if y is not None]
    kinds = tuple({y.__class__ for y in arrays})  # what is settled may be of another class than an expression
    same = flatten(found, [], kinds) == flatten(tree, [], kinds)
    assert same, (
        f"settle({_outline(tree)}) returns {_outline(found)}, expected the same dicts, tuples and None, "
        "with arrays in the same places"
    )
    _close(column, [y for y in leaves(found) if y is not None], [[2.0, 4.0], [2.0, 3.0]], "settle(tree)")


def _outline(tree: Any) -> Any:
    """The tree with the type of each array in its place."""
    return map_leaves(tree, lambda x: None if x is None else type(x).__name__)


def _compiled(column: Column) -> None:
    """``compile(step)`` computes what the step computes, several times."""
    step = column.backend.compile(_step)
    state: Any = {"theta": (column.array(np.ones(4)),)}
    expected = np.ones(4)
    for i in range(3):
        gradient = np.full(4, 0.5 + i)
        state, loss = step(state, (column.array(gradient), None))
        expected = expected - 0.25 * gradient
        _close(column, [state["theta"][0], loss], [expected, np.sum(expected * expected)], f"compiled step {i + 1}")


def _accelerated(column: Column) -> None:
    """``accelerate(function)`` computes what the function computes, several times."""
    function = column.backend.accelerate(_predict)
    fixed = (column.array(np.eye(3)),)
    for i in range(2):
        x = np.full((2, 3), 1.0 + i)
        _close(column, [function(fixed, column.array(x))], [x + 1], f"accelerated call {i + 1}")


def _step(state: Any, batch: Any) -> Any:
    theta = state["theta"][0] - 0.25 * batch[0]
    return {"theta": (theta,)}, array_namespace(theta).sum(theta * theta)


def _predict(fixed: Any, x: Any) -> Any:
    return x @ fixed[0] + 1.0


def _stated(column: Column, attribute: str, hold: Callable[[], object]) -> None:
    """Check what an attribute states. Raises NotApplicable if it is stated as missing."""
    if getattr(column.backend, attribute):
        hold()
        return
    try:
        hold()
    except Exception:
        raise NotApplicable(f"the backend states {attribute} = False") from None
    raise NotApplicable(f"the backend states {attribute} = False; on this device it would hold")


def _close(column: Column, found: list[Any], expected: list[Any], what: str) -> None:
    for x, y in zip(found, expected, strict=True):
        try:
            off = column.ulp(x, np.asarray(y, dtype="float64"))
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from None
        assert off < 16, f"{what} is off by {off:.3g} ulp"


def _wrapped(x: np.ndarray) -> np.ndarray:
    return x.astype("int64").astype("uint32").astype("int32")


def _words(column: Column, formula: str, x: Any, expected: np.ndarray) -> None:
    found = column.numpy(x)
    assert found.dtype == np.int32, f"{formula} has the dtype {found.dtype}, expected int32"
    assert np.array_equal(found, expected), f"{formula} is {found.tolist()}, expected {expected.tolist()}"


CHECKS: dict[str, Callable[[Column], None]] = {
    "int32_wraps": _int32_wraps,
    "bit_operations": _bit_operations,
    "exact_float64": _exact_float64,
    "writes_in_place": _writes_in_place,
    "NumPy's arrays": _numpy_arrays,
    "settle": _settle,
    "compile": _compiled,
    "accelerate": _accelerated,
}
"""The checks by their names in the contract."""
