"""A traced step has the numbers and types of NumPy's arrays, numbers and functions."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.planner import PlannerWarning
from dlarray.planner import compile as compile_step
from tests.support.traced import second

# Constants

EXECUTORS = ["ufuncs", "native"]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
@pytest.mark.parametrize("reduction", ["sum", "mean", "max", "min"])
def test_a_reduction_of_a_constant_is_that_of_all_its_elements(reduction, axis, executor):
    if executor == "native":
        pytest.importorskip("llvmlite")

    def step(state, batch):
        x, w = batch
        xp = array_namespace(x)
        reduced = getattr(xp, reduction)(xp.full(x.shape, 0.1, dtype=x.dtype), axis=axis)
        return state + 0.0, w * xp.sum(reduced) + w * xp.sum(x)

    x = np.arange(12.0).reshape(3, 4)
    got, expected = second(step, np.ones(2), [(x, np.zeros(())), (x, np.ones(()))], executor)
    assert got == expected


def test_a_mean_weighted_by_default_weights_divides_by_all_of_them():
    def step(state, batch):
        x, on = batch
        xp = array_namespace(x)
        weight = xp.ones_like(x[:, 0])
        return state + 0.0, on * xp.sum(weight * xp.max(x, axis=1)) / xp.sum(weight)

    x = np.arange(12.0).reshape(3, 4)
    got, expected = second(step, np.ones(2), [(x, np.zeros(())), (x, np.ones(()))])
    assert got == expected == 7.0


def test_constants_are_distinguished_by_all_their_bits():
    """Long arrays whose text is shortened, 0.0 and -0.0, True and 1, and two arrays of equal numbers."""
    one, other = np.zeros(5000), np.zeros(5000)
    other[2500] = 1.0
    places, others = np.zeros(5000, int), np.zeros(5000, int)
    others[2500] = 2

    def step(state, x):
        xp = array_namespace(x)
        signs = [xp.full(x.shape, z, dtype=x.dtype) * x + 0.0 * z for z in (0.0, -0.0)]
        return state + 0.0, (
            xp.sum(x[0] * one) + xp.sum(x[0] * other),
            xp.sum(x[places]) + 2 * xp.sum(x[others]),
            xp.copysign(1.0, xp.where(x > 9, x, -0.0)) + xp.copysign(1.0, xp.where(x > 9, x, 0.0)),
            xp.stack([1.0 / s for s in signs]),
            xp.where(x > 9, x, True) + xp.where(x > 9, x, 1) + xp.where(x > 9, x, 1.0),
        )

    x = np.array([1.0, 2.0, 3.0])
    with np.errstate(divide="ignore"):
        got, expected = second(step, np.ones(2), [x * 0, x])
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


# Scalars and 0-d arrays


def by_operator(operator: str) -> Any:
    """The value of x after a = x; a (operator)= w on the second operand of a step."""
    return eval(f"lambda a, w: operator.{operator}(a, w)", {"operator": __import__("operator")})


OPERATORS = ["iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow"]
WITHOUT_AXES: dict[str, Any] = {
    "sum": lambda x, xp: xp.sum(x),
    "element": lambda x, xp: x[1],
    "ufunc": lambda x, xp: xp.exp(x[0]) + 1,
    "dot": lambda x, xp: x @ x,
    "argmax": lambda x, xp: xp.argmax(x) + 1.0,
    "view": lambda x, xp: xp.reshape((x * 2.0)[1:2], ()),
    "where": lambda x, xp: xp.where(x[0] > 1.0, x[0], x[1]),
    "ellipsis": lambda x, xp: (x * 1.0)[1, ...],
    "full": lambda x, xp: xp.full((), 3.0),
    "converted": lambda x, xp: xp.asarray(xp.sum(x)),
    "copy": lambda x, xp: np.copy(xp.sum(x)),
    "method": lambda x, xp: x.sum().copy(),
    "squeezed": lambda x, xp: xp.squeeze((x * 1.0)[1:2]),
}


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("make", WITHOUT_AXES)
def test_augmented_assignment_rebinds_a_number_and_writes_an_array(make, operator):
    def step(state, batch):
        x, w = batch
        xp = array_namespace(x)
        first = WITHOUT_AXES[make](x, xp)
        loss = first
        loss = by_operator(operator)(loss, xp.sum(w))
        return state + 0.0, (xp.asarray(loss) + 0.0, xp.asarray(first) + 0.0)

    x, neutral = np.array([1.0, 2.0, 4.0]), float(operator not in ("iadd", "isub"))
    got, expected = second(step, np.ones(2), [(x, np.array([neutral])), (x, np.array([3.0]))])
    np.testing.assert_array_equal(got, expected)


def test_a_counter_in_the_state_may_be_an_array_or_a_number():
    """The plan leaves an array where NumPy's first step leaves a scalar, so the step must not depend on it."""

    def step(state, x):
        t = state["t"]
        t += 1
        return {"t": t}, t * 1.0

    def remembered(state, x):
        t = old = state["t"]
        t += 1
        return {"t": t}, old * 1.0

    fast = compile_step(step)
    state = {"t": np.zeros(())}
    for i in range(3):
        state, loss = fast(state, np.ones(1))
        assert loss == i + 1
    fast, state, plain = compile_step(remembered), {"t": np.zeros(())}, {"t": np.zeros(())}
    with pytest.warns(PlannerWarning, match="NumPy does for an array and not for a scalar"):
        state, loss = fast(state, np.ones(1))
    plain, expected = remembered(plain, np.ones(1))
    assert loss == expected
    assert fast(state, np.ones(1))[1] == remembered(plain, np.ones(1))[1]


def test_a_librarys_arrays_without_axes_are_written():
    torch = pytest.importorskip("torch")
    from dlarray.device import backend

    def step(state, x):
        first = x.sum()
        loss = first
        loss += 1.0
        return state * 1.0, first * 1.0

    fast = backend.get("torch").compile(step)
    state = torch.ones(2)
    for i in range(3):
        state, loss = fast(state, torch.full((2,), float(i)))
        assert float(loss) == 2 * i + 1


def test_a_number_is_not_assigned_to():
    def step(state, x):
        total = np.sum(x)
        total[...] = 1.0
        return state, total

    fast = compile_step(step)
    with pytest.raises(TypeError, match="does not support item assignment"):
        fast(np.ones(2), np.ones(3))


# Assigned parts and copies

ASSIGNMENTS: dict[str, Any] = {
    "mask": lambda y, w: y.__setitem__(y > 2, 0.0),
    "mask with an array": lambda y, w: y.__setitem__(y > 2, w),
    "mask with numbers": lambda y, w: y.__setitem__(y == 1, np.arange(2.0) * w + 5),
    "column": lambda y, w: y.__setitem__((slice(None), 0), w),
    "element": lambda y, w: y.__setitem__((1, 2), w * 2),
    "list": lambda y, w: y.__setitem__([1, 0], y),
    "augmented part": lambda y, w: y.__setitem__(0, y[0] + w),
    "everything": lambda y, w: y.__setitem__(..., w),
    "row into everything": lambda y, w: y.__setitem__(slice(None), np.ones((1, 1, 3)) * w),
    "add.at": lambda y, w: np.add.at(y, (y[:, 0].astype(int) % 2, np.array([0, 1])), w * y[0, :2]),
    "add.at twice": lambda y, w: np.add.at(y, np.array([1, 1, 0]), w),
    "negative.at": lambda y, w: np.negative.at(y, 1),
    "fill": lambda y, w: y.fill(2.5),
    "sort": lambda y, w: y.sort(axis=0),
}


@pytest.mark.parametrize("assign", ASSIGNMENTS)
def test_parts_of_an_array_are_assigned(assign):
    def step(state, w):
        y = state * 1.0
        ASSIGNMENTS[assign](y, w)
        return state + 0.0, (y, np.sum(y * y))

    got, expected = second(step, np.array([[1.0, 4.0, 3.0], [2.0, 1.0, 5.0]]), [np.zeros(()), np.ones(())])
    np.testing.assert_array_equal(got[0], expected[0])
    assert got[1] == expected[1]


def test_copies_are_new_arrays():
    def step(state, x):
        y = state * 1.0
        old, older = copy.copy(y), copy.deepcopy({"y": y})["y"]
        y += np.sum(x)
        return state + 0.0, (np.sum(old), np.sum(older) * 2.0, np.sum(y))

    got, expected = second(step, np.ones(2), [np.zeros(3), np.ones(3)])
    assert got == expected


# NumPy's functions


def test_a_function_is_known_as_an_object_and_not_by_its_name():
    """np.linalg.diagonal takes the last two axes, np.diagonal the first two; a user's ufunc can have any name."""

    def step(state, x):
        return state + 0.0, (np.linalg.diagonal(x) + 0.0, np.diagonal(x) + 0.0, np.linalg.trace(x) * 1.0)

    x = np.arange(8.0).reshape(2, 2, 2)
    got, expected = second(step, np.ones(2), [x * 0, x])
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


class Table:
    """Numbers of another library, whose text is shortened."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers

    def __array__(self, *_: Any, **__: Any) -> Any:
        return np.array(self.numbers)

    def __repr__(self) -> str:
        return "Table(…)"


def test_calls_with_arguments_of_the_same_text_are_two():
    one, other = Table([0, 1]), Table([1, 2])

    def step(state, x):
        return state + 0.0, np.sum(np.take(x, one)) + 10 * np.sum(np.take(x, other))

    got, expected = second(step, np.ones(2), [np.zeros(3), np.array([1.0, 2.0, 4.0])])
    assert got == expected


def test_a_sample_of_zeros_that_fails_is_followed_by_ones():
    def step(state, batch):
        x, counts = batch
        return state + 0.0, np.average(x, weights=counts)

    x, counts = np.arange(3.0), np.array([1, 2, 3])
    got, expected = second(step, np.ones(2), [(x * 0, counts), (x, counts)])
    assert got == expected
