"""The executors by name."""

from __future__ import annotations

from dlarray.core.check import one_of
from dlarray.planner.kernel.loops import Executor
from dlarray.planner.numba.executor import numba_loops
from dlarray.planner.numpy.ufuncs import ufuncs

__all__ = ["executor_named"]

EXECUTORS: dict[str, Executor] = {"ufuncs": ufuncs, "numba": numba_loops}
"""Numba is imported when the first kernel is bound."""


def executor_named(executor: str | Executor) -> Executor:
    """The executor of this name, or the executor itself. Raises ValueError if there is no such name."""
    return EXECUTORS[one_of("executor", executor, EXECUTORS)] if isinstance(executor, str) else executor
