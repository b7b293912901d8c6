"""Plans that communicate: silent checks, errors that repeat no exchange, and where there is no such plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.ranks import RankError
from dlarray.device.description import Names
from dlarray.planner import PlannerWarning, accelerate, profile
from dlarray.planner import compile as compile_step
from dlarray.planner.kernel.loops import BoundKernel
from dlarray.planner.numpy.ufuncs import ufuncs
from dlarray.planner.run.eager_check import LATER_STEPS
from tests.support.rank_steps import examples, over, own_rows, start
from tests.support.recorded_ranks import Formula, Recorder, recorded
from tests.support.thread_ranks import ThreadRanks, on_ranks


def test_checks_communicate_nothing_and_each_step_exchanges_once() -> None:
    step, state, batch, ranks = recorded()
    counts: list[int] = []
    fast = compile_step(step)
    for _ in range(max(LATER_STEPS) + 3):
        before = len(ranks.events)
        state, _ = fast(state, batch)
        counts.append(len(ranks.events) - before)
    assert None not in fast.programs.values()
    assert len(set(counts)) == 1
    assert counts[0] == 2 * 12


def wrong(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
    return state * 0.5 + ranks.sum(x) * (1.0 if isinstance(x, np.ndarray) else 1.5), xp.sum(x)


def test_a_wrong_plan_is_found_without_communication_and_the_step_is_done_once() -> None:
    ranks = Recorder()
    fast = compile_step(Formula(ranks, wrong))
    state, x = np.ones(3), np.arange(3.0)
    with pytest.warns(PlannerWarning, match="runs eagerly, uncompiled, because output 0"):
        found, _ = fast(state.copy(), x)
    np.testing.assert_array_equal(found, state * 0.5 + 2 * x)
    assert ranks.events == ["sum (3,)"]
    fast(found, x)
    assert ranks.events == ["sum (3,)"] * 2


def test_a_rate_that_the_closure_changes_is_found_without_communication() -> None:
    ranks, rate = Recorder(), [0.5]

    def descent(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
        return state - rate[0] * ranks.sum(x), xp.sum(state)

    fast, state = compile_step(Formula(ranks, descent)), np.ones(3)
    for _ in range(LATER_STEPS[0]):
        state, _ = fast(state, np.full(3, 0.01))
    rate[0] = 0.25
    before = state.copy()
    ranks.events[:] = []
    with pytest.warns(PlannerWarning, match="because 8 steps after its first, output 0"):
        state, _ = fast(state, np.full(3, 0.01))
    assert ranks.events == ["sum (3,)"]
    np.testing.assert_allclose(state, before - 0.25 * 0.02, rtol=1e-14)


def test_an_error_of_the_eager_step_is_raised_by_the_step_itself() -> None:
    def refusing(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
        if isinstance(x, np.ndarray) and x[0] < 0:
            raise ValueError("a negative number")
        return state + ranks.sum(x), xp.sum(x)

    ranks = Recorder()
    fast = compile_step(Formula(ranks, refusing))
    with pytest.raises(ValueError, match="a negative number"):
        fast(np.ones(2), -np.ones(2))
    assert not ranks.events
    fast(np.ones(2), np.ones(2))
    assert ranks.events == ["start (2,)", "wait (2,)"]


# Errors


def failing_executor(when: list[int]) -> Any:
    """An executor whose kernels fail when the list has their number."""
    made: list[int] = []

    def executor(call: Any) -> BoundKernel:
        number = len(made)
        made.append(number)

        def fail() -> None:
            if number % 2 in when:
                raise RuntimeError("a kernel that cannot")

        return BoundKernel([(fail, ()), *ufuncs(call).calls])

    return executor


def halves(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
    """A kernel, a sum and another kernel."""
    total = ranks.sum(x * 2.0)
    return state * 0.5 + total * total, xp.sum(total)


@pytest.mark.parametrize("kernel", [0, 1], ids=["before the sum", "after the sum has started"])
def test_a_plan_that_fails_is_not_repeated_once_it_has_begun_to_communicate(kernel: int) -> None:
    ranks, when = Recorder(), list[int]()
    fast = compile_step(Formula(ranks, halves), failing_executor(when))
    state = np.ones(3)
    for _ in range(2):
        state, _ = fast(state, np.ones(3))
    ranks.events[:] = []
    when.append(kernel)
    before = state.copy()
    if kernel == 0:  # the eager step does the same exchanges, once
        with pytest.warns(PlannerWarning, match="its plan fails: RuntimeError: a kernel that cannot"):
            state, _ = fast(state, np.ones(3))
        np.testing.assert_array_equal(state, before * 0.5 + 16)
        assert ranks.events == ["sum (3,)"]
        return
    with pytest.raises(RuntimeError, match="a kernel that cannot") as raised:
        fast(state, np.ones(3))
    assert "begun to exchange" in "".join(raised.value.__notes__)
    assert ranks.events == ["start (3,)", "wait (3,)"]


def test_a_plan_that_fails_in_its_check_has_exchanged_nothing() -> None:
    ranks = Recorder()
    fast = compile_step(Formula(ranks, halves), failing_executor([0]))
    with pytest.warns(PlannerWarning, match="its plan fails: RuntimeError: a kernel that cannot"):
        state, _ = fast(np.ones(3), np.ones(3))
    np.testing.assert_array_equal(state, np.full(3, 16.5))
    assert ranks.events == ["sum (3,)"]


def test_a_plan_that_fails_in_a_later_check_has_exchanged_nothing() -> None:
    ranks, when = Recorder(), list[int]()
    fast = compile_step(Formula(ranks, halves), failing_executor(when))
    state = np.ones(3)
    for _ in range(LATER_STEPS[0]):
        state, _ = fast(state, np.ones(3))
    ranks.events[:] = []
    when.append(1)
    with pytest.warns(PlannerWarning, match="8 steps after its first, its plan fails: RuntimeError"):
        fast(state, np.ones(3))
    assert ranks.events == ["sum (3,)"]


def test_a_later_check_that_the_eager_step_refuses_means_nothing() -> None:
    ranks, refused = Recorder(), list[int]()

    def step(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
        if refused:
            raise ValueError("refused")
        return halves(ranks, xp, state, x)

    fast, state = compile_step(Formula(ranks, step)), np.ones(3)
    for i in range(LATER_STEPS[0] + 2):
        refused += [i] * (i == LATER_STEPS[0])
        before = len(ranks.events)
        state, _ = fast(state, np.ones(3))
        assert ranks.events[before:] == ["start (3,)", "wait (3,)"]


def test_an_error_on_one_rank_ends_the_others() -> None:
    def work(ranks: ThreadRanks) -> None:
        step = over(ranks)
        fast = compile_step(step).bind(start(step))
        for i in range(5):
            if i == 3 and ranks.rank == 1:
                raise OSError("a lost file")
            fast(own_rows(ranks, step, examples(12, i)))

    found = on_ranks(3, work, errors=True)
    assert isinstance(found[1], OSError)
    for error in (found[0], found[2]):
        assert isinstance(error, RankError)
        assert error.rank == 1
        assert "a lost file" in str(error)


# Where there is no such node


def test_several_steps_in_one_call_are_declined() -> None:
    ranks = Recorder()

    def descent(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
        return state - 0.1 * ranks.sum(xp.sum(x, axis=0)), xp.sum(state)

    fast = compile_step(Formula(ranks, descent))
    repeated, state, data = fast.repeat(8), np.ones(3), np.ones((16, 3))
    done: list[int] = []
    for _ in range(4):
        state, losses = repeated(state, data, None, 0, 2, 8)
        done.append(len(losses))
    assert done == [1, 0, 0, 0]
    assert sum(e.startswith("start") for e in ranks.events) == 1


def test_inference_over_ranks_runs_eagerly() -> None:
    ranks = Recorder()
    fast = accelerate(lambda fixed, x: ranks.sum(x * fixed[0]))
    with pytest.warns(PlannerWarning, match="it exchanges numbers with other ranks"):
        np.testing.assert_array_equal(fast((np.full(3, 2.0),), np.ones(3)), np.full(3, 4.0))
    assert ranks.events == ["sum (3,)"]


def test_a_step_over_ranks_is_not_profiled() -> None:
    step, state, batch, ranks = recorded()
    with pytest.raises(ValueError, match="depends on the other ranks"):
        profile(step, state, batch, Names(), "ufuncs", 1, 0.001)
    assert not ranks.events


def test_the_explanation_has_the_bytes_of_each_exchange() -> None:
    step, state, batch, ranks = recorded([dl.Dense(2), "relu", dl.Dense(3)])
    text = str(dl.explain(step, state, batch))
    assert not ranks.events
    assert "5 exchanges of 160 B with other ranks" in text.splitlines()[0]
    assert ": 0 flop, 64 B, 0 flop/B\n       " in text
    for line in (
        "sum over ranks: 0 flop, 64 B",
        "wait for the sum over ranks",
        "loss = sum over ranks of loss of this rank",
    ):
        assert line in text


def test_the_picture_of_such_a_plan() -> None:
    pytest.importorskip("matplotlib")
    step, state, batch, _ = recorded()
    figure: Any = dl.explain(step, state, batch).plot()
    legend = figure.axes[1].get_legend()
    assert "communication" in [text.get_text() for text in legend.get_texts()]
