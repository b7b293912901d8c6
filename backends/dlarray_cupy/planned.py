"""A step on CuPy's arrays through dlarray's planner: fused kernels, cublasLt, one CUDA graph.

Tested on an emulated GPU, not on a real one yet, so it is used on request only:
``fit(…, device="cuda", compile=True)``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any
from weakref import WeakValueDictionary

from dlarray.core.trees import flatten
from dlarray.device.description import Description, Names
from dlarray.device.timing import Timings
from dlarray.planner import PlannerWarning
from dlarray.planner.cuda.profiling import profile
from dlarray.planner.cuda.program import Settings, stand_in
from dlarray.planner.cuda.repeated import Repeated
from dlarray.planner.cuda.step import GpuStep, compile_on_gpu
from dlarray.planner.report.describe import describe
from dlarray.planner.schedule.step_plan import plan_step
from dlarray.planner.trace.trace import without_scalars
from dlarray_cupy.gpu import CupyGpu

__all__ = ["STAGES", "Planned", "planned", "repeated"]

_Step = Callable[[Any, Any], Any]


_gpus: WeakValueDictionary[int, CupyGpu] = WeakValueDictionary()
"""One object, and one workspace, for each GPU, as long as a compiled step uses it."""


def _gpu(number: int) -> CupyGpu:
    """The GPU with this number."""
    found = _gpus.get(number)
    if found is None:
        found = _gpus[number] = CupyGpu(number)
    return found


class Planned:
    """A step that is planned on the GPU of the state's arrays."""

    def __init__(self, step: _Step, settings: Settings) -> None:
        self.step = step
        self.settings = settings
        self._on: dict[int, GpuStep] = {}

    def __call__(self, state: Any, batch: Any) -> Any:
        """The next state and the loss. Consumes the state."""
        number = _number((state, batch))
        if number is None:
            return self.step(state, batch)
        with _current(number):
            return self.on(number)(state, batch)

    def on(self, number: int) -> GpuStep:
        """The step on a GPU."""
        if number not in self._on:
            gpu = _gpu(number)
            if gpu.no_products:
                what = "products are CuPy's and the step is no graph, because cublasLt is missing"
                warnings.warn(f"{what}: {gpu.no_products}", PlannerWarning, stacklevel=3)
            settings = replace(self.settings, graph=False) if gpu.no_products else self.settings
            self._on[number] = compile_on_gpu(self.step, gpu, settings)
        return self._on[number]

    def describe(self, state: Any, batch: Any, names: Names) -> Description:
        """A description of the plan for such arrays; nothing runs. Raises ValueError if there is none."""
        import cupy

        number = _number((state, batch))
        given = [stand_in(tree, (cupy.ndarray,)) for tree in (state, batch)]
        try:
            found = plan_step(without_scalars(self.step), *given, library=None if number is None else _gpu(number))
        except Exception as error:
            why = f"it cannot be traced: {type(error).__name__}: {error}"
            raise ValueError(f"the step has no plan and runs eagerly, because {why}") from error
        return describe(found.plan, found.input_structures, found.output_structure, names)

    def profile(self, state: Any, batch: Any, names: Names) -> Timings:
        """The time of the step on copies of such arrays, and of each part. Raises ValueError if it has no plan."""
        number = _number(state)
        if number is None:
            raise ValueError("the state has no arrays of CuPy")
        with _current(number):
            return profile(self.step, state, batch, names, _gpu(number), self.settings, f"cuda:{number}")


def planned(step: _Step, settings: Settings = Settings()) -> Planned:  # noqa: B008 - it is frozen
    """A faster ``step(state, batch) -> (state, loss)`` for arrays of CuPy. Consumes the state."""
    return Planned(step, settings)


def repeated(step: Planned, steps: int) -> Callable[..., tuple[Any, Any]]:
    """Up to ``steps`` steps as one graph: see ``dlarray.planner.cuda.repeated``."""
    made: dict[int, Repeated] = {}

    def run(state: Any, data: Any, order: Any, start: int, batch: int, count: int) -> tuple[Any, Any]:
        number = _number(state)
        if number is None:
            raise ValueError("the state has no arrays of CuPy")
        with _current(number):
            if number not in made:
                made[number] = Repeated(step.on(number), steps)
            return made[number](state, data, order, start, batch, count)

    return run


def _current(number: int) -> Any:
    """A ``with`` block in which CuPy allocates and launches on this GPU."""
    import cupy

    return cupy.cuda.Device(number)


def _number(tree: Any) -> int | None:
    """The number of the GPU that a tree's first array is on."""
    import cupy

    leaves: list[Any] = []
    flatten(tree, leaves, (cupy.ndarray,))
    return int(leaves[0].device.id) if leaves else None


def _eager(step: _Step) -> _Step:
    return step


STAGES: Mapping[str, Callable[[_Step], _Step]] = MappingProxyType(
    {
        "eager": _eager,
        "fused": partial(planned, settings=Settings(epilogues=False, graph=False)),
        "captured": partial(planned, settings=Settings(epilogues=False)),
        "epilogues": planned,
    }
)
"""Compilers of a step, from eager to all that there is, for measuring each stage."""
