"""Python's operators on symbols, and their operands."""

from __future__ import annotations

from typing import Any

from dlarray.core.ranks import Ranks
from dlarray.planner.trace.collectives import collective
from dlarray.planner.trace.graph import Graph
from dlarray.planner.trace.node import Node

__all__ = ["Operators", "invert", "operand"]


class Operators:
    """The operators of an array. ``computed`` makes their result, ``updated`` that of augmented assignment."""

    graph: Graph
    node: Node

    def computed(self, node: Node) -> Any:
        """A new array, or a scalar."""
        raise NotImplementedError

    def updated(self, node: Node) -> Any:
        """The array itself with other values, or another scalar."""
        raise NotImplementedError

    def over_ranks(self, name: str, ranks: Ranks, *arguments: Any) -> Any:
        """The result of a method of ``Ranks``: a new array."""
        return self.computed(collective(self.graph, name, ranks, self.node, arguments))

    def __matmul__(self, other: Any) -> Any:
        return self.graph.namespace.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return self.graph.namespace.matmul(other, self)

    def __imatmul__(self, other: Any) -> Any:
        return self.updated(self.graph.namespace.matmul(self, other).node)

    def __pow__(self, other: Any) -> Any:
        return self.computed(_power(self.graph, self.node, operand(other)))

    def __ipow__(self, other: Any) -> Any:
        return self.updated(_power(self.graph, self.node, operand(other)))

    def __rpow__(self, other: Any) -> Any:
        return self.computed(self.graph.pointwise("power", operand(other), self.node))

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other  # type: ignore[operator]  # defined below

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __neg__(self) -> Any:
        return self.computed(self.graph.pointwise("negative", self.node))

    def __pos__(self) -> Any:
        return self.graph.namespace.positive(self)

    def __abs__(self) -> Any:
        return self.computed(self.graph.pointwise("absolute", self.node))

    def __invert__(self) -> Any:
        return self.computed(invert(self.graph, self.node))


def operand(value: Any) -> Any:
    """The node of a symbol; any other value unchanged."""
    return value.node if isinstance(value, Operators) else value


def invert(graph: Graph, x: Node) -> Node:
    """~x; of bools "not", as in NumPy."""
    return graph.pointwise("logical_not" if x.dtype == bool else "invert", x)


def _power(graph: Graph, x: Node, exponent: Any) -> Node:
    """x ** exponent, with the faster functions that NumPy's operator uses for some Python numbers."""
    short = {2.0: "square", 1.0: "positive", 0.5: "sqrt", -1.0: "reciprocal"}
    if type(exponent) in (int, float) and x.dtype.kind == "f" and x.shape and exponent in short:
        return graph.pointwise(short[exponent], x)
    return graph.pointwise("power", x, exponent)


_OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "left_shift",
    "rshift": "right_shift",
}
_COMPARISONS = {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
}


def _define(name: str, ufunc: str) -> None:
    def forward(self: Operators, other: Any) -> Any:
        if other is None or isinstance(other, str):
            if name in ("eq", "ne"):
                self.graph.refuse(f"an array is compared with {other!r}")
            return NotImplemented
        return self.computed(self.graph.pointwise(ufunc, self.node, operand(other)))

    def reflected(self: Operators, other: Any) -> Any:
        return self.computed(self.graph.pointwise(ufunc, operand(other), self.node))

    def in_place(self: Operators, other: Any) -> Any:
        return self.updated(self.graph.pointwise(ufunc, self.node, operand(other)))

    setattr(Operators, f"__{name}__", forward)
    if name in _OPERATORS:
        setattr(Operators, f"__r{name}__", reflected)
        setattr(Operators, f"__i{name}__", in_place)


for _name, _ufunc in (_OPERATORS | _COMPARISONS).items():
    _define(_name, _ufunc)
