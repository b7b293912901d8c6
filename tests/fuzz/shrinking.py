"""Shrinking a failure to a small program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["is_failure", "shrink"]

ATTEMPTS = 400


def is_failure(found: str) -> bool:
    """Whether a program has failed: not equal, not refused, and not invalid in NumPy."""
    return bool(found) and found != "refused" and not found.startswith("invalid")


def shrink(case: Any, failure: Callable[[Any], str]) -> Any:
    """A program that fails too, and from which nothing can be left out."""
    left = ATTEMPTS
    again = True
    while again and left > 0:
        again = False
        for less in case.simpler():
            left -= 1
            if left <= 0:
                break
            if is_failure(failure(less)):
                case, again = less, True
                break
    return case
