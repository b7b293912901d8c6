"""Sums over ranks in planned steps on PyTorch's CPU: in the memory of the plan, with the eager step's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.trees import map_arrays
from tests.support.rank_steps import PLAIN, examples, over, own_rows, start
from tests.support.thread_ranks import ThreadRanks, on_ranks

pytest.importorskip("torch")


def trained(ranks: ThreadRanks, shard: bool, compiled: bool) -> Any:
    """The losses and θ of a few steps on tensors, and what the ranks have exchanged."""
    cpu = dl.device.resolve("torch")
    step = over(ranks, PLAIN, dl.Adam(0.01), shard)
    fast: Any = cpu.backend.compile(step) if compiled else step
    state, losses = map_arrays(start(step), cpu.asarray), list[float]()
    for i in range(4):
        state, loss = fast(state, map_arrays(own_rows(ranks, step, examples(9, i)), cpu.asarray))
        losses.append(float(loss))
    if compiled:
        assert None not in fast.planned.programs.values()
    return losses, dl.to_numpy(state["theta"][0]).copy(), ranks.log


@pytest.mark.parametrize("shard", [False, True])
def test_tensors_on_ranks(shard: bool) -> None:
    eager = on_ranks(2, lambda ranks: trained(ranks, shard, compiled=False))
    planned = on_ranks(2, lambda ranks: trained(ranks, shard, compiled=True))
    for one, other in zip(eager, planned, strict=True):
        np.testing.assert_allclose(other[0], one[0], rtol=1e-12)
        np.testing.assert_allclose(other[1], one[1], rtol=1e-12, atol=1e-14)
        assert other[2] == one[2]
    np.testing.assert_array_equal(planned[0][1], planned[1][1])
