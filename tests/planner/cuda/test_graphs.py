"""Graphs of a planned step that fail or give other numbers, and kernels that do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.planner import PlannerWarning
from tests.support.gpu import ForgetfulGpu, WatchedGpu, to_gpu
from tests.support.gpu_steps import STAGES, check, close, network, program, run

RNG = np.random.default_rng(0)


def refusing(why: str) -> Any:
    def record(work: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError(why)

    return record


def test_a_refused_graph(gpu: WatchedGpu, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpu, "record", refusing("not today"))
    step, state, batches = network()
    with pytest.warns(PlannerWarning, match="launch by launch, because it cannot be recorded: RuntimeError: not today"):
        planned = check(step, state, batches, gpu)
    assert not program(planned).recorded
    assert "graph" not in gpu.queued


def test_a_graph_that_is_refused_later(gpu: WatchedGpu, monkeypatch: pytest.MonkeyPatch):
    step, state, batches = network()
    planned = check(step, state, batches, gpu)
    monkeypatch.setattr(gpu, "record", refusing("no more"))
    expected = run(step, copy.deepcopy(state), batches)
    with pytest.warns(PlannerWarning, match="launch by launch, because it cannot be recorded: RuntimeError: no more"):
        close(run(planned, to_gpu(state), [to_gpu(b) for b in batches]), expected)


@pytest.mark.usefixtures("cuda")
def test_a_graph_that_gives_other_numbers():
    gpu = ForgetfulGpu()
    step, state, batches = network()
    with pytest.warns(PlannerWarning, match="launch by launch, because the graph gives other numbers"):
        planned = check(step, state, batches, gpu)
    assert not program(planned).recorded
    graphs = gpu.queued.count("graph")
    run(planned, to_gpu(state), [to_gpu(b) for b in batches])
    assert gpu.queued.count("graph") == graphs, "it is dropped for good"


def test_a_kernel_with_wrong_numbers(gpu: WatchedGpu, monkeypatch: pytest.MonkeyPatch):
    right = gpu.launch

    def wrong(function: Any, grid: Any, head: np.ndarray) -> None:
        right(function, grid, head)
        if head[0] * head[1] > 100:  # of what is large, the last array is written
            runtime.memsetAsync(int(head[-1]), 1, 8, get_current_stream().ptr)

    from cupy.cuda import get_current_stream, runtime

    monkeypatch.setattr(gpu, "launch", wrong)
    step, state, batches = network()
    with pytest.warns(PlannerWarning, match="the step runs eagerly, uncompiled, because output"):
        planned = check(step, state, batches, gpu)
    assert list(planned.programs.values()) == [None]


def test_a_kernel_that_does_not_compile(gpu: WatchedGpu, monkeypatch: pytest.MonkeyPatch):
    real = gpu.compile
    monkeypatch.setattr(gpu, "compile", lambda text, names: real(f"{text} no such thing;", names))
    step, state, batches = network()
    with pytest.warns(PlannerWarning, match="its plan fails: CompileException: "):
        check(step, state, batches, gpu)


@pytest.mark.parametrize("name", ["sort", "argsort", "cumulative_sum"])
def test_eager_calls(name: str, gpu: WatchedGpu):
    def step(state: Any, batch: Any) -> Any:
        xp = array_namespace(state["a"])
        made = xp.tanh(getattr(xp, name)(state["a"] + batch[0], axis=0) * 0.5)
        return {"a": xp.astype(made, state["a"].dtype)}, xp.sum(xp.abs(made))

    state, batches = {"a": RNG.normal(size=(6, 5))}, [(RNG.normal(size=(6, 5)),) for _ in range(3)]
    waits = pytest.warns(PlannerWarning, match=f"no graph can hold what the library allocates: {name}")
    with nullcontext() if name == "cumulative_sum" else waits:
        planned = check(step, state, batches, gpu)
    assert program(planned).recorded == (name == "cumulative_sum")


def test_no_warning_where_no_graph_is_wanted(gpu: WatchedGpu):
    def step(state: Any, batch: Any) -> Any:
        xp = array_namespace(state)
        return xp.sort(state, axis=0), xp.sum(state)

    check(step, RNG.normal(size=(6, 5)), [()] * 3, gpu, STAGES["fused"])
