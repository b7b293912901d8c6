"""Random programs, eager and planned: a part of those that ``python -m tests.fuzz`` and ``tests.fuzz.exact`` run."""

from __future__ import annotations

import pytest

from dlarray.planner.native import executor as native_executor
from tests.fuzz import exact
from tests.fuzz.exact import EXECUTORS, Program, failure, generate, shrink
from tests.fuzz.running import fuzz

PROGRAMS = 250
SOURCES = 500


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SOURCES, 125))
def test_random_source(first: int):
    """Programs and networks as users write them, compared with NumPy's results of the same calls."""
    reports, counts = fuzz(range(first, first + 125), ["ufuncs"])
    print(f"seeds {first} to {first + 124}: {dict(counts)}")
    assert not reports, "\n".join(reports)
    assert counts["equal"] > 75, counts


@pytest.mark.skipif(not native_executor.available(), reason="there is no llvmlite")
def test_random_source_compiled():
    reports, counts = fuzz(range(1000, 1006), ["native"])
    assert not reports, "\n".join(reports)
    assert counts["equal"] > 2, counts


@pytest.mark.parametrize("name", EXECUTORS)
@pytest.mark.parametrize("first", range(0, PROGRAMS, 125))
def test_random_programs(name, first):
    reports, counts = exact.fuzz(range(first, first + 125), [name])
    print(f"seeds {first} to {first + 124}, {name}: {counts}")
    assert not reports, "\n".join(reports)
    assert counts["equal"] > 90, counts


def test_a_wrong_plan_is_found_and_shrunk(monkeypatch):
    """The fuzzer itself: if the planner reads scalars too early, it must find a failure of few instructions."""
    from dlarray.planner.schedule import memory

    monkeypatch.setattr(memory, "is_dense", lambda node: False)  # nothing is written in place
    assert all(failure(generate(seed), "ufuncs") in ("", "refused") for seed in range(20))
    monkeypatch.undo()
    monkeypatch.setattr(memory, "is_dense", lambda node: True)
    monkeypatch.setattr("dlarray.planner.schedule.lowering.Body.may_overwrite", lambda *_: True)
    broken = next(seed for seed in range(400) if failure(generate(seed), "blocks") not in ("", "refused"))
    small = shrink(generate(broken), "blocks")
    assert isinstance(small, Program)
    assert len(small.instructions) <= len(generate(broken).instructions)
    assert failure(small, "blocks") not in ("", "refused")
