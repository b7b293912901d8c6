"""A graph of several steps is not used if its numbers are wrong or if it cannot be recorded."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from dlarray.core.array import array_namespace
from dlarray.planner import PlannerWarning
from tests.planner.cuda.test_repeated import ORDER, RNG, Training, X, network
from tests.support.gpu import ForgetfulGpu, WatchedGpu, to_gpu


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("left_out", [1, 2, 5, 12])
def test_a_wrong_graph(left_out: int):
    step, state, data = network()
    gpu = ForgetfulGpu()
    gpu.left_out, gpu.shortest = left_out, 21  # the graph of one step is whole
    training = Training(step, state, gpu)
    with pytest.warns(PlannerWarning, match="one by one, because of a graph of 4, it gives other numbers"):
        training.go(data, ORDER, 0, 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        training.go(data, ORDER, 0, 10)


def test_a_graph_that_gives_other_losses(gpu: WatchedGpu, monkeypatch: pytest.MonkeyPatch):
    """The state is right, and the loss of a step before the last is not."""

    record, empty = gpu.record, gpu.empty
    losses: list[Any] = []

    def wrong(work: Callable[[], None]) -> Callable[[], None]:
        before = len(gpu.queued)
        whole = record(work)
        is_single = "gather" not in gpu.queued[before:]

        def run() -> None:
            whole()
            losses[-1][1] += 1

        return whole if is_single else run

    def kept(shape: tuple[int, ...], dtype: Any) -> Any:
        made = empty(shape, dtype)
        losses.extend([made] if shape == (10,) else [])
        return made

    monkeypatch.setattr(gpu, "record", wrong)
    monkeypatch.setattr(gpu, "empty", kept)
    step, state, data = network()
    with pytest.warns(PlannerWarning, match="other numbers"):
        Training(step, state, gpu).go(data, ORDER, 0, 10)


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_a_refused_graph(after: int, gpu: WatchedGpu, monkeypatch: pytest.MonkeyPatch):
    """Whenever recording begins to fail, the numbers stay right and a warning says why."""

    record = gpu.record

    def refused(work: Callable[[], None]) -> Callable[[], None]:
        if gpu.records >= after:
            raise RuntimeError("no more graphs")
        return record(work)

    monkeypatch.setattr(gpu, "record", refused)
    step, state, data = network()
    training = Training(step, state, gpu)

    def three_times() -> None:
        for _ in range(3):
            training.go(data, ORDER, 0, 10)
            training.state, training.apart = to_gpu(copy.deepcopy(state)), to_gpu(copy.deepcopy(state))

    with pytest.warns(PlannerWarning, match="no more graphs"):
        three_times()


def test_steps_that_are_no_graph(gpu: WatchedGpu):
    def sorting(state: Any, batch: Any) -> Any:
        xp = array_namespace(state)
        return xp.sort(state + 0.1 * batch[0][0, ...]), xp.sum(state)

    training = Training(sorting, RNG.normal(size=6), gpu)
    with pytest.warns(PlannerWarning, match="no graph can hold"):
        training.go((X,), ORDER, 0, 10)
    training.go((X,), None, 0, 10)
