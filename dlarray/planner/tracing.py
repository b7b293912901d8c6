"""A step traced: run on symbols, once, and what comes of it as a plan with the trees of what goes in and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any, cast

import numpy as np

from dlarray.planner.captured import is_plain
from dlarray.planner.graph import Graph
from dlarray.planner.memory import Plan, make_plan
from dlarray.planner.namespace import Namespace
from dlarray.planner.node import Node, UntraceableError
from dlarray.planner.symbols import Symbol
from dlarray.planner.trees import Tree, builder, flatten, unflatten

__all__ = ["Traced", "trace", "traced", "without_numbers"]

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
    leaves: list[Any] = []
    structures = [flatten(state, leaves)]
    moving = len(leaves)
    structures.append(flatten(batch, leaves))
    for kind in {cast("Any", type(leaf)) for leaf in leaves}:
        if not (is_plain(kind) or issubclass(kind, np.generic)):
            raise UntraceableError(f"the step is given a {kind.__name__}: a plan is one of plain arrays")
    graph = Graph(leaves[:moving])
    Namespace(graph)
    inputs = [graph.input(i, a.shape, a.dtype) for i, a in enumerate(leaves)]
    symbols = iter([_symbol(graph, n, a, i >= moving) for i, (n, a) in enumerate(zip(inputs, leaves, strict=True))])
    try:
        result = step(*(unflatten(s, symbols) for s in structures))
        made: list[Any] = []
        structure = flatten(result, made, (Symbol, np.ndarray, np.generic))
        outputs = [m.node if isinstance(m, Symbol) else graph.lift(m) for m in made]
        if moving and isinstance(result, tuple):
            _refuse_shared(graph, result[0])
    except Exception as error:  # NumPy's, where it was refused a number
        raise graph.refused or error from None
    finally:
        graph.is_closed = True
    if graph.refused is not None:
        raise graph.refused
    del result, made  # whoever holds an array now is none of the step's
    graph.captured.settle()
    return graph, inputs, structure, outputs, moving


def _refuse_shared(graph: Graph, state: Any) -> None:
    """The next step of a plan writes each of the state's arrays by itself."""
    arrays: list[Symbol] = []
    flatten(state, arrays, (Symbol,))
    if any(a.overlaps(b) for a, b in combinations(arrays, 2)):
        graph.refuse("two arrays of the state that the step returns share memory: let one of them be a copy")


def _symbol(graph: Graph, node: Node, leaf: Any, lent: bool) -> Symbol:
    """A symbol for an argument. The state's numbers and arrays without axes have one plan, so they are either."""
    return Symbol(graph, node, lent=lent, number=None if not (lent or node.shape) else isinstance(leaf, np.generic))


def without_numbers(step: _Step) -> _Step:
    """The step of a library whose arrays stay arrays where they have no axes, as CuPy's and torch's do."""

    def run(state: Any, batch: Any) -> Any:
        symbols: list[Any] = []
        flatten((state, batch), symbols, (Symbol,))
        for symbol in symbols:
            symbol.graph.numbers = False
        return step(state, batch)

    return run


def _part(structure: Any, i: int) -> Any:
    """What a pair has in one of its places."""
    if structure is None or structure[0] is not tuple or len(structure[2]) != 2:
        return "none"
    return structure[2][i]
