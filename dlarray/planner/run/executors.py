"""The executors by name."""

from __future__ import annotations

from functools import cache

from dlarray.core.check import one_of
from dlarray.planner.kernel.loops import Executor
from dlarray.planner.native import executor as native_executor
from dlarray.planner.native.executor import native
from dlarray.planner.native.module import Module, host
from dlarray.planner.numpy.ufuncs import ufuncs
from dlarray.planner.run.programs import warn

__all__ = ["executor_named", "fastest", "steps_per_execution"]

EXECUTORS: dict[str, Executor] = {"ufuncs": ufuncs, "native": native}
"""llvmlite is imported when the first step is bound."""


def executor_named(executor: str | Executor) -> Executor:
    """The executor of this name, or the executor itself. Raises ValueError if there is no such name."""
    return EXECUTORS[one_of("executor", executor, EXECUTORS)] if isinstance(executor, str) else executor


def fastest() -> str:
    """The name of the fastest executor that works here; a warning if llvmlite is installed and cannot be used."""
    return "native" if native_executor.available() and _llvm_works() else "ufuncs"


def steps_per_execution() -> int:
    """How many steps ``Compiled.repeat`` should do in one call: as many as it can if that saves time, else 1."""
    return 2**16 if fastest() == "native" else 1


@cache
def _llvm_works() -> bool:
    try:
        Module(["define void @nothing() {\n  ret void\n}"], [], host())
    except Exception as error:  # too old, or for another CPU
        warn(f"llvmlite is installed, and cannot be used: {error}. Steps run through NumPy's ufuncs, which is slower")
        return False
    return True
