"""Every layer, activation and loss, and random networks, on ranks: planned steps have the eager steps' numbers."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.trees import copy_tree
from dlarray.planner import PlannerWarning
from dlarray.planner import compile as compile_step
from dlarray.planner.run.agreement import copies
from dlarray.training import Step
from dlarray.training.parallel_step import spread
from tests.fuzz.inputs import Setup
from tests.fuzz.networks import NetworkInputs, drawn
from tests.support import families
from tests.support.rank_steps import own_rows
from tests.support.thread_ranks import ThreadRanks, on_ranks

CPU = dl.device.resolve("cpu")
SIZE = 3
STEPS = {
    name: step
    for name, step in families.steps().items()
    if name.startswith(("activation", "layer", "loss", "accumulate", "optimizer c")) and step.loss.additive
}
NETWORKS = 24


def compared(ranks: ThreadRanks, step: Step, executor: str, state: Any, batches: list[Any]) -> Any:
    """The results of all steps, eager and planned from the same states, and what both have exchanged."""
    own = spread(step, ranks)
    fast = compile_step(own, executor)
    found: list[tuple[list[np.ndarray], list[np.ndarray]]] = []
    logs: list[list[Any]] = [[], []]
    for batch in batches:
        rows = own_rows(ranks, step, batch)
        start = len(ranks.log)
        with np.errstate(all="ignore"):
            eager = own(copy_tree(state), rows)
            middle = len(ranks.log)
            planned = fast(copy_tree(state), rows)
        logs[0] += ranks.log[start:middle]
        logs[1] += ranks.log[middle:]
        found.append((copies(eager), copies(planned)))
        state = copy_tree(planned[0])
    return found, logs


def check(step: Step, executor: str, state: Any, batches: list[Any], size: int = SIZE) -> None:
    """Fail unless planned steps are right, on all ranks the same, and exchange what eager ones exchange."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", PlannerWarning)
        results = on_ranks(size, lambda ranks: compared(ranks, step, executor, copy_tree(state), batches))
    for steps, (eager, planned) in results:
        assert planned == eager
        for (expected, actual), (_, first) in zip(steps, results[0][0], strict=True):
            for x, y, z in zip(expected, actual, first, strict=True):
                np.testing.assert_allclose(y, x, rtol=1e-8, atol=1e-8)
                np.testing.assert_array_equal(y, z)


@pytest.mark.parametrize("name", STEPS)
def test_every_step_on_ranks(name: str) -> None:
    step = STEPS[name]
    executor = "native" if name.startswith("layer") else "ufuncs"
    check(step, executor, families.start(step, CPU, "float64"), families.batches(step, CPU, "float64", 2))


@pytest.mark.parametrize("seed", range(NETWORKS))
def test_random_networks_on_ranks(seed: int) -> None:
    network = drawn(seed)
    setup = Setup(seed, "float64", network.setup.features, rows=(7, 12))
    network = replace(network, setup=setup, inference=False)
    step: Step = network.function(network.inputs(0), 0)
    if not step.loss.additive:
        step = replace(step, loss=dl.MeanSquaredError())
        network = replace(network, loss="MeanSquaredError()")
    inputs = NetworkInputs(setup, 0, network)
    state = network.start(inputs)
    batches = [inputs.batch(call, state) for call in range(2)]
    check(step, ("ufuncs", "native")[seed % 2], state, batches, 2 + seed % 3)
