"""NCCL between processes that mpiexec has started, on emulated GPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.parallel.ranks import Outcome


@pytest.fixture
def outcomes(checks: Callable[..., Mapping[str, Outcome]], cupy: Any) -> Mapping[str, Outcome]:
    """Of two ranks."""
    from tests.parallel import nccl_checks  # it needs emulated GPUs

    return checks(nccl_checks, 2)


@pytest.mark.parametrize("check", ["ranks_train_as_one", "shards"])
def test_the_losses_are_those_of_one_rank(outcomes: Mapping[str, Outcome], check: str) -> None:
    first, second = outcomes[check].passed()
    assert first == second
    assert len(first) == 2


def test_an_error_on_one_rank_ends_all(outcomes: Mapping[str, Outcome]) -> None:
    first, second = outcomes["an_error_on_one_rank_ends_all"].passed()
    assert first == "RankError: rank 1 of 2 failed: ValueError: on purpose"
    assert second == "ValueError: on purpose"


def test_two_ranks_on_one_gpu_are_refused(outcomes: Mapping[str, Outcome]) -> None:
    for text in outcomes["one_gpu_for_two_ranks"].passed():
        assert "ranks 0 and 1 both train on GPU" in text
        assert "give device='cuda'" in text
