"""A step that exchanges numbers with other ranks has no plan on a GPU: it runs eagerly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlarray.planner import PlannerWarning
from dlarray.planner.cuda.step import compile_on_gpu
from tests.support.gpu import WatchedGpu, to_gpu, to_host
from tests.support.recorded_ranks import Formula, Recorder


def descent(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
    return state - 0.5 * ranks.sum(x), xp.sum(state)


def test_a_step_over_ranks_runs_eagerly(gpu: WatchedGpu) -> None:
    ranks = Recorder()
    fast = compile_on_gpu(Formula(ranks, descent), gpu)
    with pytest.warns(PlannerWarning, match="exchanges numbers with other ranks, which a plan on a GPU does not do"):
        state, _ = fast(to_gpu(np.ones(3)), to_gpu(np.arange(3.0)))
    state, _ = fast(state, to_gpu(np.arange(3.0)))
    np.testing.assert_array_equal(to_host(state), 1 - 2 * np.arange(3.0))
    assert ranks.events == ["sum (3,)"] * 2
