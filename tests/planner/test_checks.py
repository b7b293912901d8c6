"""Checks of a plan against the eager step, arrays that share memory, and the state after an error."""

from __future__ import annotations

import threading
import warnings
from typing import Any, cast

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.core.trees import flatten
from dlarray.planner import PlannerWarning, accelerate, plan
from dlarray.planner import compile as compile_step
from dlarray.planner.run.agreement import copies, disagreement
from dlarray.planner.run.eager_check import LATER_STEPS
from dlarray.planner.run.synthetic import synthetic_like
from tests.support.threads import at_once


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


# Memory that is shared


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


# Errors


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


# Threads, and many kinds of arguments


def test_threads_share_plans_and_nothing_else() -> None:
    fast = compile_step(lambda s, x: (s + x, np.sum(s)))
    fast(np.zeros(8), np.ones(8))
    found: dict[int, float] = {}

    def work(k: int) -> None:
        state = np.zeros(8)
        for _ in range(2000):
            state, _ = fast(state, np.full(8, k + 1.0))
        found[threading.get_ident()] = float(state[0]) / (k + 1)

    at_once(work)
    assert set(found.values()) == {2000}
    assert len(fast.programs) == 1


@pytest.mark.parametrize("what", ["a Python number", "shapes"])
def test_the_table_of_programs_does_not_grow_for_ever(what: str) -> None:
    fast = compile_step(lambda s, x: (s + 1.0, np.sum(x[0]) * x[1]))
    state, words = np.ones(2), {"shapes": "more combinations of shapes and types"}.get(what, "a Python number")

    def batch(i: int) -> Any:
        return (np.ones(3), float(i)) if what == "a Python number" else (np.ones(i + 1), 2.0)

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for i in range(80):
            state, loss = fast(state, batch(i))
            assert loss == (3.0 * i if what == "a Python number" else 2.0 * (i + 1))
    assert len(fast.programs) == 64
    assert len(said) == 1
    assert words in str(said[0].message)
    np.testing.assert_array_equal(state, np.full(2, 81.0))
    given, _ = fast(state, batch(1))
    state, _ = fast(given, batch(100))  # eager, but in the same memory
    assert state is given
    assert fast(state, batch(1))[0] is given


class Own(np.ndarray):
    """A user's array class, whose operations can differ from NumPy's."""


@pytest.mark.parametrize("kind", [Own, np.ma.MaskedArray, np.matrix])
def test_other_kinds_of_arrays_run_eagerly_and_say_so(kind: Any) -> None:
    fast = compile_step(lambda s, x: (s * 0.5, np.sum(x)))
    x = kind(np.ones((2, 2))) if kind is np.ma.MaskedArray else np.ones((2, 2)).view(kind)
    with pytest.warns(PlannerWarning, match=f"an array is a {kind.__name__}"):
        fast(np.ones(2), x)
    state, loss = fast(np.ones(2), x)
    assert loss == 4
    assert fast(state, np.ones((2, 2)))[1] == 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_long_sum_of_equal_terms_is_off_by_its_order_and_no_mistake(dtype: str) -> None:
    """NumPy adds rows one by one, a plan in blocks: each addition of equal terms rounds in the same direction."""
    x = np.full((4096, 3), 0.1, dtype)

    def step(state: Any, x: Any) -> Any:
        return state + 0.1 * array_namespace(x).sum(x, axis=0), array_namespace(x).sum(state)

    state = np.zeros(3, dtype)
    one_by_one = np.add.accumulate(x, axis=0)[-1]
    exact = np.asarray(np.sum(x.astype(np.longdouble), axis=0), dtype)
    assert np.max(np.abs(one_by_one / exact - 1)) > 16 * np.finfo(dtype).eps
    graph = plan(step, state, x).plan
    of = ((0.1 * one_by_one).astype(dtype), np.sum(state)), ((0.1 * exact).astype(dtype), np.sum(state))
    assert not disagreement(graph, *of, [state], [x])
    wrong = (of[1][0] * np.asarray(1.002, dtype), of[1][1])
    assert disagreement(graph, of[0], wrong, [state], [x])


def test_predictions_are_tried_on_made_up_numbers() -> None:
    def function(fixed: Any, x: Any) -> Any:
        return x @ fixed[0] + fixed[1] * (2.0 if is_traced(x) else 1.0)

    fast, fixed = accelerate(function), (np.ones((3, 2)), np.zeros(2))
    with pytest.warns(PlannerWarning, match="uncompiled, because on synthetic numbers output 0"):
        fast(fixed, np.ones((4, 3)))
    np.testing.assert_array_equal(fast((fixed[0], np.ones(2)), np.ones((4, 3))), np.full((4, 2), 4.0))
    np.testing.assert_array_equal(fixed[1], np.zeros(2))
