"""A step as one native function: which batches it takes, and what it shares with other steps."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.planner import PlannerWarning
from dlarray.planner import compile as compile_step
from tests.support.native_steps import batch, close, copied, entry, start, started, step

pytest.importorskip("llvmlite", reason='pip install "dlarray[fast]"')


# Batches that the entry takes


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


def on_foreign_memory(x: np.ndarray) -> np.ndarray:
    return np.frombuffer(bytearray(x.tobytes()), x.dtype).reshape(x.shape)


def rows_of_more(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, x + 1, x])[len(x) : 2 * len(x)]


@pytest.mark.parametrize("change", [np.copy, read_only, on_foreign_memory, rows_of_more])
def test_arrays_like_those_of_the_first_batch_are_taken_in_one_call(change: Callable[[np.ndarray], np.ndarray]) -> None:
    state = start()
    enter = entry(started(state))
    given = tuple(map(change, batch(seed=3)))
    expected, _ = step(copied(state), given)
    assert enter(*given) is True
    close((state, 0.0), (expected, 0.0))


def misaligned(x: np.ndarray) -> np.ndarray:
    raw = np.zeros(x.nbytes + 1, np.uint8)[1:]
    moved = raw.view(x.dtype).reshape(x.shape)
    moved[...] = x
    assert not moved.flags.aligned
    return moved


def every_second(x: np.ndarray) -> np.ndarray:
    return np.repeat(x, 2, axis=1)[:, ::2]


class Special(np.ndarray):
    """A subclass that changes nothing."""


LIKE_THE_FIRST: dict[str, Callable[[np.ndarray], Any]] = {
    "a subclass": lambda x: x.view(Special),
    "columns first": np.asfortranarray,
    "every second column": every_second,
    "reversed": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "misaligned": misaligned,
    "float64": lambda x: x.astype(np.float64),
    "the other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "a row more": lambda x: np.concatenate([x, x[:1]]),
    "a row less": lambda x: x[:-1],
    "an axis more": lambda x: x[None],
    "integers of the same size": lambda x: x.astype(np.int32),
}
NO_ARRAYS: dict[str, Callable[[np.ndarray], Any]] = {
    "a list": np.ndarray.tolist,
    "None": lambda x: None,
    "a number": lambda x: 1.0,
    "a memoryview": memoryview,
}


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("what", LIKE_THE_FIRST | NO_ARRAYS)
def test_anything_else_is_refused_and_nothing_is_written(what: str, position: int) -> None:
    state = start()
    enter, before = entry(started(state)), copied(state)
    given = list(batch(seed=3))
    given[position] = (LIKE_THE_FIRST | NO_ARRAYS)[what](given[position])
    assert enter(*given) is False
    np.testing.assert_equal(state, before)


def test_a_torch_tensor_is_refused() -> None:
    torch = pytest.importorskip("torch")
    enter = entry(started(start()))
    x, t = batch()
    assert enter(torch.asarray(x), t) is False


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_another_number_of_arrays_is_refused(count: int) -> None:
    state = start()
    enter, before = entry(started(state)), copied(state)
    assert enter(*[*batch(), *batch()][:count]) is False
    np.testing.assert_equal(state, before)


def test_the_entry_has_no_keywords() -> None:
    enter = entry(started(start()))
    x, t = batch()
    with pytest.raises(TypeError, match="takes no keyword arguments"):
        enter(x, t=t)


UNPLANNED = {"a subclass": "an array is a Special", "the other byte order": "a foreign byte order"}
"""What the warning says."""


@pytest.mark.parametrize("what", [name for name in LIKE_THE_FIRST if name != "an axis more"])
def test_a_refused_batch_is_computed_rightly_and_the_next_one_too(what: str) -> None:
    """Both arrays are changed, which is a step with a plan of its own or an eager one."""
    state = start()
    compiled = started(state)
    for seed, change in ((3, LIKE_THE_FIRST[what]), (4, np.copy), (5, LIKE_THE_FIRST[what]), (6, np.copy)):
        given = tuple(map(change, batch(seed=seed)))
        expected = step(copied(state), given)
        first = seed == 3 and what in UNPLANNED
        with pytest.warns(PlannerWarning, match=UNPLANNED[what]) if first else nullcontext():
            state, loss = compiled(state, given)
        state = {name: np.asarray(array) for name, array in state.items()}
        close((state, loss), expected)


@pytest.mark.parametrize("first", range(3))
def test_a_batch_in_the_memory_of_the_state_is_refused(first: int) -> None:
    """Also if it is only a part of it, before, in and behind one of its arrays."""
    memory = np.random.default_rng(0).standard_normal(15 + 40 + 40).astype(np.float32)
    inside, outside = memory[40:55].reshape(5, 3), memory[[0, -1]]
    state = start() | {"w": inside}
    enter = entry(started(state))
    _, t = batch()
    at = {0: memory[1:41], 1: memory[30:70], 2: memory[54:94]}[first].reshape(8, 5)
    before = copied(state)
    assert enter(at, t) is False
    np.testing.assert_equal(state, before)
    for beside in (memory[:40], memory[55:]):
        assert enter(beside.reshape(8, 5), t) is True
    np.testing.assert_array_equal(memory[[0, -1]], outside)


def test_a_batch_in_the_memory_of_the_state_is_computed_eagerly() -> None:
    state = start()
    state["m"] = np.ones((8, 3), np.float32)

    def step(state: Any, batch: Any) -> Any:
        x, t = batch
        return {"w": state["w"] - 0.1 * x.T @ (t * t), "m": t * 0.5, "n": state["n"]}, array_namespace(x).sum(t)

    compiled = compile_step(step, "native", check=False)
    for _ in range(2):
        compiled(state, batch())
    x, _ = batch(seed=5)
    expected = step(copied(state), (x, state["m"].copy()))
    with pytest.warns(PlannerWarning, match="shares memory with the state"):
        found = compiled(state, (x, state["m"]))
    close(found, expected)


# Several native functions


@pytest.mark.parametrize("calls", [1, 2])
def test_a_call_of_numpy_stands_between_native_functions(calls: int) -> None:
    def step(state: Any, batch: Any) -> Any:
        x, t = batch
        h = np.tanh(x @ state["w"]) - t
        for _ in range(calls):
            h = np.exp(-abs(np.cumsum(h, axis=0))) * 0.5 + h
        return {"w": state["w"] - 0.1 * (x.T @ h), "m": state["m"] * 0.5, "n": state["n"] + 1}, np.sum(h)

    compiled, state, plain = compile_step(step, "native"), start(), start()
    for seed in range(12):
        state, loss = compiled(state, batch(seed=seed))
        plain, expected = step(plain, batch(seed=seed))
        close((state, loss), (plain, expected), 1e-4)
    bound = compiled.repeatable()
    assert bound is not None
    assert bound.replay.enter is None
    assert bound.replay.many is None
    assert len(bound.replay.calls) == 2 * calls + 1


def test_an_error_between_native_functions_leaves_the_state_whole() -> None:
    def step(state: Any, batch: Any) -> Any:
        x, i = batch
        xp = array_namespace(x)
        rows = xp.take(state["w"] * 2.0, i, axis=0)
        return {"w": state["w"] - 0.1 * xp.sum(rows), "m": state["m"] + 1}, xp.sum(x)

    state = {"w": np.ones((5, 3)), "m": np.zeros(2)}
    bound = compile_step(step, "native").bind(state)
    for i in (0, 1, 2):
        bound((np.ones(3), np.array([i, 4])))
    before = copied(bound.state)
    for _ in range(2):
        with pytest.raises(IndexError):
            bound((np.ones(3), np.array([0, 5])))
        np.testing.assert_equal(bound.state, before)
    expected = step(before, (np.ones(3), np.array([0, 3])))
    assert bound((np.ones(3), np.array([0, 3]))) == expected[1]
    np.testing.assert_allclose(bound.state["w"], expected[0]["w"], rtol=1e-14)
