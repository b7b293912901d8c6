"""A graph of several steps is not used if its numbers are wrong or if it cannot be recorded."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlarray.core.array import array_namespace
from dlarray.planner import PlannerWarning
from tests.fakes.gpu import FakeGpu, to_fake
from tests.planner.cuda.test_repeated import ORDER, RNG, Training, X, network
from tests.support import cuda

pytestmark = pytest.mark.skipif(not cuda.have_compiler(), reason="there is no g++")


class Lying(FakeGpu):
    """A GPU whose longer graphs leave something out: what is at this place from the end."""

    lies = 1

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        whole = super().record(work)
        recorded = dict(zip(whole.__code__.co_freevars, whole.__closure__ or (), strict=True))["recorded"].cell_contents
        if len(recorded) > 20:
            del recorded[-self.lies]
        return whole


@pytest.mark.parametrize("lies", [1, 2, 5, 12])
def test_a_wrong_graph(lies: int, folder: Path):
    step, state, data = network()
    gpu = Lying(folder)
    gpu.lies = lies
    training = Training(step, state, gpu)
    with pytest.warns(PlannerWarning, match="one by one, because of a graph of 4, it gives other numbers"):
        training.go(data, ORDER, 0, 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        training.go(data, ORDER, 0, 10)


def test_a_graph_that_gives_other_losses(folder: Path):
    """The state is right, and the loss of a step before the last is not."""

    class Gpu(FakeGpu):
        losses: Any = None

        def record(self, work: Callable[[], None]) -> Callable[[], None]:
            before = len(self.queued)
            whole, losses = super().record(work), self.losses
            is_single = "gather" not in self.queued[before:]

            def run() -> None:
                whole()
                losses[1] += 1

            return whole if is_single else run

        def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
            made = super().empty(shape, dtype)
            self.losses = made if shape == (10,) else self.losses
            return made

    step, state, data = network()
    with pytest.warns(PlannerWarning, match="other numbers"):
        Training(step, state, Gpu(folder)).go(data, ORDER, 0, 10)


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_a_refused_graph(after: int, folder: Path):
    """Whenever recording begins to fail, the numbers stay right and a warning says why."""

    class Gpu(FakeGpu):
        def record(self, work: Callable[[], None]) -> Callable[[], None]:
            if self.records >= after:
                raise RuntimeError("no more graphs")
            return super().record(work)

    step, state, data = network()
    training = Training(step, state, Gpu(folder))

    def three_times() -> None:
        for _ in range(3):
            training.go(data, ORDER, 0, 10)
            training.state, training.apart = to_fake(copy.deepcopy(state)), to_fake(copy.deepcopy(state))

    with pytest.warns(PlannerWarning, match="no more graphs"):
        three_times()


def test_steps_that_are_no_graph(folder: Path):
    def sorting(state: Any, batch: Any) -> Any:
        xp = array_namespace(state)
        return xp.sort(state + 0.1 * batch[0][0, ...]), xp.sum(state)

    training = Training(sorting, RNG.normal(size=6), FakeGpu(folder))
    with pytest.warns(PlannerWarning, match="no graph can hold"):
        training.go((X,), ORDER, 0, 10)
    training.go((X,), None, 0, 10)
