"""The time of a step on a GPU and of each of its units, by the GPU's clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from dlarray.core.trees import flatten, unflatten
from dlarray.device.description import Description, Names, Work
from dlarray.device.timing import Timings
from dlarray.planner.cuda.epilogues import Fused
from dlarray.planner.cuda.gpu import Gpu
from dlarray.planner.cuda.program import GpuProgram, Settings
from dlarray.planner.cuda.step import GpuStep
from dlarray.planner.run.signature import signature
from dlarray.planner.schedule.memory import Plan

__all__ = ["profile"]

_Step = Callable[[Any, Any], Any]


def profile(step: _Step, state: Any, batch: Any, names: Names, gpu: Gpu, settings: Settings, device: str) -> Timings:
    """The times of a step on copies of these arrays of a GPU. Raises ValueError if the step has no plan.

    Each unit is repeated alone, so its arrays can be in the GPU's cache, unlike in the step. The kernel that is
    computed in the epilogue of a product has the time 0.
    """
    compiled = GpuStep(step, gpu, settings)
    leaves: list[Any] = []
    structure = flatten(state, leaves, gpu.arrays)
    copies = [_copied(gpu, x) for x in leaves]
    own = unflatten(structure, iter(copies))
    compiled(own, batch)  # makes and checks the plan
    given: list[Any] = []
    batch_structure = flatten(batch, given, gpu.arrays)
    program = compiled.program_for(own, batch_structure, signature(given))
    if program is None or not compiled.takes(program, own, given):
        raise ValueError("the step has no plan and runs eagerly; the PlannerWarning says why")
    program.stage(given)
    whole = gpu.seconds(program.run)
    jobs = program.tuning.by_unit()
    times = tuple(gpu.seconds(jobs[unit]) if unit in jobs and jobs[unit].steps else 0.0 for unit in program.plan.units)
    return Timings(_as_done(program, names), times, whole, device)


def _copied(gpu: Gpu, x: Any) -> Any:
    made = gpu.empty(tuple(x.shape), x.dtype)
    gpu.write(gpu.address_of(made), gpu.to_host(x))
    return made


def _as_done(program: GpuProgram, names: Names) -> Description:
    """The plan's description. A product and the kernel in its epilogue are one work."""
    plan = program.plan
    found = program.describe(names)
    works = list(found.works)
    for i, unit in enumerate(plan.units):
        choice = program.tuning.chosen(unit)
        if isinstance(choice, Fused):
            works[i] = _fused(plan, choice, works, i)
    return replace(found, works=tuple(works))


def _fused(plan: Plan, choice: Fused, works: Sequence[Work], i: int) -> Work:
    product = works[plan.units.index(choice.unit)]
    title = f"{product.title}, {choice.epilogue}"
    if plan.units[i] is choice.unit:
        return replace(product, title=title)
    between = 2 * choice.unit.outputs[0].nbytes  # the product, which is neither written nor read again
    return Work(
        "product",
        title,
        (*product.formulas, *works[i].formulas),
        product.operations + works[i].operations,
        product.flops + works[i].flops,
        product.nbytes + works[i].nbytes - between,
    )
