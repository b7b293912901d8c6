"""The work of planning a step grows in proportion to the number of layers."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from dlarray.core.array import array_namespace
from dlarray.device import resolve
from dlarray.layers import BatchNorm, Dense, LayerNorm
from dlarray.losses import MeanSquaredError
from dlarray.model import MLP
from dlarray.optimizers import Adam
from dlarray.planner.schedule.step_plan import plan_step
from dlarray.training.step import Step
from tests.support.rank_steps import examples, over, own_rows, start
from tests.support.recorded_ranks import Recorder
from tests.support.steps import arrays

WIDTH = 4


def network(depth: int, *norm: Any) -> tuple[Any, Any]:
    """The library's step of a network."""
    layers = [part for _ in range(depth) for part in (Dense(WIDTH), *norm, "relu")]
    step = Step(MLP(WIDTH, (*layers, Dense(WIDTH))), MeanSquaredError(), Adam())
    device = resolve("cpu")
    return step, step.init(step.model.init(0, device, "float32"), (), 0, device)


def written_by_hand(depth: int) -> tuple[Any, Any]:
    """A user's step, whose state has two arrays for each layer."""

    def step(state: Any, batch: Any) -> Any:
        x, t = batch
        xp = array_namespace(x)
        inputs: list[Any] = []
        for W, b in state:
            inputs.append(x)
            x = xp.tanh(x @ W + b)
        loss = xp.sum((x - t) ** 2)
        new: list[Any] = []
        d = x - t
        for (W, b), y in zip(reversed(state), reversed(inputs), strict=True):
            new.append((W - 0.1 * (y.T @ d), b - 0.1 * xp.sum(d, axis=0)))
            d = (d @ W.T) * (1 - y * y)
        return new[::-1], loss

    return step, [arrays((WIDTH, WIDTH), (WIDTH,), dtype="float32") for _ in range(depth)]


def on_two_ranks(depth: int) -> tuple[Any, Any]:
    """The library's step on two ranks: five sums for each layer."""
    step = over(Recorder(), [part for _ in range(depth) for part in (Dense(WIDTH), BatchNorm(shift=False), "relu")])
    return step, start(step)


def calls(made: tuple[Any, Any]) -> int:
    """How many functions are called to trace and plan a step."""
    step, state = made
    batch: Any = arrays((3, WIDTH), (3, WIDTH), dtype="float32")
    batch = (*batch, None) if isinstance(step, Step) else batch
    if isinstance(step, Step) and step.ranks.size > 1:
        batch = own_rows(step.ranks, step, examples(6))
    plan_step(step, state, batch)  # what is computed once in a process is known after it
    count = 0

    def counted(*_: Any) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        plan_step(step, state, batch)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("norm", [(), (LayerNorm(),)], ids=["dense", "normalised"])
def test_twice_the_layers_take_twice_the_calls_to_plan(norm: Any):
    assert calls(network(40, *norm)) < 2.05 * calls(network(20, *norm))


def test_twice_the_sums_over_ranks_take_twice_the_calls_to_plan():
    assert calls(on_two_ranks(20)) < 2.05 * calls(on_two_ranks(10))


def test_twice_the_arrays_of_a_state_take_twice_the_calls_to_plan():
    assert calls(written_by_hand(40)) < 2.05 * calls(written_by_hand(20))


def test_the_plan_of_a_deep_step_writes_the_state_in_place():
    step, state = written_by_hand(40)
    plan = plan_step(step, state, arrays((3, WIDTH), (3, WIDTH), dtype="float32")).plan
    assert len(plan.donated) == 80
    assert all(map(plan.is_in_place, plan.donated))
    assert [unit.op for unit in plan.units].count("matmul") == 3 * 40 - 1
    assert len(plan.bodies) <= 4 * 40
