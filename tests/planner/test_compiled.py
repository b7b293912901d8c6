"""``compile`` makes programs, which write the state in place."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from dataclasses import replace as with_fields
from typing import Any

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.device import backend
from dlarray.planner import Compiled, PlannerWarning
from dlarray.planner import compile as compile_step
from dlarray.planner.kernel.interpreter import run
from dlarray.planner.kernel.joining import Rebindable
from dlarray.planner.kernel.loops import BoundKernel, Call
from dlarray.planner.numpy.ufuncs import ufuncs
from dlarray.planner.run import replay
from dlarray.planner.run.agreement import difference
from tests.support.process import ROOT
from tests.support.steps import descent
from tests.support.threads import at_once


def start() -> Any:
    return {"theta": np.arange(5.0), "t": np.zeros((), np.int32)}


def batch(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, 5))


def take_steps(step: Any, state: Any, sizes: list[int]) -> tuple[Any, list[float]]:
    losses: list[float] = []
    for i, rows in enumerate(sizes):
        state, loss = step(state, batch(rows, i))
        losses.append(float(loss))
    return state, losses


def test_programs_share_the_callers_state_and_write_it_in_place():
    fast, state = compile_step(descent), start()
    theta, t = state["theta"], state["t"]
    after, losses = take_steps(fast, state, [4, 4, 3, 4, 3, 4])
    expected, plain = take_steps(descent, start(), [4, 4, 3, 4, 3, 4])
    assert losses == plain
    np.testing.assert_array_equal(after["theta"], expected["theta"])
    assert after["theta"] is theta
    assert after["t"] is t
    assert t == 6
    assert len(fast.programs) == 2


def test_a_loss_that_was_returned_stays_as_it_is():
    fast = compile_step(lambda state, x: ((state[0] * 0.5,), state[0] + 0.0), check=False)
    state, first = fast((np.ones(3),), np.zeros(1))
    state, second = fast(state, np.zeros(1))
    np.testing.assert_array_equal(first, np.ones(3))
    np.testing.assert_array_equal(second, np.full(3, 0.5))
    np.testing.assert_array_equal(state[0], np.full(3, 0.25))


def test_another_state_of_the_same_shapes_is_bound_in_place():
    fast = compile_step(descent)
    one, two = start(), start()
    two["theta"] += 1
    for i in range(4):
        one, _ = fast(one, batch(4, i))
        two, _ = fast(two, batch(4, i))
    np.testing.assert_allclose(two["theta"], one["theta"] + 1)


def test_dtypes_and_numbers_in_the_tree_make_programs_of_their_own():
    fast = compile_step(lambda state, x: (state, state[0] * 2 * x[1]))
    for value in (2, 3):
        assert fast((np.ones(()),), (np.zeros(2), value))[1] == 2 * value
    fast((np.ones((), np.float32),), (np.zeros(2), 2))
    assert len(fast.programs) == 3


def test_a_state_of_numpys_numbers_and_swapped_arrays():
    def step(state, x):
        a, b, t = state
        return (b, a * 2, t + 1), t * 1.5

    fast = compile_step(step)
    state, plain = (np.ones(3), np.full(3, 5.0), np.int32(0)), (np.ones(3), np.full(3, 5.0), np.int32(0))
    for _ in range(5):
        state, loss = fast(state, np.zeros(1))
        plain, expected = step(plain, np.zeros(1))
        assert loss == expected
        assert not difference(plain[:2], state[:2])


def test_an_executor_that_can_rebind_reads_the_batch_in_place(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(replay, "STAGED", 0)  # not even a small one is copied
    seen: list[np.ndarray] = []

    def telling(call: Call) -> BoundKernel:
        count = len(call.inputs)

        def run_on(*arrays: np.ndarray) -> None:
            seen.extend(arrays)
            run(with_fields(call, inputs=[*arrays[:count]], outputs=[*arrays[count:]]))

        return BoundKernel([(run_on, Rebindable([*call.inputs, *call.outputs]))], rebindable=True)

    fast = compile_step(descent, telling)
    after, losses = take_steps(fast, start(), [4, 4, 4, 3, 4])
    expected, plain = take_steps(descent, start(), [4, 4, 4, 3, 4])
    np.testing.assert_allclose(losses, plain, rtol=1e-14)
    np.testing.assert_allclose(after["theta"], expected["theta"], rtol=1e-14)
    assert len({id(array) for array in seen if len(array) in (3, 4)}) > 3


def test_too_many_programs_say_what_changes():
    fast = compile_step(lambda state, x: ((state[0] + 1,), x[0] * 1.0))
    state: Any = (0,)
    for _ in range(64):
        state, _ = fast(state, (np.ones(1),))
    with pytest.warns(PlannerWarning, match="a Python number in the state or the batch changes"):
        state, _ = fast(state, (np.ones(1),))
    assert state == (65,)


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


def test_arrays_that_a_step_closes_over_are_read_where_they_lie():
    scale, turned = np.ones(3), np.arange(6.0).reshape(2, 3)

    def step(state, x):
        return (state[0] * scale + turned.T[:, 1],), array_namespace(x).sum(x)

    fast = compile_step(step)
    state, plain = (np.ones(3),), (np.ones(3),)
    for i in range(4):
        scale[...] = i
        turned[1, :] = -i
        state, _ = fast(state, np.zeros(1))
        plain, _ = step(plain, np.zeros(1))
        np.testing.assert_array_equal(state[0], plain[0])


def test_foreign_byte_orders_and_batches_in_columns():
    fast = compile_step(descent)
    state = {"theta": np.arange(5.0).astype(">f8"), "t": np.zeros((), np.int32)}
    for i in range(3):
        state, _ = fast(state, batch(4, i))
    expected, _ = take_steps(descent, start(), [4, 4, 4])
    np.testing.assert_array_equal(state["theta"], expected["theta"])
    state = start()
    for i in range(3):
        state, _ = fast(state, np.asfortranarray(batch(4, i)) if i else batch(4, i))
    np.testing.assert_allclose(state["theta"], expected["theta"], rtol=1e-14)


def test_an_unknown_executor_is_refused():
    with pytest.raises(ValueError, match="unknown executor 'numb'"):
        compile_step(descent, "numb")


def test_the_numpy_backend_chooses_it():
    numpy = backend.get("numpy")
    assert numpy.compiles
    fast = numpy.compile(descent)
    assert isinstance(fast, Compiled)
    state, _ = fast(start(), batch(4))
    assert state["t"] == 1


def test_only_backends_import_the_planner():
    code = "import sys, dlarray, dlarray.training\nprint(any('planner' in name for name in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "False"


# Steps that run eagerly


def test_a_branch_on_values_falls_back_loudly_and_once():
    def step(state, x):
        return (state, x.sum()) if x[0] > 0 else (state, -x.sum())

    fast = compile_step(step)
    with pytest.warns(PlannerWarning, match="branches on an array's value"):
        assert fast((), np.array([-1.0, 3.0]))[1] == -2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fast((), np.array([1.0, 3.0]))[1] == 4


def test_a_batch_or_captured_array_that_is_written_falls_back():
    seen = np.zeros(3)

    def step(state, x):
        np.add(seen, 1, out=seen)
        x -= 1.0
        return state, array_namespace(x).sum(x)

    x = np.ones(3)
    with pytest.warns(PlannerWarning, match="not part of its state"):
        compile_step(step)((), x)
    np.testing.assert_array_equal(x, np.zeros(3))


def test_a_wrong_plan_is_reported_and_the_eager_result_returned():
    def broken(call: Call) -> BoundKernel:
        """An executor that forgets the last output."""
        bound = ufuncs(call)
        return BoundKernel(bound.calls[:-1])

    fast, state = compile_step(descent, broken), start()
    with pytest.warns(PlannerWarning, match=r"output \d of 3, .* differs from the plan's"):
        after, loss = fast(state, batch(4))
    expected, plain = descent(start(), batch(4))
    assert loss == plain
    np.testing.assert_array_equal(after["theta"], expected["theta"])
    assert list(fast.programs.values()) == [None]
    assert take_steps(fast, after, [4, 4])[1] == take_steps(descent, expected, [4, 4])[1]
