"""The time of each unit of a step, on a fake GPU whose clock is set by the test."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.device.description import Names
from dlarray.planner import PlannerWarning
from dlarray.planner.cuda.profiling import profile
from dlarray.planner.cuda.program import Settings
from tests.fakes.gpu import FakeGpu, to_fake
from tests.support import cuda

pytestmark = pytest.mark.skipif(not cuda.have_compiler(), reason="there is no g++")


def first() -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, 20)).astype("f4")
    return dl.first_step(dl.mlp(20, 64, 32, 5), x, rng.integers(0, 5, 24), batch_size=24)


def cost(done: list[Any]) -> float:
    """A microsecond for a launch, and ten for a product without an epilogue."""
    return sum(1e-5 if what == ("product", "", what[-1]) else 1e-6 for what in done)


def test_works_and_times(folder: Path):
    step, state, batch = first()
    before = copy.deepcopy(state)
    given = to_fake(state)
    gpu = FakeGpu(folder, cost)
    found = profile(step, given, to_fake(batch), Names(), gpu, Settings(graph=False), "fake")
    np.testing.assert_array_equal(given["theta"][0], before["theta"][0])  # it was done on copies
    works = [(work.title, seconds) for work, seconds in zip(found.description.works, found.works, strict=True)]
    fused = {title: seconds for title, seconds in works if ", relu" in title or ", bias gradient" in title}
    assert len(fused) == 5  # two rectifiers there and back, and the last layer's bias gradient
    assert set(fused.values()) == {1e-6}
    alone = [seconds for title, seconds in works if title.startswith("product") and title not in fused]
    assert sorted(alone) == pytest.approx([0, 0, 0, 0, 1e-5, 1e-5, 1e-5])  # four are done with the kernel behind them
    assert found.step == pytest.approx(sum(found.works))


def test_a_fused_product_moves_less(folder: Path):
    step, state, batch = first()
    plain, fused = (
        profile(step, to_fake(state), to_fake(batch), Names(), FakeGpu(folder, cost), Settings(wanted), "fake")
        for wanted in (False, True)
    )
    product, kernel = plain.description.works[:2]
    both = fused.description.works[1]
    assert both.kind == "product"
    assert both.flops == product.flops + kernel.flops
    assert both.nbytes == product.nbytes + kernel.nbytes - 2 * 24 * 64 * 4
    assert both.formulas == (*product.formulas, *kernel.formulas)


def test_a_step_without_a_plan(folder: Path):
    def unplanned(state: Any, batch: Any) -> Any:
        return state * float(np.sum(batch)), np.sum(batch)

    arrays = to_fake(np.ones(3, np.float32)), to_fake(np.ones(3, np.float32))
    with pytest.warns(PlannerWarning, match="cannot be traced"), pytest.raises(ValueError, match="no plan"):
        profile(unplanned, *arrays, Names(), FakeGpu(folder), Settings(), "fake")
