"""A traced step reads the arrays that it makes or captures as the step itself does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlarray.planner import PlannerWarning
from dlarray.planner import compile as compile_step
from tests.support.traced import second

# Arrays that the step makes


def halved(state, x):
    """An array that the step makes and changes between two reads."""
    k, out = np.ones(3), 0.0
    for _ in range(3):
        out = out + np.sum(x * k)
        k *= 0.5
    return state + 0.0, out


def part_of_own(state, x):
    k = np.arange(6.0)
    part = k[::2]
    out = np.sum(x * part)
    k[2] = 7.0
    return state + 0.0, out + np.sum(x * k[1:4]) + np.sum(x * part)


def written_and_restored(state, x):
    k = np.ones(3)
    out = np.sum(x * k)
    k[...] = 2.0
    out = out + np.sum(x * k)
    k[...] = 1.0
    return state + 0.0, out


@pytest.mark.parametrize("step", [halved, part_of_own, written_and_restored])
def test_an_array_of_the_steps_own_has_the_numbers_that_were_read(step):
    got, expected = second(step, np.ones(2), [np.zeros(3), np.array([1.0, 2.0, 4.0])])
    assert got == expected


# Arrays and effects outside of the step


def test_an_array_of_the_closure_that_the_step_writes_runs_eagerly():
    calls = np.zeros(3)

    def step(state, x):
        out = np.sum(x * calls)
        calls[0] += 1
        return state + 0.0, out

    fast = compile_step(step)
    with pytest.warns(PlannerWarning, match="writes into an array of its closure after it has read it"):
        fast(np.ones(2), np.zeros(3))
    before = calls[0]
    assert fast(np.ones(2), np.ones(3))[1] == before


def test_an_array_of_the_closure_in_the_states_memory_runs_eagerly():
    state = np.ones(3)
    tail = state[1:]

    def step(s, x):
        return s * 0.5, np.sum(tail * x)

    fast, plain = compile_step(step), 2.0
    with pytest.warns(PlannerWarning, match="in the memory of its state"):
        after, loss = fast(state, np.ones(2))
    assert loss == plain
    assert fast(after, np.ones(2))[1] == plain


def test_a_state_in_the_memory_of_the_closures_arrays_runs_eagerly():
    w = np.ones(3)

    def step(state, x):
        return state * 0.5, np.sum(w * x)

    fast = compile_step(step)
    fast(np.ones(3), np.ones(3))
    with pytest.warns(PlannerWarning, match="the step captures an array that shares memory with the state"):
        state, loss = fast(w, np.ones(3))
    assert loss == 3.0
    np.testing.assert_array_equal(w, np.ones(3))
    np.testing.assert_array_equal(state, np.full(3, 0.5))


def test_what_a_step_does_besides_is_done_when_its_program_is_made():
    """With the check on symbols, arrays and synthetic arrays; once without; and the closure's numbers are fixed."""
    for check in (True, False):
        seen: list[str] = []
        rate = [0.5]

        def step(state, x, seen=seen, rate=rate):
            seen.append(type(x).__name__)
            return state - rate[0] * x, np.sum(x)

        fast, state = compile_step(step, check=check), np.ones(2)
        for _ in range(3):
            state, _ = fast(state, np.ones(2))
            rate[0] = 100.0
        assert seen == ["Symbol", "ndarray", "ndarray"][: 3 if check else 1]
        np.testing.assert_array_equal(state, np.full(2, -0.5))


def test_a_step_that_counts_in_an_array_of_its_closure_runs_eagerly():
    calls = np.zeros(())

    def step(state, x):
        calls[...] += 1
        return state + 0.0, np.sum(x) * calls

    fast = compile_step(step)
    with pytest.warns(PlannerWarning, match="writes into an array that it closes over"):
        fast(np.ones(2), np.zeros(3))
    before = float(calls)
    assert fast(np.ones(2), np.ones(3))[1] == 3 * (before + 1)


def test_what_a_step_keeps_of_its_symbols_is_not_read_later():
    kept: list[Any] = []

    def step(state, x):
        loss = np.sum(x) - (kept[-1] if kept else 0.0)
        kept.append(loss)
        return state + 0.0, loss

    with pytest.raises(TypeError, match="is read outside of it: make it part of the state"):
        compile_step(step)(np.ones(2), np.ones(3))
