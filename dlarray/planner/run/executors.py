"""The executors by name."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from dlarray.core.check import one_of
from dlarray.planner.kernel.loops import Executor
from dlarray.planner.numba import executor as numba_executor
from dlarray.planner.numba.executor import numba_loops
from dlarray.planner.numpy.ufuncs import ufuncs
from dlarray.planner.run.programs import warn

__all__ = ["executor_named", "fastest"]

EXECUTORS: dict[str, Executor] = {"ufuncs": ufuncs, "numba": numba_loops}
"""Numba is imported when the first kernel is bound."""


def executor_named(executor: str | Executor) -> Executor:
    """The executor of this name, or the executor itself. Raises ValueError if there is no such name."""
    return EXECUTORS[one_of("executor", executor, EXECUTORS)] if isinstance(executor, str) else executor


def fastest() -> str:
    """The name of the fastest executor that works here; a warning if Numba is installed and cannot be imported."""
    return "numba" if numba_executor.available() and _numba_works() else "ufuncs"


@cache
def _numba_works() -> bool:
    try:
        import_module("numba")  # it may be too old for this NumPy
    except ImportError as error:
        warn(f"Numba is installed, and cannot be imported: {error}. Steps run through NumPy's ufuncs, which is slower")
        return False
    return True
