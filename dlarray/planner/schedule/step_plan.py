"""A step's plan: the plan of its graph, with the structures of its arguments and its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dlarray.core.trees import flatten
from dlarray.planner.schedule.memory import Plan, make_plan
from dlarray.planner.trace.captured import Library
from dlarray.planner.trace.node import Node
from dlarray.planner.trace.trace import Step, trace

__all__ = ["StepPlan", "plan_step"]


@dataclass(frozen=True)
class StepPlan:
    """The plan of ``step(state, batch) -> (state, loss)`` for arrays of some shapes and dtypes."""

    plan: Plan
    inputs: list[Node]
    state_count: int
    """How many of the inputs are the state's; the rest are the batch's."""
    input_structures: tuple[Any, Any]
    """The structures of state and batch."""
    output_structure: Any
    """The structure of the result."""

    @property
    def keeps_state(self) -> bool:
        """Whether each array of the state can stay in memory: the next state has its structure, shapes and dtypes."""
        return (
            _part(self.output_structure, 0) == self.input_structures[0] and len(self.plan.donated) == self.state_count
        )

    @property
    def loss_structure(self) -> Any:
        """The structure of the loss."""
        return _part(self.output_structure, 1)


def plan_step(step: Step, state: Any, batch: Any, library: Library | None = None) -> StepPlan:
    """The plan of a step for NumPy arrays like these, of which only shapes and dtypes are read.

    The step can close over arrays of ``library``.
    An array of the state is donated if the next one has its shape and dtype. Raises what tracing raises.
    """
    given = (flatten(state, []), flatten(batch, []))
    graph, inputs, structure, outputs, moving = trace(step, state, batch, library)
    donated = {
        i: inputs[i]
        for i in range(moving if _part(structure, 0) == given[0] else 0)
        if outputs[i].shape == inputs[i].shape and outputs[i].dtype == inputs[i].dtype
    }
    return StepPlan(make_plan(graph, outputs, donated), inputs, moving, given, structure)


def _part(structure: Any, i: int) -> Any:
    """The structure of one item of a pair."""
    if structure is None or structure[0] is not tuple or len(structure[2]) != 2:
        return "none"
    return structure[2][i]
