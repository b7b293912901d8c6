"""``Compiled.repeat``: several steps in one call are the same steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.trees import leaves
from dlarray.planner import PlannerWarning
from dlarray.planner import compile as compile_step
from dlarray.planner.run import repeated
from dlarray.training import Step

pytest.importorskip("llvmlite")

R = np.random.default_rng(0)
N, SIZE = 64, 4
X = R.standard_normal((N, 5)).astype("float32")
T = R.integers(0, 3, N).astype("int32")
WEIGHT = R.uniform(0.5, 2, N).astype("float32")
ORDER = R.permutation(N).astype("int32")


def step_of(model: dl.MLP | None = None) -> Step:
    return Step(model or dl.mlp(5, 8, 3), dl.SparseCategoricalCrossEntropy(), dl.Adam(0.01))


def start(step: Step) -> Any:
    return step.init(step.model.init(0, "cpu"), (), 0, dl.resolve("cpu"))


def batches(data: Any, order: np.ndarray | None, first: int = 0, size: int = SIZE) -> list[Any]:
    rows = np.arange(N) if order is None else order
    return [tuple(None if a is None else a[rows[i : i + size]] for a in data) for i in range(first, N - size + 1, size)]


def run(many: Any, state: Any, data: Any, order: Any, epochs: int) -> tuple[Any, list[float]]:
    found: list[float] = []
    for _ in range(epochs):
        done = 0
        while done < N // SIZE:
            state, losses = many(state, data, order, done * SIZE, SIZE, N // SIZE - done)
            assert len(losses)
            found += losses.tolist()
            done += len(losses)
    return state, found


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_the_steps_are_those_of_the_compiled_step(ordered: bool, weight: Any) -> None:
    step, data, order = step_of(), (X, T, weight), ORDER if ordered else None
    many, one = compile_step(step, "native").repeat(1000), compile_step(step, "native")
    state, losses = run(many, start(step), data, order, 15)
    expected, each = start(step), []
    for _ in range(15):
        for batch in batches(data, order):
            expected, loss = one(expected, batch)
            each.append(float(loss))
    assert losses == each
    assert all(np.array_equal(a, b) for a, b in zip(leaves(expected), leaves(state), strict=True))


def test_a_call_takes_a_hundredth_of_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    step = step_of()
    many, state = compile_step(step, "native", check=False).repeat(1000), start(step)
    state, _ = run(many, state, (X, T, None), ORDER, 3)
    state, losses = many(state, (X, T, None), ORDER, 0, SIZE, 16)
    assert len(losses) > 1
    clock = iter(range(100))
    monkeypatch.setattr(repeated, "perf_counter", lambda: next(clock) * 1.0)
    many(state, (X, T, None), ORDER, 0, SIZE, 16)
    _, losses = many(state, (X, T, None), ORDER, 0, SIZE, 16)
    assert len(losses) == 1


def test_at_most_so_many_steps_are_done_in_a_call() -> None:
    step = step_of()
    many, state = compile_step(step, "native", check=False).repeat(3), start(step)
    state, _ = run(many, state, (X, T, None), ORDER, 3)
    for count, done in ((16, 3), (2, 2)):
        state, losses = many(state, (X, T, None), ORDER, 0, SIZE, count)
        assert len(losses) == done


@pytest.mark.parametrize("at", [8, 200])
def test_steps_that_are_to_be_checked_are_done_alone(at: int) -> None:
    rate = [np.float32(0.5)]

    def step(state: Any, batch: Any) -> Any:
        return (state[0] - rate[0] * batch[0], state[1] + 1), (state[1] * 2)

    many = compile_step(lambda s, b: step(s, (b[0].sum(0), None)), "native").repeat(1000)
    state: Any = (np.zeros(5, "float32"), np.zeros((), "float32"))
    done = 0
    while done < at:
        state, losses = many(state, (X, None), None, 0, SIZE, min(at - done, N // SIZE))
        done += len(losses)
    rate[0] = np.float32(0.25)
    with pytest.warns(PlannerWarning, match=f"{at} steps after its first"):
        many(state, (X, None), None, 0, SIZE, 16)


def test_another_state_and_other_examples() -> None:
    step = step_of()
    many = compile_step(step, "native", check=False).repeat(1000)
    _, first = run(many, start(step), (X, T, None), ORDER, 2)
    _, second = run(many, start(step), (X.copy(), T.copy(), None), ORDER.copy(), 2)
    assert first == second


NOT_READ: dict[str, tuple[Any, Any]] = {
    "in columns": ((np.asfortranarray(X), T, None), ORDER),
    "another dtype": ((X, T.astype("int64"), None), ORDER),
    "another width": ((np.zeros((N, 6), "float32"), T, None), ORDER),
    "another tree": (([X, T, None]), ORDER),
    "an order of 64 bits": ((X, T, None), ORDER.astype("int64")),
    "an order of two axes": ((X, T, None), ORDER[:, None]),
    "examples of two lengths": ((X, T[:-1], None), ORDER[:60]),
}


@pytest.mark.parametrize("name", NOT_READ)
def test_examples_that_native_code_cannot_read_are_left_to_others(name: str) -> None:
    step = step_of()
    many, state = compile_step(step, "native", check=False).repeat(1000), start(step)
    state, _ = run(many, state, (X, T, None), ORDER, 1)
    before = [a.copy() for a in leaves(state)]
    after, losses = many(state, *NOT_READ[name], 0, SIZE, 4)
    assert len(losses) == 0
    assert all(np.array_equal(a, b) for a, b in zip(before, leaves(after), strict=True))


@pytest.mark.parametrize("number", [N, -1, np.iinfo(np.int32).min])
def test_an_order_that_has_changed_is_looked_at_again(number: int) -> None:
    step, order = step_of(), ORDER.copy()
    many, state = compile_step(step, "native", check=False).repeat(1000), start(step)
    state, _ = run(many, state, (X, T, None), order, 1)
    order[7] = number
    assert len(many(state, (X, T, None), order, 0, SIZE, 2)[1]) == 0
    assert len(many(state, (X, T, None), order, 2 * SIZE, SIZE, 2)[1]) == 2


def test_examples_in_the_memory_of_the_state_are_left_to_others() -> None:
    many = compile_step(lambda s, x: (s + x.sum(0), x.sum() * 1), "native", check=False).repeat(1000)
    state = np.zeros(2, "float32")
    x = np.ones((8, 2), "float32")
    for i in range(2):
        state, _ = many(state, x, None, i * 2, 2, 1)
    whole = np.zeros((8, 2), "float32")
    state = whole[0]
    for _ in range(3):
        state, losses = many(state, x, None, 0, 2, 1)
    assert len(losses) == 1
    assert len(many(state, whole, None, 0, 2, 1)[1]) == 0


STEPS: dict[str, Any] = {
    "a call of NumPy": lambda s, x: (s + np.cumsum(x, axis=0)[-1], x.sum() * 1),
    "no plan": lambda s, x: ((s + 1 if x[0, 0] > 0 else s), x.sum() * 1),
    "another state": lambda s, x: ((s + x.sum(0)).astype("float64") * 1, x.sum() * 1),
}


@pytest.mark.filterwarnings("ignore::dlarray.planner.PlannerWarning")
@pytest.mark.parametrize("name", STEPS)
def test_steps_that_are_not_one_native_function_are_left_to_others(name: str) -> None:
    many = compile_step(STEPS[name], "native").repeat(1000)
    state, done = np.zeros(5, "float32"), 0
    while len((result := many(state, X, None, done * SIZE, SIZE, 4))[1]):
        state, done = result[0], done + 1
        assert done <= 3


def test_too_few_examples_are_refused() -> None:
    step = step_of()
    many = compile_step(step, "native").repeat(4)
    for first, count in ((0, 17), (4, 16), (-4, 1)):
        with pytest.raises(ValueError, match="need more than 64 examples"):
            many(start(step), (X, T, None), ORDER, first, SIZE, count)


def test_after_a_release_it_goes_on_with_batches_of_several_sizes() -> None:
    step = step_of()
    many, state, expected = compile_step(step, "native").repeat(1000), start(step), start(step)
    for size in (4, 8, 4, 8, 16, 4):
        done = 0
        while done < N // size:
            state, losses = many(state, (X, T, None), ORDER, done * size, size, N // size - done)
            assert len(losses)
            done += len(losses)
        for batch in batches((X, T, None), ORDER, size=size):
            expected, _ = step(expected, batch)
        many.release()
    for a, b in zip(leaves(state), leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
