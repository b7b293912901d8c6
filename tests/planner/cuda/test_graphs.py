"""Graphs of a planned step that fail or give other numbers, and kernels that do."""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.planner import PlannerWarning
from tests.fakes.gpu import FakeGpu, to_fake
from tests.fakes.steps import STAGES, check, close, network, program, run
from tests.support import cuda

pytestmark = pytest.mark.skipif(not cuda.have_compiler(), reason="there is no g++")
RNG = np.random.default_rng(0)


def test_a_refused_graph(folder: Path):
    gpu = FakeGpu(folder)
    gpu.refuses_to_record = "not today"
    step, state, batches = network()
    with pytest.warns(PlannerWarning, match="launch by launch, because it cannot be recorded: RuntimeError: not today"):
        planned = check(step, state, batches, gpu)
    assert not program(planned).recorded
    assert "graph" not in gpu.queued


def test_a_graph_that_is_refused_later(folder: Path):
    gpu = FakeGpu(folder)
    step, state, batches = network()
    planned = check(step, state, batches, gpu)
    gpu.refuses_to_record = "no more"
    expected = run(step, copy.deepcopy(state), batches)
    with pytest.warns(PlannerWarning, match="launch by launch, because it cannot be recorded: RuntimeError: no more"):
        close(run(planned, to_fake(state), [to_fake(b) for b in batches]), expected)


class Forgetful(FakeGpu):
    """A GPU whose graphs leave out what was queued last."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        whole = super().record(work)
        cells = dict(zip(whole.__code__.co_freevars, whole.__closure__ or (), strict=True))
        del cells["recorded"].cell_contents[-1]
        return whole


def test_a_graph_that_gives_other_numbers(folder: Path):
    gpu = Forgetful(folder)
    step, state, batches = network()
    with pytest.warns(PlannerWarning, match="launch by launch, because the graph gives other numbers"):
        planned = check(step, state, batches, gpu)
    assert not program(planned).recorded
    graphs = gpu.queued.count("graph")
    run(planned, to_fake(state), [to_fake(b) for b in batches])
    assert gpu.queued.count("graph") == graphs, "it is dropped for good"


def test_a_kernel_with_wrong_numbers(folder: Path):
    class Lying(FakeGpu):
        def launch(self, function: Any, grid: Any, head: np.ndarray) -> None:
            super().launch(function, grid, head)
            if head[0] * head[1] > 100:  # of what is large, the last array is written
                where = int(head[-1])
                self._queue("lie", lambda: ctypes.memset(where, 1, 8))

    step, state, batches = network()
    with pytest.warns(PlannerWarning, match="the step runs eagerly, uncompiled, because output"):
        planned = check(step, state, batches, Lying(folder))
    assert list(planned.programs.values()) == [None]


def test_a_kernel_that_does_not_compile(folder: Path):
    class Failing(FakeGpu):
        def compile(self, text: str, names: Any) -> list[Any]:
            raise RuntimeError("error: no such instruction")

    step, state, batches = network()
    with pytest.warns(PlannerWarning, match="its plan fails: RuntimeError: error: no such instruction"):
        check(step, state, batches, Failing(folder))


@pytest.mark.parametrize("name", ["sort", "argsort", "cumulative_sum"])
def test_eager_calls(name: str, folder: Path):
    def step(state: Any, batch: Any) -> Any:
        xp = array_namespace(state["a"])
        made = xp.tanh(getattr(xp, name)(state["a"] + batch[0], axis=0) * 0.5)
        return {"a": xp.astype(made, state["a"].dtype)}, xp.sum(xp.abs(made))

    state, batches = {"a": RNG.normal(size=(6, 5))}, [(RNG.normal(size=(6, 5)),) for _ in range(3)]
    with pytest.warns(PlannerWarning, match=f"no graph can hold what the library allocates: {name}"):
        planned = check(step, state, batches, FakeGpu(folder))
    assert not program(planned).recorded


def test_no_warning_where_no_graph_is_wanted(folder: Path):
    def step(state: Any, batch: Any) -> Any:
        xp = array_namespace(state)
        return xp.sort(state, axis=0), xp.sum(state)

    check(step, RNG.normal(size=(6, 5)), [()] * 3, FakeGpu(folder), STAGES["fused"])
