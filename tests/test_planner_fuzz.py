"""Random programs, eager against planned: a part of what ``python -m tests.fuzz_planner`` runs."""

from __future__ import annotations

import pytest

from tests.fuzz_planner import EXECUTORS, Program, failure, fuzz, generate, shrink

PROGRAMS = 500


@pytest.mark.parametrize("name", EXECUTORS)
@pytest.mark.parametrize("first", range(0, PROGRAMS, 125))
def test_random_programs(name, first):
    reports, counts = fuzz(range(first, first + 125), [name])
    print(f"seeds {first} to {first + 124}, {name}: {counts}")
    assert not reports, "\n".join(reports)
    assert counts["equal"] > 90, counts


def test_a_wrong_plan_is_found_and_shrunk(monkeypatch):
    """The fuzzer itself: with a planner that lets scalars be read too early it must fail, in few instructions."""
    from dlarray.planner import memory

    monkeypatch.setattr(memory, "reaches", lambda start, goal: True)  # nothing is written in place
    assert all(failure(generate(seed), "ufuncs") in ("", "refused") for seed in range(20))
    monkeypatch.undo()
    monkeypatch.setattr(memory, "is_dense", lambda node: True)
    monkeypatch.setattr("dlarray.planner.lowering.Body.may_overwrite", lambda *_: True)
    broken = next(seed for seed in range(400) if failure(generate(seed), "blocks") not in ("", "refused"))
    small = shrink(generate(broken), "blocks")
    assert isinstance(small, Program)
    assert len(small.instructions) <= len(generate(broken).instructions)
    assert failure(small, "blocks") not in ("", "refused")
