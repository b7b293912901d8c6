"""The time of each unit of a step, on a GPU whose clock is set by the test."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.device.description import Names
from dlarray.planner import PlannerWarning
from dlarray.planner.cuda.profiling import profile
from dlarray.planner.cuda.program import Settings
from tests.support.gpu import WatchedGpu, to_gpu, to_host


def first() -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, 20)).astype("f4")
    return dl.first_step(dl.mlp(20, 64, 32, 5), x, rng.integers(0, 5, 24), batch_size=24)


def cost(done: list[Any]) -> float:
    """A microsecond for a launch, and ten for a product without an epilogue."""
    return sum(1e-5 if what[:2] == ("product", "") else 1e-6 for what in done)


def test_works_and_times(gpu: WatchedGpu):
    step, state, batch = first()
    before = copy.deepcopy(state)
    given = to_gpu(state)
    gpu.cost = cost
    found = profile(step, given, to_gpu(batch), Names(), gpu, Settings(graph=False), "cuda:0")
    np.testing.assert_array_equal(to_host(given["theta"][0]), before["theta"][0])  # it was done on copies
    works = [(work.title, seconds) for work, seconds in zip(found.description.works, found.works, strict=True)]
    fused = {title: seconds for title, seconds in works if ", relu" in title or ", bias gradient" in title}
    assert len(fused) == 5  # two rectifiers there and back, and the last layer's bias gradient
    assert set(fused.values()) == {1e-6}
    alone = [seconds for title, seconds in works if title.startswith("product") and title not in fused]
    assert sorted(alone) == pytest.approx([0, 0, 0, 0, 1e-5, 1e-5, 1e-5])  # four are done with the kernel behind them
    assert found.step == pytest.approx(sum(found.works))


def test_a_fused_product_moves_less(gpu: WatchedGpu):
    step, state, batch = first()
    gpu.cost = cost
    plain, fused = (
        profile(step, to_gpu(state), to_gpu(batch), Names(), gpu, Settings(wanted), "cuda:0")
        for wanted in (False, True)
    )
    product, kernel = plain.description.works[:2]
    both = fused.description.works[1]
    assert both.kind == "product"
    assert both.flops == product.flops + kernel.flops
    assert both.nbytes == product.nbytes + kernel.nbytes - 2 * 24 * 64 * 4
    assert both.formulas == (*product.formulas, *kernel.formulas)


def test_a_step_without_a_plan(gpu: WatchedGpu):
    def unplanned(state: Any, batch: Any) -> Any:
        return state * float(np.sum(batch)), np.sum(batch)

    arrays = to_gpu(np.ones(3, np.float32)), to_gpu(np.ones(3, np.float32))
    with pytest.warns(PlannerWarning, match="cannot be traced"), pytest.raises(ValueError, match="no plan"):
        profile(unplanned, *arrays, Names(), gpu, Settings(), "cuda:0")
