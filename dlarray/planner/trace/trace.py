"""Tracing: a step runs once on symbols, which records its graph."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any, cast

import numpy as np

from dlarray.core.trees import flatten, unflatten
from dlarray.planner.trace.captured import Library, is_ndarray
from dlarray.planner.trace.graph import Graph
from dlarray.planner.trace.namespace import Namespace
from dlarray.planner.trace.node import Node, UntraceableError
from dlarray.planner.trace.symbols import Symbol

__all__ = ["Step", "trace", "without_scalars"]

Step = Callable[[Any, Any], Any]


def trace(
    step: Step, state: Any, batch: Any, library: Library | None = None
) -> tuple[Graph, list[Node], Any, list[Node], int]:
    """Run a step on symbols; it can close over arrays of ``library``.

    Returns the graph, its inputs, the structure of the result, its leaves, and how many inputs are the state's.
    """
    leaves: list[Any] = []
    structures = [flatten(state, leaves)]
    state_count = len(leaves)
    structures.append(flatten(batch, leaves))
    for kind in {cast("Any", type(leaf)) for leaf in leaves}:
        if not (is_ndarray(kind) or issubclass(kind, np.generic)):
            raise UntraceableError(f"the step is given a {kind.__name__}: a plan takes NumPy arrays")
    graph = Graph(leaves[:state_count], library)
    Namespace(graph)
    inputs = [graph.input(i, a.shape, a.dtype) for i, a in enumerate(leaves)]
    symbols = iter(
        [_symbol(graph, n, a, i >= state_count) for i, (n, a) in enumerate(zip(inputs, leaves, strict=True))]
    )
    try:
        result = step(*(unflatten(s, symbols) for s in structures))
        made: list[Any] = []
        structure = flatten(result, made, (Symbol, np.ndarray, np.generic, *graph.captured.kinds))
        outputs = [m.node if isinstance(m, Symbol) else graph.lift(m) for m in made]
        if state_count and isinstance(result, tuple):
            _refuse_shared(graph, result[0])
    except Exception as error:  # NumPy's, because a number was refused
        raise graph.refused or error from None
    finally:
        graph.is_closed = True
    if graph.refused is not None:
        raise graph.refused
    del result, made  # references that remain now are not the step's
    graph.captured.freeze()
    return graph, inputs, structure, outputs, state_count


def _refuse_shared(graph: Graph, state: Any) -> None:
    """Refuse a new state whose arrays share memory: the plan writes each of them separately."""
    arrays: list[Symbol] = []
    flatten(state, arrays, (Symbol,))
    by_memory: dict[int, list[Symbol]] = {}
    for array in arrays:
        by_memory.setdefault(array.memory, []).append(array)
    if any(a.overlaps(b) for views in by_memory.values() for a, b in combinations(views, 2)):
        graph.refuse("two arrays of the state that the step returns share memory: copy one of them")


def _symbol(graph: Graph, node: Node, leaf: Any, read_only: bool) -> Symbol:
    """A symbol for an argument. A scalar and a 0-d array of the state have the same plan, so it can be either."""
    return Symbol(
        graph,
        node,
        read_only=read_only,
        is_scalar=None if not (read_only or node.shape) else isinstance(leaf, np.generic),
    )


def without_scalars(step: Step) -> Step:
    """The step of a library that has no scalars: its results without axes are 0-d arrays, as in CuPy and torch."""

    def run(state: Any, batch: Any) -> Any:
        symbols: list[Any] = []
        flatten((state, batch), symbols, (Symbol,))
        for symbol in symbols:
            symbol.graph.has_scalars = False
        return step(state, batch)

    return run
