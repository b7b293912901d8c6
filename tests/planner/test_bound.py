"""``Compiled.bind``: a step that keeps its state gives the numbers, warnings and errors of one that is given it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any
from weakref import ref

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.planner import PlannerWarning
from dlarray.planner import compile as compile_step
from dlarray.planner.kernel.joining import BatchRead
from dlarray.planner.run import program
from dlarray.planner.run.bound import BoundStep
from dlarray.planner.run.replay import Replay
from tests.support.steps import descent
from tests.support.threads import at_once


def start() -> Any:
    return {"theta": np.arange(5.0), "t": np.zeros((), np.int32)}


def batch(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, 5))


class Counted:
    """A compiled step that counts the steps for which a bound one needs it."""

    def __init__(self, step: Callable[..., Any], check: bool = True) -> None:
        self.compiled = compile_step(step, check=check)
        self.repeatable = self.compiled.repeatable
        self.recover = self.compiled.recover
        self.calls = 0

    def __call__(self, state: Any, batch: Any) -> Any:
        self.calls += 1
        return self.compiled(state, batch)


def test_its_steps_are_those_of_the_compiled_step() -> None:
    counted, given, plain = Counted(descent), start(), start()
    bound, theta = BoundStep(counted, given), given["theta"]
    for i in range(420):
        x = batch(3 if i % 2 else 4, i)
        loss = bound(x)
        plain, expected = descent(plain, x)
        assert loss == expected
        assert type(loss) is type(expected)
    np.testing.assert_array_equal(bound.state["theta"], plain["theta"])
    assert bound.state["theta"] is theta
    assert len(counted.compiled.programs) == 2
    assert counted.calls == 8  # of each program: its first step, the one that binds it, and two later checks


def test_two_kinds_of_batches_alternate_without_another_search() -> None:
    counted = Counted(descent, check=False)
    bound = BoundStep(counted, start())
    for rows in (4, 3):
        bound(batch(rows))
    before = counted.calls
    for i in range(20):
        bound(batch(3 + i % 2, i))
    assert counted.calls == before


def test_another_state_can_be_assigned() -> None:
    counted = Counted(descent, check=False)
    bound, other = BoundStep(counted, start()), start()
    bound(batch(4))
    old = bound.state["theta"].copy()
    bound.state = other
    assert bound(batch(4)) == descent(start(), batch(4))[1]
    np.testing.assert_array_equal(other["theta"], old)
    before = counted.calls
    bound.state = dict(other)  # another tree of the same arrays
    bound(batch(4))
    assert counted.calls == before


def test_an_entry_of_the_state_is_replaced_by_assigning_the_tree_again() -> None:
    bound = compile_step(descent).bind(start())
    for _ in range(3):
        bound(batch(4))
    state = bound.state
    state["theta"] = np.full(5, 2.0)
    bound.state = state
    expected = descent({"theta": np.full(5, 2.0), "t": state["t"].copy()}, batch(4, 1))
    assert bound(batch(4, 1)) == expected[1]
    np.testing.assert_array_equal(bound.state["theta"], expected[0]["theta"])


STEPS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[], Any]]] = {
    "swapped": (lambda s, x: ((s[1], s[0] * 2, s[2] + 1), s[2] * 1.5), lambda: (np.ones(3), np.ones(3), np.int8(0))),
    "a tree of losses": (lambda s, x: ((s[0] * 0.5,), {"a": s[0] + 0.0, "b": np.sum(s[0])}), lambda: (np.ones(3),)),
    "a loss that is the old state": (lambda s, x: ((s[0] * 0.5,), s[0]), lambda: (np.ones(3),)),
    "a loss that is the new state": (lambda s, x: (lambda w: ((w,), w))(s[0] * 0.5), lambda: (np.ones(3),)),
    "no loss": (lambda s, x: ((s[0] * 0.5,), None), lambda: (np.ones(3),)),
    "a Python number that changes": (lambda s, x: ((s[0] + 1, s[1] + s[0]), s[1] * 1.0), lambda: (0, np.ones(2))),
    "another dtype": (lambda s, x: ((s[0] + 0.5,), np.sum(s[0])), lambda: (np.arange(3),)),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_states_and_losses_of_any_kind(name: str) -> None:
    step, made = STEPS[name]
    compiled, bound = compile_step(step, check=False), compile_step(step, check=False).bind(made())
    state = made()
    for i in range(5):
        state, expected = compiled(state, np.zeros(1))
        loss = bound(np.zeros(1))
        np.testing.assert_equal(loss, expected, err_msg=str(i))
        np.testing.assert_equal(bound.state, state)


def test_a_loss_stays_as_it_is() -> None:
    bound = compile_step(lambda s, x: ((s[0] * 0.5,), s[0] + 0.0), check=False).bind((np.ones(3),))
    first, second = bound(np.zeros(1)), bound(np.zeros(1))
    np.testing.assert_array_equal(first, np.ones(3))
    np.testing.assert_array_equal(second, np.full(3, 0.5))


@pytest.mark.parametrize("at", [8, 200])
def test_a_closure_that_changes_is_found_by_the_later_checks(at: int) -> None:
    rate, plain = [0.5], np.ones(3)
    compiled = compile_step(lambda s, x: (s - rate[0] * x, np.sum(s)))
    bound = compiled.bind(np.ones(3))
    for i in range(at):
        bound(np.ones(3))
        plain = plain - 0.5
        np.testing.assert_array_equal(bound.state, plain, err_msg=str(i))
    rate[0] = 0.25
    with pytest.warns(PlannerWarning, match=f"{at} steps after its first"):
        bound(np.ones(3))
    bound(np.ones(3))
    np.testing.assert_array_equal(bound.state, plain - 0.5)


def test_a_plan_that_one_bound_step_drops_is_dropped_for_the_others() -> None:
    rate = [0.5]
    compiled = compile_step(lambda s, x: (s - rate[0] * x, np.sum(s)))
    one, two = compiled.bind(np.ones(3)), compiled.bind(np.ones(3))
    for _ in range(3):
        one(np.ones(3))
        two(np.ones(3))
    rate[0] = 0.25
    before = two.state.copy()
    for _ in range(2):
        one(np.ones(3))
    with pytest.warns(PlannerWarning, match="8 steps after its first"):
        one(np.ones(3))
    two(np.ones(3))
    np.testing.assert_array_equal(two.state, before - 0.25)


def test_a_batch_in_the_memory_of_the_state_runs_eagerly() -> None:
    counted = Counted(lambda s, x: (s + x[::-1], array_namespace(x).sum(x)), check=False)
    bound, plain = BoundStep(counted, np.arange(4.0)), np.arange(4.0)
    for i in range(6):
        inside = i % 3 == 2
        if inside and i == 2:
            with pytest.warns(PlannerWarning, match="shares memory with the state"):
                bound(bound.state)
        else:
            bound(bound.state if inside else np.ones(4))
        plain = plain + (plain[::-1] if inside else 1)
        np.testing.assert_array_equal(bound.state, plain)


def test_a_step_that_cannot_be_planned_runs_eagerly() -> None:
    def step(state: Any, x: Any) -> Any:
        return (state * 0.5 if x[0] > 0 else state * 2.0), array_namespace(x).sum(state)

    bound = compile_step(step).bind(np.ones(2))
    with pytest.warns(PlannerWarning, match="cannot be traced"):
        bound(np.ones(1))
    for _ in range(3):
        bound(-np.ones(1))
    np.testing.assert_array_equal(bound.state, np.full(2, 4.0))


def test_an_error_before_the_state_is_written_leaves_it_whole() -> None:
    def step(state: Any, x: Any) -> Any:
        xp = array_namespace(x)
        rows = xp.take(state, x, axis=0)
        return state * 0.5 + xp.sum(rows), xp.sum(rows)

    bound = compile_step(step).bind(np.ones(4))
    for _ in range(3):
        bound(np.array([0, 3]))
    before = bound.state.copy()
    for _ in range(2):
        with pytest.raises(IndexError):
            bound(np.array([0, 4]))
        np.testing.assert_array_equal(bound.state, before)
    expected = step(before, np.array([1, 2]))
    assert bound(np.array([1, 2])) == expected[1]
    np.testing.assert_array_equal(bound.state, expected[0])


@pytest.mark.parametrize("rows", [2, 3])
def test_a_state_that_an_error_has_left_partly_written_is_refused(rows: int) -> None:
    def step(state: Any, x: Any) -> Any:
        a = state["a"] * 2.0
        return {"a": a, "b": state["b"] + np.log(np.sum(x) + np.cumsum(a)[0] * 0)}, np.sum(a)

    def fresh() -> Any:
        return {"a": np.ones(3), "b": np.zeros(())}

    bound = compile_step(step, check=False).bind(fresh())
    for n in (2, 3, 2):
        bound(np.ones(n))
    with np.errstate(all="raise"), pytest.raises(FloatingPointError) as raised:
        bound(np.zeros(2))
    assert "partly written" in "".join(raised.value.__notes__)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="start again from a copy of an earlier state"):
            bound(np.ones(rows))
    bound.state = fresh()
    assert bound(np.ones(rows)) == 6


def test_a_plan_that_fails_where_the_step_does_not_is_dropped() -> None:
    def step(state: Any, x: Any) -> Any:
        return state * 0.5 + np.max(np.cumsum(x) * 2), np.sum(state)

    compiled = compile_step(step)
    bound, plain = compiled.bind(np.ones(3)), np.ones(3)
    for _ in range(2):
        bound(np.ones(2))
        plain, _ = step(plain, np.ones(2))
    failing = compiled.repeatable()
    assert failing is not None

    def fail(leaves: Any) -> None:
        raise RuntimeError("a kernel that cannot")

    failing.replay.rebind = fail  # type: ignore[method-assign]
    failing.replay._reads.append(BatchRead(0, 0, 0, np.asarray))
    with pytest.warns(PlannerWarning, match="its plan fails: RuntimeError: a kernel that cannot"):
        bound(np.ones(2))
    bound(np.ones(2))
    for _ in range(2):
        plain, _ = step(plain, np.ones(2))
    np.testing.assert_array_equal(bound.state, plain)


@pytest.mark.parametrize("executor", ["ufuncs", "native"])
def test_its_memory_is_free_without_the_garbage_collector(executor: str) -> None:
    if executor == "native":
        pytest.importorskip("llvmlite")
    compiled = compile_step(descent, executor)
    bound = compiled.bind(start())
    for i in range(12):
        bound(batch(4, i))
    assert bound.latest is not None
    replay = ref(bound.latest.replay)
    gc.disable()
    try:
        del compiled, bound
        assert replay() is None
    finally:
        gc.enable()


def test_threads_bind_states_of_their_own() -> None:
    compiled = compile_step(lambda s, x: (s + x, np.sum(s)))
    found: list[float] = []

    def work(k: int) -> None:
        bound = compiled.bind(np.zeros(8))
        for _ in range(2000):
            bound(np.full(8, k + 1.0))
        found.append(float(bound.state[0]) / (k + 1))

    at_once(work)
    assert set(found) == {2000}
    assert len(compiled.programs) == 1


def test_a_replay_that_checks_a_batch_itself_is_given_its_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[bool] = []

    class Checking(Replay):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.enter = self.check_and_run

        def check_and_run(self, *leaves: Any) -> bool:
            like = self.leaves[1:]
            entered.append(all(a.flags.c_contiguous and a.shape == b.shape for a, b in zip(leaves, like, strict=True)))
            if entered[-1]:
                self(leaves)
            return entered[-1]

    monkeypatch.setattr(program, "Replay", Checking)
    counted = Counted(lambda s, b: (s + np.sum(b[0]) * b[1]["w"], np.sum(s)), check=False)
    bound, plain = BoundStep(counted, np.zeros(2)), 0.0
    for x in (np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 4))[:, ::2], np.ones((1, 2)), np.ones((3, 2))):
        assert bound((x, {"w": np.ones(2)})) == 2 * plain
        plain += x.size
    assert bound.state[0] == plain
    assert entered[:2] == [True, False]
    assert entered[-1]
    assert counted.calls == 2


@pytest.mark.parametrize("executor", ["ufuncs", "native"])
def test_after_a_release_it_goes_on_and_keeps_no_batch(executor: str) -> None:
    if executor == "native":
        pytest.importorskip("llvmlite")
    compiled, plain = compile_step(descent, executor), start()
    bound = compiled.bind(start())
    for i in range(12):
        x = batch(4000 if i % 3 else 3, i)
        seen, loss = ref(x), bound(x)
        plain, expected = descent(plain, x)
        np.testing.assert_allclose(loss, expected, rtol=1e-12)
        kept = bound.release()
        del x
        gc.collect()
        assert seen() is None
    assert kept == sum(sum(p.plan.buffers) for p in compiled.programs.values() if p is not None)
    assert compiled.repeatable() is None
