"""Checks of the harness itself: ranks know each other, and a failure of one rank is reported by its number."""

from __future__ import annotations

from typing import Any

import numpy as np

FAIL = ("one_rank_fails",)


def check_ranks_know_each_other(comm: Any) -> int:
    assert comm.allgather(comm.rank) == list(range(comm.size))
    return comm.size


def check_one_rank_fails(comm: Any) -> None:
    assert comm.rank != comm.size - 1, f"on purpose, on the last of {comm.size}"


def check_after_a_failure_all_is_as_before(comm: Any) -> float:
    total = np.empty(3)
    comm.Allreduce(np.full(3, comm.rank + 1.0), total)
    return float(total[0])
