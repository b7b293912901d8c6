"""Planned steps of arrays that share memory have the numbers of the eager step."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from typing import Any, cast

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.planner import PlannerWarning
from dlarray.planner import compile as compile_step

# A state and its batch


@pytest.mark.parametrize("rows", [4, 4000])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_batch_that_shares_memory_with_the_state(rows: int, at: int) -> None:
    def step(state: Any, x: Any) -> Any:
        state -= 0.5 * array_namespace(x).max(state)
        return state, array_namespace(x).sum(x * state)

    fast = compile_step(step)
    state, plain = np.arange(1.0 * rows), np.arange(1.0 * rows)
    for i in range(6):
        x, y = (a[::-1] if i >= at else np.ones(rows) for a in (state, plain))
        warned = pytest.warns(PlannerWarning, match="an array of the batch shares memory with the state")
        if i == at:
            with warned:
                state, loss = fast(state, x)
        else:
            state, loss = fast(state, x)
        plain, expected = step(plain, y)
        assert loss == pytest.approx(expected, rel=1e-12)
        np.testing.assert_array_equal(state, plain)


def test_views_of_one_buffer_need_not_share_memory() -> None:
    buffer = np.zeros(12)
    state, x = buffer[:6], buffer[6:]
    fast = compile_step(lambda s, b: (s + b, np.sum(b)))
    for i in range(4):
        x[...] = i
        state, loss = fast(state, x)
        assert loss == 6 * i
    np.testing.assert_array_equal(buffer[:6], np.full(6, 6))
    assert None not in fast.programs.values()


@pytest.mark.parametrize("way", ["memoryview", "its own view", "torch"])
def test_memory_is_known_by_all_its_names(way: str) -> None:
    state = np.ones(8)
    if way == "torch":
        other = pytest.importorskip("torch").from_numpy(state).numpy()[:]
    else:
        other = np.frombuffer(cast("Any", memoryview(cast("Any", state))))[:] if way == "memoryview" else state.view()
    fast = compile_step(lambda s, b: (s * 0.5, np.sum(b)))
    for _ in range(3):
        state, _ = fast(state, np.ones(8))
    with pytest.warns(PlannerWarning, match="shares memory with the state"):
        fast(state, other)


# Arrays of a state and of outputs


def test_arrays_that_overlap_run_eagerly():
    both = np.arange(6.0)

    def step(state, x):
        return (state[0] * 2, state[1] + 1), array_namespace(x).sum(x)

    fast = compile_step(step, check=False)
    fast((np.ones(4), np.ones(4)), np.zeros(1))
    with pytest.warns(PlannerWarning, match="two arrays of the state share memory"):
        (a, b), _ = fast((both[:4], both[2:]), np.zeros(1))
    np.testing.assert_array_equal(a, [0, 2, 4, 6])
    np.testing.assert_array_equal(b, [3, 4, 5, 6])


@pytest.mark.filterwarnings("ignore::dlarray.planner.PlannerWarning")
def test_a_state_whose_arrays_share_memory_runs_eagerly():
    """The next step writes w, and g is a part of it."""

    def step(state, batch):
        w, g = state
        old = g * 1.0
        w *= 0.9
        w += batch
        return (w, w[:, 0]), (g + 0.0, old)

    fast = compile_step(step)
    ours = plain = None
    for i in range(4):
        ours = ours or (np.ones((2, 2)), np.zeros(2))
        plain = plain or (np.ones((2, 2)), np.zeros(2))
        ours, got = fast(ours, np.full((2, 2), float(i)))
        plain, expected = step(plain, np.full((2, 2), float(i)))
        np.testing.assert_array_equal(got, expected)


def test_parts_of_one_array_that_do_not_overlap_are_planned():
    def step(state, batch):
        both = np.concatenate(state) * 0.5 + batch
        return (both[:2], both[2:]), both.sum()

    fast = compile_step(step)
    state = (np.ones(2), np.ones(3))
    for _ in range(3):
        state, loss = fast(state, 1.0)
    assert fast.latest()
    assert loss == 5 * 1.875


@pytest.mark.parametrize("first", ["overlapping", "in columns", "read-only", "foreign"])
def test_outputs_of_a_call_that_is_not_planned_stay_as_they_are(first: str) -> None:
    """The eager step can return one array as state and output, and the next planned step writes the state."""

    def step(state: Any, x: Any) -> Any:
        a, b = state
        new = a * 0.5
        return (new, b + 1.0), (new, b, x)

    both = np.ones(40)
    odd = {
        "overlapping": (both[:9].reshape(3, 3), both[5:14].reshape(3, 3)),
        "in columns": (np.asfortranarray(np.ones((3, 3))), np.ones((3, 3)).T),
        "read-only": (np.broadcast_to(1.0, (3, 3)), np.ones((3, 3))),
        "foreign": (np.ones((3, 3), ">f8"), np.ones((3, 3))),
    }[first]
    fast = compile_step(step)
    fast((np.ones((3, 3)), np.ones((3, 3))), np.zeros(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PlannerWarning)
        state, kept = fast(odd, np.zeros(2))
    before = [a.copy() for a in kept]
    for _ in range(3):
        state, _ = fast(state, np.zeros(2))
    for a, b in zip(kept, before, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(state[0], np.full((3, 3), 0.5**4))
    np.testing.assert_array_equal(state[1], np.full((3, 3), 5.0))


# Views of a state


def aliased(write_base: bool) -> Any:
    def step(state, x):
        (theta,) = state
        part = theta[1:]
        if write_base:
            theta -= 1.0
            return (theta,), array_namespace(x).sum(part)
        part -= 1.0
        return (theta,), array_namespace(x).sum(theta)

    return step


@pytest.mark.parametrize("write_base", [False, True])
def test_a_view_read_after_its_base_was_written_falls_back(write_base):
    fast, plain = compile_step(aliased(write_base)), (np.arange(4.0),)
    state = (np.arange(4.0),)
    for i in range(3):
        words = "another view of its memory was written"
        with pytest.warns(PlannerWarning, match=words) if i == 0 else nullcontext():
            state, loss = fast(state, np.zeros(1))
        plain, expected = aliased(write_base)(plain, np.zeros(1))
        assert loss == expected
    np.testing.assert_array_equal(state[0], plain[0])
