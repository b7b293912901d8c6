"""ONNX's own operators in place of three formulas: Relu, Softmax and ArgMax.

Runtimes have one fast kernel for each of them, and compilers for other hardware look for them. The check of the graph
against the model comes afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dlarray.onnx.libraries import library

__all__ = ["use_operators"]

SMALL = 1024  # elements; larger constants are weights


def use_operators(proto: Any) -> None:
    """Replace the formulas of these operators in a model, in place, and remove nodes and constants without a use."""
    graph = proto.graph
    formulas = _Formulas(graph)
    nodes = [formulas.operator(node) or node for node in graph.node]
    wanted = {value.name for value in graph.output}
    kept: list[Any] = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    constants = [x for x in graph.initializer if x.name in wanted]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)


class _Formulas:
    """The formulas of a graph, found by the node that computes their result."""

    def __init__(self, graph: Any) -> None:
        helper = library("onnx").numpy_helper
        self._nodes: dict[str, Any] = {name: node for node in graph.node for name in node.output}
        self._constants: dict[str, np.ndarray] = {
            x.name: helper.to_array(x) for x in graph.initializer if np.prod(list(x.dims), dtype=np.int64) <= SMALL
        }
        self._outputs = {value.name for value in graph.output}
        self._readers: dict[str, set[str]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, set()).add(node.op_type)

    def operator(self, node: Any) -> Any | None:
        """The operator that computes what this node does; None if there is none."""
        make = library("onnx").helper.make_node
        if (x := self._relu(node)) is not None:
            return make("Relu", [x], list(node.output), name=node.name)
        if (x := self._softmax(node)) is not None:
            return make("Softmax", [x], list(node.output), name=node.name, axis=-1)
        if (x := self._argmax(node)) is not None:
            return make("ArgMax", [x], list(node.output), name=node.name, axis=1, keepdims=0)
        return None

    def _relu(self, node: Any) -> str | None:
        """max(x, 0): the name of x."""
        if node.op_type != "Max" or len(node.input) != 2:
            return None
        x, zero = node.input
        return x if self._equals(zero, 0) else None

    def _softmax(self, node: Any) -> str | None:
        """e / Σ e with e = exp(x - max x) over the last of two axes: the name of x."""
        if node.op_type != "Div":
            return None
        e, total = node.input
        difference = self._inputs(e, "Exp")
        if self._reduced(total, "ReduceSum") != e or difference is None:
            return None
        parts = self._inputs(difference[0], "Sub")
        return parts[0] if parts and self._reduced(parts[1], "ReduceMax") == parts[0] else None

    def _argmax(self, node: Any) -> str | None:
        """The first column of the largest number of a row, as ``largest_column`` finds it: the name of the array."""
        index = node.output[0]
        if node.op_type != "Min" or index in self._outputs or not self._readers.get(index, set()) <= {"Gather", "Cast"}:
            return None
        where = self._inputs(self._reduced(node.input[0], "ReduceMin", keepdims=0), "Where")
        same = self._inputs(where[0], "Equal") if where else None
        if not where or not same or self._reduced(same[1], "ReduceMax") != same[0]:
            return None
        columns = self._constants.get(where[1], np.empty(0))
        count = columns.size
        ordered = np.array_equal(columns.reshape(-1), np.arange(count))
        return same[0] if ordered and self._equals(where[2], count) and self._equals(node.input[1], count - 1) else None

    def _inputs(self, name: str | None, op: str) -> Sequence[str] | None:
        """The inputs of the node that computes a value, if it is this operator."""
        node = self._nodes.get(name or "")
        return None if node is None or node.op_type != op else list(node.input)

    def _reduced(self, name: str, op: str, keepdims: int = 1) -> str | None:
        """What is reduced over its columns to this value, by this operator."""
        node = self._nodes.get(name)
        if node is None or node.op_type != op or not self._equals(node.input[1], *(1, -1)):
            return None
        return node.input[0] if _attribute(node.attribute, "keepdims", 1) == keepdims else None

    def _equals(self, name: str, *numbers: float) -> bool:
        """Whether a value is a constant of one element, which is one of these numbers."""
        x = self._constants.get(name)
        return x is not None and x.size == 1 and x.reshape(-1)[0] in numbers


def _attribute(attributes: Iterable[Any], name: str, default: int) -> int:
    return next((part.i for part in attributes if part.name == name), default)
