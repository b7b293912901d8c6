"""NumPy on the CPU: the backend that is always available."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlarray.backend import OneDevice
from dlarray.device.description import Description, Names
from dlarray.device.timing import Timings

__all__ = ["NumPyBackend", "backend"]


class NumPyBackend(OneDevice):
    """Arrays of NumPy."""

    name = "numpy"
    array_modules = ("numpy",)
    short_names = ("cpu",)
    compiles = True
    sums_in_plans = True
    uses_numpy_arrays = True
    shares_host_memory = True

    def namespace(self) -> Any:
        import array_api_compat.numpy as xp

        return xp

    def asarray(self, host: np.ndarray, handle: Any) -> np.ndarray:
        return np.array(host)

    def to_numpy(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x)  # a NumPy scalar is an array of no axes

    def compile(self, step: Callable[..., Any]) -> Callable[..., Any]:
        from dlarray.planner import compile as plan
        from dlarray.planner import fastest

        return plan(step, executor=fastest())

    def steps_per_execution(self, handle: Any) -> int:
        from dlarray.planner import steps_per_execution

        return steps_per_execution()

    def repeat(self, step: Callable[..., Any], steps: int) -> Callable[..., tuple[Any, np.ndarray]]:
        from dlarray.planner import Compiled, fastest
        from dlarray.planner import compile as plan

        return (step if isinstance(step, Compiled) else plan(step, executor=fastest())).repeat(steps)

    def accelerate(self, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        from dlarray.planner import accelerate, fastest

        return accelerate(function, executor=fastest())

    def csr_matrix(self, host: Any, handle: Any) -> Any:
        return host

    def describe(self, step: Callable[..., Any], state: Any, batch: Any, names: Names) -> Description:
        from dlarray.planner import plan

        return plan(step, state, batch).describe(names)

    def profile(
        self, step: Callable[..., Any], state: Any, batch: Any, names: Names, bursts: int, seconds: float
    ) -> Timings:
        from dlarray.planner import fastest, profile

        return profile(step, state, batch, names, fastest(), bursts, seconds)


backend = NumPyBackend()
