"""The results of a plan are compared with those of its step: rounding may change them, a mistake may not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.planner import PlannerWarning, plan
from dlarray.planner import compile as compile_step
from dlarray.planner.run.agreement import difference, disagreement
from dlarray.planner.run.rounding import Rounding


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


# Rounding


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


def test_rounding_of_very_small_numbers_is_measured():
    """exp(-z²) far out: a rounding of z² is hundreds of ulp of the result, which float32 could not hold."""
    z = np.array([14.8, 15.2])

    def step(state, batch):
        xp = array_namespace(batch)
        return (xp.exp(-batch * batch),), xp.sum(batch)

    found, loss = step((np.zeros(2),), z)
    before = found  # so that no change of the state allows a difference
    other = (found[0] * (1 + 100 * np.finfo(np.float64).eps),), loss
    assert difference((found, loss), other, before)
    assert not disagreement(plan_of(step, before, z), (found, loss), other, before, [z])


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
