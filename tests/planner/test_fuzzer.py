"""The fuzzer itself: a seed is a program, and a wrong plan is found and shrunk."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlarray.planner.kernel.loops import BoundKernel, Call
from dlarray.planner.numpy.ufuncs import ufuncs
from tests.fuzz.inputs import LAYOUTS, Inputs, Setup, placed, refill
from tests.fuzz.networks import drawn
from tests.fuzz.programs import Program, written
from tests.fuzz.sessions import failure, leaves
from tests.fuzz.shrinking import is_failure, shrink

PLAIN = Setup(0)


def forgetful(call: Call) -> BoundKernel:
    """An executor that is right only the first two times."""
    bound = ufuncs(call)
    left = [2]

    def run() -> None:
        left[0] -= 1
        if left[0] >= 0:
            for function, args in bound.calls:
                function(*args)

    return BoundKernel([(run, ())])


@pytest.mark.parametrize("make", [written, drawn])
def test_a_seed_is_a_program(make: Any):
    assert [make(seed) for seed in range(12)] == [make(seed) for seed in range(12)]
    assert len({make(seed).text() for seed in range(12)}) == 12


def test_a_wrong_plan_is_found_and_shrunk():
    lines = ("v1 = x * 2", "v2 = np.tanh(v1) + x", "v3 = v2 - 1")
    program = Program(PLAIN, lines, "(v3, v1)")
    assert failure(program, "ufuncs") == ""

    def found(program: Program) -> str:
        return failure(program, forgetful)

    assert is_failure(found(program))
    small = shrink(program, found)
    assert is_failure(found(small))
    assert len(small.lines) == 1
    assert f"    {small.lines[0]}\n" in small.text()


def test_a_step_that_numpy_does_not_run_is_no_failure():
    assert failure(Program(PLAIN, ("v1 = x @ np.ones(99)",), "v1"), "ufuncs").startswith("invalid: ValueError")


def test_a_step_that_is_left_to_numpy_is_refused():
    assert failure(Program(PLAIN, ("v1 = x * float(np.sum(x))",), "v1"), "ufuncs") == "refused"


def test_numbers_that_hang_on_rounding_do_not_count():
    """1e16 x is rounded at random if x changes by an epsilon; its last digits are not significant."""
    tie = "v1 = np.floor(np.sum(x * 0.1) * 1e16) % 7"
    assert failure(Program(PLAIN, (tie,), "v1"), "ufuncs") == ""


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_hold_the_numbers_and_can_be_refilled(layout: str):
    values = np.arange(12.0).reshape(3, 4)
    x = placed(values, layout)
    expected = values if layout != "broadcast" else np.broadcast_to(values[:1], (3, 4))
    np.testing.assert_array_equal(x, expected)
    assert refill(x, expected + 1) is x
    np.testing.assert_array_equal(x, expected + 1)


@pytest.mark.parametrize("shared", ["x twice", "x is state", "two leaves"])
def test_arrays_that_lie_in_one_memory(shared: str):
    inputs = Inputs(Setup(0, shared=shared))
    state = inputs.state()
    x, y, *_ = inputs.batch(0, state)
    pairs = {"x twice": (x, y), "x is state": (x, state["w"]), "two leaves": (state["w"], state["g"])}
    assert np.shares_memory(*pairs[shared])


def test_leaves_are_named_by_where_they_stand():
    assert [name for name, _ in leaves({"a": (1, [2])}, "state")] == [
        "state, dict['a'], tuple[0]",
        "state, dict['a'], tuple[1], list[0]",
    ]
