"""``compile``: programs, the state written in place, the check, and steps that cannot be planned."""

from __future__ import annotations

import subprocess
import sys
import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.device import backend
from dlarray.planner import Compiled, PlannerWarning, plan
from dlarray.planner import compile as compile_step
from dlarray.planner.kernel.interpreter import run
from dlarray.planner.kernel.loops import BoundKernel, Call
from dlarray.planner.numpy.ufuncs import ufuncs
from dlarray.planner.run import replay
from dlarray.planner.run.agreement import difference, disagreement
from dlarray.planner.run.rounding import Rounding
from tests.support.process import ROOT
from tests.support.steps import descent


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
        def move(i: int, array: np.ndarray) -> None:
            call.inputs[i] = array
            seen.append(array)

        return BoundKernel([(run, (call,))], move)

    fast = compile_step(descent, telling)
    after, losses = take_steps(fast, start(), [4, 4, 4, 3, 4])
    expected, plain = take_steps(descent, start(), [4, 4, 4, 3, 4])
    np.testing.assert_allclose(losses, plain, rtol=1e-14)
    np.testing.assert_allclose(after["theta"], expected["theta"], rtol=1e-14)
    assert seen


# Steps that cannot be planned


def test_a_branch_on_values_falls_back_loudly_and_once():
    def step(state, x):
        return (state, x.sum()) if x[0] > 0 else (state, -x.sum())

    fast = compile_step(step)
    with pytest.warns(PlannerWarning, match="branches on an array's value"):
        assert fast((), np.array([-1.0, 3.0]))[1] == -2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fast((), np.array([1.0, 3.0]))[1] == 4


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


def test_numbers_drawn_while_tracing_are_found_by_the_check():
    r = np.random.default_rng(0)

    def step(state, x):
        return (state[0] + r.standard_normal(3),), array_namespace(x).sum(x)

    with pytest.warns(PlannerWarning, match="differs"):
        compile_step(step)((np.zeros(3),), np.zeros(2))


def test_what_differs_is_measured_by_the_change_of_each_array():
    old = [np.zeros(3)]
    assert not difference((np.ones(3),), (np.ones(3) + 1e-11,), old)
    assert "by 1e-06" in difference((np.ones(3),), (np.ones(3) + 1e-6,), old)
    assert "1 of 3 numbers" in difference((np.arange(3),), (np.array([0, 1, 3]),))
    assert "NaN at other positions" in difference((np.array([np.nan, 1]),), (np.array([1, np.nan]),))
    assert "float64[3] in the plan" in difference((np.ones(2),), (np.ones(3),))
    assert difference((np.ones(2),), [np.ones(2)]) == "the plan returns another tree than the step"
    small = np.full(3, 1e6) + np.arange(3)
    assert difference((small,), (small + 1e-3,), [small - 1e-6])


def plan_of(step: Any, state: Any, x: Any) -> Any:
    return plan(step, state, x).plan


def test_what_rounding_explains_is_measured_on_the_step_itself():
    """A number divided by its magnitude, as in Adam: only its sign remains, and rounding changes it."""

    def step(state, x):
        xp = array_namespace(x)
        g = xp.sum(x)
        return (state[0] - g / (xp.abs(g) + 1e-6),), g

    x = np.random.default_rng(1).standard_normal(1000).astype(np.float32)
    x -= x.mean()
    before = [np.zeros(1, np.float32)]
    result = step((before[0],), x)
    noise = np.abs(Rounding(plan_of(step, (before[0],), x), [*before, x]).outputs(1)[0] - result[0][0])
    assert noise[0] > 1e-3
    other = ((result[0][0] + noise,), result[1])
    assert difference(result, other, before)
    assert not disagreement(plan_of(step, (before[0],), x), result, other, before, [x])


def test_rounding_is_measured_where_a_transposed_result_is_reshaped():
    """NumPy stores 1.5 Wᵀ by columns, a plan by rows: so must it be reshaped."""

    def step(state, x):
        xp = array_namespace(x)
        return (state[0] + 0.0,), xp.reshape(state[0].T * 1.5, (-1,)) * x

    W, x = np.arange(6.0).reshape(2, 3), np.ones(6)
    np.testing.assert_array_equal(Rounding(plan_of(step, (W,), x), [W, x]).outputs(0)[1], step((W,), x)[1])


def test_the_largest_of_a_row_is_itself_in_every_rounding():
    """The derivative of a cross-entropy depends on z == max z, which no rounding changes: a mistake is not rounding."""
    r = np.random.default_rng(0)
    z = r.normal(size=(64, 5)).astype(np.float32)

    def step(state: Any, x: Any) -> Any:
        xp = array_namespace(x)
        z = x * 1.1
        largest = xp.max(z, axis=-1, keepdims=True)
        slope = xp.where(z == largest, xp.exp(z - largest), z)
        return state - 0.1 * xp.sum(slope, axis=0), xp.sum(slope)

    program = plan(step, np.zeros(5, np.float32), z)
    eager = step(np.zeros(5, np.float32), z)
    wrong = (eager[0] * np.float32(1 + 1e-3), eager[1])
    assert "differs" in disagreement(program.plan, eager, wrong, [np.zeros(5, np.float32)], [z])
    assert not disagreement(program.plan, eager, eager, [np.zeros(5, np.float32)], [z])


def test_a_saturated_tangent_hangs_on_rounding_though_no_input_does():
    """1 - tanh² z near 1 has no significant digits, and Adam makes a step of it."""

    def step(state, x):
        xp = array_namespace(x)
        a = xp.tanh(x)
        g = xp.sum(1 - a * a, axis=0)
        return (state[0] - g / (xp.abs(g) + 1e-8),), xp.sum(g)

    x = np.random.default_rng(0).uniform(17, 18, (8, 3))
    state = (np.zeros(3),)
    result = step(state, x)
    g = np.sum(1 - np.square(np.tanh(x) * (1 - 2**-53)), axis=0)  # another tanh, within an ulp
    other = ((-g / (np.abs(g) + 1e-8),), np.sum(g))
    assert difference(result, other, state)
    assert not disagreement(plan_of(step, state, x), result, other, state, [x])
    wrong = ((result[0][0] - 1e-4,), result[1])
    assert disagreement(plan_of(step, state, x), result, wrong, state, [x])


def test_whole_numbers_in_a_float_column_do_not_void_the_check():
    """An epsilon less makes another label: then the gradients of all weights would depend on rounding."""

    def step(theta, x):
        xp = array_namespace(x)
        ids = xp.astype(x[:, 0], xp.int32)
        d = xp.take(xp.reshape(theta[:40], (10, 4)), ids, axis=0) + theta[40:] - x[:, 1:]
        hot = xp.astype(xp.reshape(ids, (-1, 1)) == xp.arange(10, dtype=xp.int32), theta.dtype)
        wrong = 1.0 if isinstance(x, np.ndarray) else 1 + 1e-6
        g = xp.concat([xp.reshape(hot.T @ d, (-1,)), xp.mean(d, axis=0) * wrong])
        return theta - 0.01 * g, xp.sum(d * d)

    r = np.random.default_rng(0)
    x = np.concatenate([r.integers(0, 10, (64, 1)) * 1.0, r.standard_normal((64, 4))], 1)
    with pytest.warns(PlannerWarning, match=r"output 0 of 2, float64\[44\], differs from the plan's: number 4\d"):
        compile_step(step)(r.standard_normal(44), x)


def test_numbers_that_flip_are_left_out_alone():
    """A floored number depends on rounding only near an integer; a mistake anywhere else is found."""

    def step(state, x):
        xp = array_namespace(x)
        code = xp.floor(x * 255)
        return (state[0] + code,), xp.astype(code, xp.int32)

    x = np.array([k / 255 * (1 + 1e-16) for k in range(256)]) / 1.0
    state, found = (np.zeros(256),), step((np.zeros(256),), x)
    edge = np.floor(np.nextafter(x * 255, 0)) != np.floor(np.nextafter(x * 255, 999))
    k = int(np.argmax(edge & (np.arange(256) > 9)))
    flipped, wrong = (tuple(np.copy(a) for a in (found[0][0], found[1])) for _ in range(2))
    for a in flipped:
        a[k] -= 1
    graph = plan_of(step, state, x)
    assert difference(found, ((flipped[0],), flipped[1]), state)
    assert not disagreement(graph, found, ((flipped[0],), flipped[1]), state, [x])
    still = int(np.argmin(edge))
    wrong[0][still] += 1
    assert f"number {still} by 1" in disagreement(graph, found, ((wrong[0],), wrong[1]), state, [x])


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


def test_too_many_programs_say_what_changes():
    fast = compile_step(lambda state, x: ((state[0] + 1,), x[0] * 1.0))
    state: Any = (0,)
    for _ in range(64):
        state, _ = fast(state, (np.ones(1),))
    with pytest.warns(PlannerWarning, match="a Python number in the state or the batch changes"):
        state, _ = fast(state, (np.ones(1),))
    assert state == (65,)


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
