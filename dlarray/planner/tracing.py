"""A step traced: run on symbols, once, and what comes of it as a plan with the trees of what goes in and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray.planner.graph import Graph
from dlarray.planner.memory import Plan, make_plan
from dlarray.planner.namespace import Namespace
from dlarray.planner.node import Node
from dlarray.planner.symbols import Symbol
from dlarray.planner.trees import Tree, builder, flatten, unflatten

__all__ = ["Traced", "trace", "traced"]

_Step = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Traced:
    """The plan of ``step(state, batch) -> (state, loss)`` for arrays of some shapes and dtypes."""

    plan: Plan
    inputs: list[Node]
    moving: int
    """How many of the inputs are the state's; the rest are the batch's."""
    given: tuple[Any, Any]
    """The structures of what the step is given."""
    structure: Any
    """That of what it gives."""

    @property
    def keeps_state(self) -> bool:
        """Whether each of the state's arrays may stay where it is: the next one has its place, shape and dtype."""
        return _part(self.structure, 0) == self.given[0] and len(self.plan.donated) == self.moving

    def loss_builder(self) -> Callable[[list[Any]], Tree]:
        """The loss from its leaves."""
        return builder(_part(self.structure, 1))


def traced(step: _Step, state: Any, batch: Any) -> Traced:
    """The plan of a step for such arrays of NumPy, which are looked at for shape and dtype alone.

    The state is donated where it leaves the step as it came. Raises what tracing raises.
    """
    given = (flatten(state, []), flatten(batch, []))
    graph, inputs, structure, outputs, moving = trace(step, state, batch)
    donated = {
        i: inputs[i]
        for i in range(moving if _part(structure, 0) == given[0] else 0)
        if outputs[i].shape == inputs[i].shape and outputs[i].dtype == inputs[i].dtype
    }
    return Traced(make_plan(graph, outputs, donated), inputs, moving, given, structure)


def trace(step: _Step, state: Any, batch: Any) -> tuple[Graph, list[Node], Any, list[Node], int]:
    """Run a step on symbols.

    Returns the graph, its inputs, the structure of what comes out, its leaves, and how many inputs are the state's.
    """
    graph = Graph()
    Namespace(graph)
    leaves: list[Any] = []
    structures = [flatten(state, leaves)]
    moving = len(leaves)
    structures.append(flatten(batch, leaves))
    inputs = [graph.input(i, a.shape, a.dtype) for i, a in enumerate(leaves)]
    symbols = iter([Symbol(graph, n, lent=i >= moving) for i, n in enumerate(inputs)])
    result = step(*(unflatten(s, symbols) for s in structures))
    made: list[Any] = []
    structure = flatten(result, made, (Symbol, np.ndarray, np.generic))
    outputs = [m.node if isinstance(m, Symbol) else graph.lift(m) for m in made]
    return graph, inputs, structure, outputs, moving


def _part(structure: Any, i: int) -> Any:
    """What a pair has in one of its places."""
    if structure is None or structure[0] is not tuple or len(structure[2]) != 2:
        return "none"
    return structure[2][i]
