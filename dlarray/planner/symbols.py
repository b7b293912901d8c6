"""Symbols: arrays without numbers, on which a step is run once to learn what it computes.

A symbol is a box around an immutable node, so ``y += b`` puts another node into the box and means what it means in
NumPy, as long as nobody else looks at the same memory. Who shares memory with whom is known by ``_Memory``: after one
of several views has been written, the others are stale and refuse to be read. What cannot be traced raises
``UntraceableError``; then the step runs eagerly, which is always right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, cast

import numpy as np

from dlarray.planner.graph import Graph
from dlarray.planner.ledger import Ledger
from dlarray.planner.node import Node, UntraceableError

__all__ = ["Symbol", "fresh", "invert", "operand"]


class _Memory:
    """What an array and its views have in common; ``version`` counts the writes.

    ``lent``: it is not the step's to write. What the step makes itself stands in a ledger for as long as it is there.
    """

    def __init__(self, lent: bool = False, ledger: Ledger | None = None, nbytes: int = 0) -> None:
        self.version = 0
        self.lent = lent
        self._ledger = ledger
        self._nbytes = nbytes
        if ledger is not None:
            ledger.take(nbytes)

    def __del__(self) -> None:
        if self._ledger is not None:
            self._ledger.give_back(self._nbytes)


class Symbol:
    """An array of known shape and dtype and unknown numbers."""

    __hash__ = None  # type: ignore[assignment]  # as NumPy's arrays
    device = "cpu"

    def __init__(self, graph: Graph, node: Node, memory: _Memory | None = None, lent: bool = False) -> None:
        self.graph = graph
        self._node = node
        self._memory = memory or _Memory(lent)
        self._version = self._memory.version

    @property
    def node(self) -> Node:
        """The value as it is now."""
        if self._version != self._memory.version:
            raise UntraceableError(
                "an array is read after another view of its memory was written: write it without aliasing"
            )
        return self._node

    def beside(self, node: Node) -> Symbol:
        """A symbol that looks at this one's memory."""
        return Symbol(self.graph, node, self._memory)

    def view(self, dtype: Any) -> Symbol:
        """NumPy's method: the same memory, read as another type."""
        return self.beside(self.graph.bits(self.node, dtype))

    def write(self, node: Node) -> Self:
        """Augmented assignment: the memory holds another value from now on."""
        if node.shape != self.shape:
            raise ValueError(f"a result of shape {node.shape} cannot be written into an array of shape {self.shape}")
        if not np.can_cast(node.dtype, self.dtype, "same_kind"):
            raise TypeError(f"a result of type {node.dtype} cannot be written into an array of type {self.dtype}")
        if self._memory.lent:
            raise UntraceableError("the step writes into an array that is no part of its state")
        _ = self.node  # refuses where it is stale
        self._node = self.graph.cast(node, self.dtype)
        self._memory.version += 1
        self._version = self._memory.version
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self._node.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers."""
        return self._node.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._node.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._node.size

    @property
    def T(self) -> Symbol:  # noqa: N802 - the standard's name
        """The array with its axes reversed."""
        return self.beside(self.graph.permute(self.node, tuple(reversed(range(self.ndim)))))

    @property
    def mT(self) -> Symbol:  # noqa: N802
        """The array with its last two axes exchanged."""
        return self.__array_namespace__().matrix_transpose(self)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d array")
        return self.shape[0]

    def __getitem__(self, key: Any) -> Symbol:
        keys = cast("tuple[Any, ...]", key) if isinstance(key, tuple) else (key,)
        if not all(map(_basic, keys)):
            return fresh(self.graph, self.graph.call(_item, [self.node, *(operand(k) for k in keys)]))
        node = self.graph.slice(self.node, keys)
        if not node.shape and Ellipsis not in keys:
            return fresh(self.graph, node)  # in NumPy a number of its own, no view
        return self.beside(node)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __setitem__(self, key: Any, value: Any) -> None:
        everything = key is Ellipsis or key == () or key == slice(None)
        if not everything:
            raise UntraceableError("part of an array is assigned: use where or concat")
        graph, new = self.graph, operand(value)
        spread = graph.pointwise(
            "where", graph.full(self.shape, True, bool), new, graph.full(self.shape, 0, self.dtype)
        )
        self.write(graph.cast(spread, self.dtype))

    def _no_value(self, *_: Any) -> Any:
        raise UntraceableError("the step decides by an array's value: use where")

    __bool__ = __float__ = __int__ = __index__ = __complex__ = item = tolist = _no_value

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise UntraceableError("the step asks for an array's numbers while it is traced")

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        """The namespace of symbols."""
        return self.graph.namespace

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **options: Any) -> Any:
        """NumPy's own functions, called on a symbol: ``np.exp(x)``."""
        if "out" in options or method in ("at", "accumulate", "reduceat"):
            raise UntraceableError(f"np.{ufunc.__name__} is called in a form that cannot be traced")
        return self.__array_namespace__().numpy(
            ufunc if method == "__call__" else getattr(ufunc, method), args, options
        )

    def __array_function__(self, function: Callable[..., Any], _: Any, args: Any, options: Any) -> Any:
        """As ``__array_ufunc__``, for what is no ufunc: ``np.concatenate([x, y])``."""
        return self.__array_namespace__().numpy(function, args, options)

    def __getattr__(self, name: str) -> Any:
        """NumPy's methods, ``x.sum(axis=0)``: the namespace's function of that name, or an eager call."""
        if name.startswith("_") or not callable(getattr(np.ndarray, name, None)):
            raise AttributeError(f"an array has no attribute {name!r} that could be traced")
        return self.__array_namespace__().method(self, name)

    def __matmul__(self, other: Any) -> Symbol:
        return self.__array_namespace__().matmul(self, other)

    def __rmatmul__(self, other: Any) -> Symbol:
        return self.__array_namespace__().matmul(other, self)

    def __pow__(self, other: Any) -> Symbol:
        return fresh(self.graph, _power(self.graph, self.node, operand(other)))

    def __ipow__(self, other: Any) -> Self:
        return self.write(_power(self.graph, self.node, operand(other)))

    def __rpow__(self, other: Any) -> Symbol:
        return fresh(self.graph, self.graph.pointwise("power", operand(other), self.node))

    def __neg__(self) -> Symbol:
        return fresh(self.graph, self.graph.pointwise("negative", self.node))

    def __pos__(self) -> Symbol:
        return fresh(self.graph, self.node)

    def __abs__(self) -> Symbol:
        return fresh(self.graph, self.graph.pointwise("absolute", self.node))

    def __invert__(self) -> Symbol:
        return fresh(self.graph, invert(self.graph, self.node))


def fresh(graph: Graph, node: Node) -> Symbol:
    """A symbol with memory of its own."""
    return Symbol(graph, node, _Memory(ledger=graph.ledger, nbytes=node.nbytes))


def _basic(key: Any) -> bool:
    """Whether this part of an index gives a view: an integer, a slice, None or an ellipsis."""
    return key is None or key is Ellipsis or (isinstance(key, (int, slice, np.integer)) and not isinstance(key, bool))


def operand(value: Any) -> Any:
    """The node of a symbol; any other value as it is."""
    return value.node if isinstance(value, Symbol) else value


def invert(graph: Graph, x: Node) -> Node:
    """~x: "not" for bools, as NumPy's invert has it."""
    return graph.pointwise("logical_not" if x.dtype == bool else "invert", x)


def _power(graph: Graph, x: Node, exponent: Any) -> Node:
    """x ** exponent with the short ways that NumPy's operator takes for plain numbers."""
    short = {2.0: "square", 1.0: "positive", 0.5: "sqrt", -1.0: "reciprocal"}
    if type(exponent) in (int, float) and x.dtype.kind == "f" and x.shape and exponent in short:
        return graph.pointwise(short[exponent], x)
    return graph.pointwise("power", x, exponent)


def _item(x: np.ndarray, *key: Any) -> np.ndarray:
    return np.array(x[key])


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
    def forward(self: Symbol, other: Any) -> Any:
        if other is None or isinstance(other, str):
            return NotImplemented
        return fresh(self.graph, self.graph.pointwise(ufunc, self.node, operand(other)))

    def reflected(self: Symbol, other: Any) -> Any:
        return fresh(self.graph, self.graph.pointwise(ufunc, operand(other), self.node))

    def in_place(self: Symbol, other: Any) -> Symbol:
        return self.write(self.graph.pointwise(ufunc, self.node, operand(other)))

    setattr(Symbol, f"__{name}__", forward)
    if name in _OPERATORS:
        setattr(Symbol, f"__r{name}__", reflected)
        setattr(Symbol, f"__i{name}__", in_place)


for _name, _ufunc in (_OPERATORS | _COMPARISONS).items():
    _define(_name, _ufunc)
