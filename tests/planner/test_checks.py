"""A plan is compared with the eager step at once, on synthetic numbers, and again some steps later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.core.trees import flatten
from dlarray.planner import PlannerWarning, accelerate
from dlarray.planner import compile as compile_step
from dlarray.planner.run.agreement import copies
from dlarray.planner.run.eager_check import LATER_STEPS
from dlarray.planner.run.synthetic import synthetic_like


def is_traced(x: Any) -> bool:
    return not isinstance(x, (np.ndarray, np.generic))


# Mistakes that first data hide: each step does something else when it is traced, which the first data do not show


def counted(state: Any, x: Any) -> Any:
    theta, t = state
    wrong = 1.5 if is_traced(x) else 1.0
    return (theta - 0.1 * array_namespace(x).astype(t, theta.dtype) * wrong, t + 1), theta[0] + 0.0


def masked(state: Any, x: Any) -> Any:
    values, mask = x
    xp = array_namespace(values)
    return state, xp.sum(xp.where(mask, values * (2.0 if is_traced(values) else 1.0), 0.0))


def labelled(state: Any, x: Any) -> Any:
    values, labels = x
    xp = array_namespace(values)
    k = xp.astype(labels, values.dtype)
    return state, xp.sum(values * k * (2.0 if is_traced(values) else 1.0))


def momentum(state: Any, x: Any) -> Any:
    return state * 0.9 + x * 0.1, array_namespace(x).sum(state * (3.0 if is_traced(x) else 1.0))


DEGENERATE: dict[str, tuple[Any, Any, Any]] = {
    "t = 0": (counted, lambda: (np.ones(3), np.zeros((), np.int32)), lambda: np.ones(3)),
    "an empty mask": (masked, lambda: np.ones(2), lambda: (np.ones(5), np.zeros(5, bool))),
    "one class": (labelled, lambda: np.ones(2), lambda: (np.ones(5), np.zeros(5, np.int64))),
    "moments of 0": (momentum, lambda: np.zeros(4), lambda: np.ones(4)),
}


@pytest.mark.parametrize("what", DEGENERATE)
def test_what_first_data_hide_is_found_on_made_up_data(what: str) -> None:
    step, state, batch = DEGENERATE[what]
    fast, given, x = compile_step(step), state(), batch()
    kept, leaves = copies(x), list[Any]()
    flatten(x, leaves)
    with pytest.warns(PlannerWarning, match="because on synthetic numbers output"):
        found = fast(given, x)
    np.testing.assert_equal(found, step(state(), batch()))  # and the caller's arrays hold no synthetic numbers
    for a, b in zip(kept, leaves, strict=True):
        np.testing.assert_array_equal(a, b)


def test_made_up_data_are_legal_where_the_step_demands_it() -> None:
    table = np.arange(12.0).reshape(4, 3)

    def step(state: Any, x: Any) -> Any:
        rows = array_namespace(x).take(table, x, axis=0)  # raises beyond the table
        return state + 1, array_namespace(x).sum(rows)

    fast, state, x = compile_step(step), np.zeros(2), np.array([0, 3, 1, 3])
    for _ in range(3):
        state, loss = fast(state, x)
        assert loss == np.sum(table[x])
    assert None not in fast.programs.values()


def test_made_up_data_that_the_step_refuses_mean_nothing() -> None:
    def step(state: Any, x: Any) -> Any:
        if not is_traced(x) and x[0] != 1.25:
            raise ValueError("not these numbers")
        return state * 0.5, array_namespace(x).sum(x)

    fast, state = compile_step(step), np.ones(2)
    for _ in range(3):
        state, _ = fast(state, np.array([1.25, 2.0]))
    assert None not in fast.programs.values()


def test_made_up_data_are_like_the_callers() -> None:
    r = np.random.default_rng(0)
    labels = r.integers(3, 9, (50, 1)) * 1.0
    table = np.concatenate([labels, r.standard_normal((50, 2)) * 500], 1)
    given = [np.zeros(100, np.float32), table, np.zeros(60, bool)]
    given += [r.integers(5, 9, 60).astype(np.int8), np.zeros((), np.int32), np.zeros((0, 3)), np.full(4, 1e-9)]
    given += [np.arange(3, 9).astype(np.float16)]
    for within in (False, True):
        made = synthetic_like(given, within)
        assert [(a.shape, a.dtype) for a in made] == [(a.shape, a.dtype) for a in given]
        assert np.all(made[0] >= 0)
        assert np.std(made[0]) > 0.1
        assert set(made[1][:, 0]) <= set(range(3, 9))
        assert len(set(made[1][:, 0])) > 3
        assert 0 < np.std(made[1][:, 1]) < 2
        assert 0 < np.mean(made[2]) < 1
        assert np.min(made[3]) >= 5
        assert np.max(made[3]) <= (8 if within else 12)
        assert made[4] == 0 if within else made[4] > 0
        assert 0 < np.max(np.abs(made[6])) < 1e-8
        assert set(made[7]) <= set(range(3, 9))


def test_predictions_are_tried_on_made_up_numbers() -> None:
    def function(fixed: Any, x: Any) -> Any:
        return x @ fixed[0] + fixed[1] * (2.0 if is_traced(x) else 1.0)

    fast, fixed = accelerate(function), (np.ones((3, 2)), np.zeros(2))
    with pytest.warns(PlannerWarning, match="uncompiled, because on synthetic numbers output 0"):
        fast(fixed, np.ones((4, 3)))
    np.testing.assert_array_equal(fast((fixed[0], np.ones(2)), np.ones((4, 3))), np.full((4, 2), 4.0))
    np.testing.assert_array_equal(fixed[1], np.zeros(2))


# Later checks


def test_a_rate_that_the_closure_changes_is_found_some_steps_later() -> None:
    rate = [0.5]
    fast, state, plain = compile_step(lambda s, x: (s - rate[0] * x, np.sum(s))), np.ones(3), np.ones(3)
    for i in range(max(LATER_STEPS) + 3):
        x = np.full(3, 0.01 * i)
        if i == 4:
            rate[0] = 0.25
        if i in LATER_STEPS and list(fast.programs.values()) != [None]:
            with pytest.warns(PlannerWarning, match=f"because {i} steps after its first, output 0"):
                state, _ = fast(state, x)
            assert i == min(LATER_STEPS)
            plain = state.copy()
            continue
        state, _ = fast(state, x)
        plain = plain - rate[0] * x
        if i > min(LATER_STEPS):
            np.testing.assert_allclose(state, plain, rtol=1e-14)
    assert list(fast.programs.values()) == [None]


def test_an_array_that_was_used_up_by_tracing_and_has_changed_is_found_later() -> None:
    scale = np.ones(3)

    def step(state: Any, x: Any) -> Any:
        return state + x * np.sqrt(scale), array_namespace(x).sum(x)  # NumPy takes the root when the step is traced

    fast, state = compile_step(step), np.zeros(3)
    state, _ = fast(state, np.ones(3))
    scale[...] = 4
    for _ in range(min(LATER_STEPS) - 1):
        state, _ = fast(state, np.ones(3))
    with pytest.warns(PlannerWarning, match=r"steps after its first, output 0"):
        state, _ = fast(state, np.ones(3))
    before = state.copy()
    state, _ = fast(state, np.ones(3))
    np.testing.assert_array_equal(state - before, [2, 2, 2])


def test_a_right_plan_is_kept_and_runs_alone_after_its_checks() -> None:
    runs: list[int] = []

    def step(state: Any, x: Any) -> Any:
        runs.append(1)
        return state * 0.99 + x, array_namespace(x).sum(state)

    fast, state, plain = compile_step(step), np.ones(3), np.ones(3)
    for i in range(max(LATER_STEPS) + 50):
        state, loss = fast(state, np.full(3, 0.01 * i))
        expected = np.sum(plain)
        plain = plain * 0.99 + 0.01 * i
        assert loss == expected
    np.testing.assert_array_equal(state, plain)
    assert len(runs) == 3 + len(LATER_STEPS)  # traced, first, synthetic, and later
