"""Runs many seeds; failures are shrunk and reported as source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tests.fuzz.networks import drawn
from tests.fuzz.programs import written
from tests.fuzz.sessions import Case, failure
from tests.fuzz.shrinking import is_failure, shrink

__all__ = ["case_of", "fuzz"]


def case_of(seed: int) -> Case:
    """The case of a seed: a network of the library's parts, or a program."""
    return drawn(seed) if seed % 10 == 9 else written(seed)


def fuzz(seeds: Iterable[int], executors: Sequence[str], whole: bool = False) -> tuple[list[str], Counter[str]]:
    """Reports of the failures, shrunk unless ``whole``, and how many cases had each outcome."""
    reports: list[str] = []
    counts: Counter[str] = Counter()
    for seed in seeds:
        case, check = case_of(seed), seed % 4 != 3
        for name in executors:

            def found(case: Any, name: str = name, check: bool = check) -> str:
                return failure(case, name, check)

            what = found(case)
            if is_failure(what):
                small: Any = case if whole else shrink(case, found)
                reports.append(f"seed {seed}, {name}, check={check}: {found(small)}\n{small.text()}\n")
                what = "failed"
            counts[what.split(":")[0] or "equal"] += 1
    return reports, counts
