"""Indexing of symbols: reading, assignment, and whether the result is a view.

An index of integers, slices, None and an ellipsis is a view in the graph. An index by arrays, lists or symbols is an
eager call; NumPy finds its shape with meaningless sample indices, so a computed mask is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Any, cast

import numpy as np

from dlarray.planner.trace.calls import Call, extract_arrays
from dlarray.planner.trace.graph import Graph
from dlarray.planner.trace.node import Node

__all__ = ["assigned", "is_basic", "is_view", "item", "updated_at"]


def is_basic(key: Any) -> bool:
    """Whether this part of an index gives a view: an integer, a slice, None or an ellipsis."""
    return key is None or key is Ellipsis or (isinstance(key, (int, slice, np.integer)) and not isinstance(key, bool))


def is_view(graph: Graph, keys: tuple[Any, ...]) -> bool:
    """Whether an index that is not basic can still give a view.

    NumPy takes a view if computed indices are scalars, and a copy if they are arrays, even 0-d ones.
    """
    others = [key for key in keys if not is_basic(key)]
    return all(
        not isinstance(key, (bool, np.bool_, np.ndarray, list, tuple))
        and not key.shape
        and (key.is_scalar is not False or not graph.has_scalars)
        for key in others
    )


def item(graph: Graph, x: Node, keys: tuple[Any, ...]) -> Node:
    """x[keys] by arrays, lists, bools or symbols."""
    nodes = _lifted(graph, keys)
    if any(n.dtype == bool and n.op not in ("array", "full") for n in nodes if isinstance(n, Node)):
        graph.refuse("an array is indexed by a mask, so the result's shape depends on its numbers: use where")
    return graph.call(_item, [x, *nodes])


def assigned(graph: Graph, x: Node, key: Any, value: Any) -> Node:
    """x after ``x[key] = value``, in x's type and shape."""
    keys = cast("tuple[Any, ...]", key) if isinstance(key, tuple) else (key,)
    if not _is_everything(keys):
        return _of_the_same_kind(graph, x, _assigned, x, graph.lift(value), *_lifted(graph, keys))
    new = graph.cast(graph.lift(value), x.dtype) if not isinstance(value, (int, float)) else value
    if isinstance(new, Node) and len(new.shape) > len(x.shape):  # NumPy drops axes of length 1 in front
        extra = len(new.shape) - len(x.shape)
        if any(n != 1 for n in new.shape[:extra]):
            raise ValueError(f"an array of shape {new.shape} cannot be assigned to one of shape {x.shape}")
        new = graph.reshape(new, new.shape[extra:])
    if not isinstance(new, Node):
        return graph.full(x.shape, new, x.dtype)
    return graph.pointwise("where", graph.full(x.shape, True, bool), new, graph.full(x.shape, 0, x.dtype))


def updated_at(graph: Graph, ufunc: np.ufunc, x: Node, key: Any, values: list[Any]) -> Node:
    """x after ``ufunc.at(x, key, …)``: the ufunc once for each index, also for repeated ones."""
    keys = cast("tuple[Any, ...]", key) if isinstance(key, tuple) else (key,)
    return _of_the_same_kind(graph, x, _updated_at, ufunc, x, tuple(_lifted(graph, keys)), *map(graph.lift, values))


def _of_the_same_kind(graph: Graph, x: Node, function: Callable[..., Any], *args: Any) -> Node:
    """An eager call whose result has x's shape and type, for any index."""
    nodes: list[Node] = []
    call = Call(function, extract_arrays((args, {}), nodes, (Node,)))
    return graph.known_call(call, nodes, x.shape, x.dtype)


def _is_everything(keys: tuple[Any, ...]) -> bool:
    if len(keys) == 1 and isinstance(keys[0], slice):
        return cast("Any", keys[0]) == slice(None)
    return not keys or (len(keys) == 1 and keys[0] is Ellipsis)


def _lifted(graph: Graph, keys: tuple[Any, ...]) -> list[Any]:
    """The parts of an index, with nodes for arrays and symbols. A list of symbols is stacked."""
    return [_lifted_one(graph, key) for key in keys]


def _lifted_one(graph: Graph, key: Any) -> Any:
    if isinstance(key, slice):
        part = cast("slice[Any, Any, Any]", key)
        return slice(*(None if end is None else index(end) for end in (part.start, part.stop, part.step)))
    if is_basic(key):
        return key
    return graph.lift(graph.namespace.asarray(key).node)


def _item(x: Any, *key: Any) -> Any:
    return x[key]


def _updated_at(ufunc: np.ufunc, x: Any, key: Any, *values: Any) -> Any:
    y = x.copy()
    ufunc.at(y, key, *values)
    return y


def _assigned(x: Any, value: Any, *key: Any) -> Any:
    y = x.copy()
    y[key] = value
    return y
