"""The benchmark of sums over ranks: a step without ranks and the same one with starts and waits."""

from __future__ import annotations

import warnings

import pytest

from dlarray.bench import Case
from dlarray.planner import PlannerWarning
from tests.support.scripts import script

program = script("scaling_overlap")


def test_both_steps_are_planned_and_measured() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", PlannerWarning)
        times = program.measure(Case.named("6-5-3x8"), 0.01)
    assert times.ranks == 1
    assert min(times.whole, times.split) > 0
    assert times.overlapped is None
    assert "split, without communication" in str(times)


def test_what_overlap_hides() -> None:
    text = str(program.Times("6-5-3x8", 2, 1.0, 1.04, 2.04, 1.29))
    assert "+4.0%" in text
    assert "sums 1000.000 ms" in text
    assert "hidden 75%" in text


@pytest.mark.parametrize("sums", [0.0, -0.1])
def test_sums_that_take_no_time_have_no_hidden_part(sums: float) -> None:
    assert "hidden" not in str(program.Times("6-5-3x8", 2, 1.0, 1.0, 1.0 + sums, 1.0))
