"""After an error in a planned step, the state is whole or refused, and a plan that fails is dropped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.planner import PlannerWarning
from dlarray.planner import compile as compile_step


def test_an_error_before_the_state_is_written_leaves_it_whole() -> None:
    def step(state: Any, x: Any) -> Any:
        xp = array_namespace(x)
        rows = xp.take(state, x, axis=0)
        return state * 0.5 + xp.sum(rows), xp.sum(rows)

    fast, state = compile_step(step), np.ones(4)
    for _ in range(2):
        state, _ = fast(state, np.array([0, 3]))
    before = state.copy()
    for _ in range(2):
        with pytest.raises(IndexError):
            fast(state, np.array([0, 4]))
        np.testing.assert_array_equal(state, before)
    expected = step(before, np.array([1, 2]))
    after = fast(state, np.array([1, 2]))
    np.testing.assert_array_equal(after[0], expected[0])
    assert None not in fast.programs.values()


def test_a_state_that_an_error_has_left_half_written_is_refused() -> None:
    def step(state: Any, x: Any) -> Any:
        a = state["a"] * 2.0
        return {"a": a, "b": state["b"] + np.log(np.sum(x) + np.cumsum(a)[0] * 0)}, np.sum(a)

    fast = compile_step(step)
    state: Any = {"a": np.ones(3), "b": np.zeros(())}
    for _ in range(2):
        state, _ = fast(state, np.ones(2))
    with np.errstate(all="raise"), pytest.raises(FloatingPointError) as raised:
        fast(state, np.zeros(2))
    assert "partly written" in "".join(raised.value.__notes__)
    with pytest.raises(RuntimeError, match="start again from a copy of an earlier state"):
        fast(state, np.ones(2))
    fresh = {"a": np.ones(3), "b": np.zeros(())}
    assert fast(fresh, np.ones(2))[1] == 6


def test_a_plan_that_fails_where_the_step_does_not_is_dropped() -> None:
    failing: list[int] = []

    def executor(call: Any) -> Any:
        from dlarray.planner.kernel.loops import BoundKernel
        from dlarray.planner.numpy.ufuncs import ufuncs

        def fail() -> None:
            if failing:
                raise RuntimeError("a kernel that cannot")

        bound = ufuncs(call)
        return BoundKernel([(fail, ()), *bound.calls])

    fast = compile_step(lambda s, x: (s * 0.5 + np.max(np.cumsum(x) * 2), np.sum(s)), executor)
    state, plain = np.ones(3), np.ones(3)
    for i in range(4):
        if i == 2:
            failing.append(1)
            with pytest.warns(PlannerWarning, match="its plan fails: RuntimeError: a kernel that cannot"):
                state, _ = fast(state, np.ones(2))
        else:
            state, _ = fast(state, np.ones(2))
        plain = plain * 0.5 + 4
        np.testing.assert_array_equal(state, plain)
