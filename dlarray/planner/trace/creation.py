"""The functions of the symbols' namespace that make new arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any, cast

import numpy as np

from dlarray.core.trees import leaves
from dlarray.planner.trace.graph import Graph
from dlarray.planner.trace.operators import operand
from dlarray.planner.trace.symbols import Symbol, fresh

__all__ = ["Creation", "sizes_of"]


class Creation:
    """Functions that take no array, or take one only for its shape."""

    stack: Callable[..., Symbol]

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def full(self, shape: int | Sequence[int], fill_value: Any, *, dtype: Any = None, device: Any = None) -> Symbol:
        """An array with one number everywhere."""
        sizes = sizes_of(shape)
        if isinstance(fill_value, Symbol):
            value = self.graph.cast(fill_value.node, dtype or fill_value.dtype)
            anywhere = self.graph.full(sizes, True, bool)
            return fresh(
                self.graph, self.graph.pointwise("where", anywhere, value, self.graph.full((), 0, value.dtype))
            )
        return fresh(self.graph, self.graph.full(sizes, fill_value, dtype or np.asarray(fill_value).dtype))

    def zeros(self, shape: Any, *, dtype: Any = None, device: Any = None) -> Symbol:
        """An array of 0."""
        return self.full(shape, 0, dtype=dtype or np.float64)

    def ones(self, shape: Any, *, dtype: Any = None, device: Any = None) -> Symbol:
        """An array of 1."""
        return self.full(shape, 1, dtype=dtype or np.float64)

    empty = zeros

    def full_like(self, x: Any, fill_value: Any, dtype: Any = None, *, device: Any = None) -> Symbol:
        """An array of x's shape and type with one number everywhere."""
        node = self.graph.lift(operand(x))
        return self.full(node.shape, fill_value, dtype=dtype or node.dtype)

    def zeros_like(self, x: Any, dtype: Any = None, *, device: Any = None) -> Symbol:
        """An array of 0 of x's shape and type."""
        return self.full_like(x, 0, dtype=dtype)

    def ones_like(self, x: Any, dtype: Any = None, *, device: Any = None) -> Symbol:
        """An array of 1 of x's shape and type."""
        return self.full_like(x, 1, dtype=dtype)

    empty_like = zeros_like

    def arange(
        self, start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None
    ) -> Symbol:
        """Evenly spaced numbers; a kernel computes whole numbers from 0 itself."""
        if any(isinstance(bound, Symbol) for bound in (start, stop, step)):
            self.graph.refuse("the length of the result of arange depends on an array's numbers")
        if stop is None and step == 1 and isinstance(start, int) and start > 0 and np.dtype(dtype or int).kind in "iu":
            return fresh(self.graph, self.graph.index((start,), dtype or np.int64))
        bounds = (start,) if stop is None else (start, stop, step)
        return fresh(self.graph, self.graph.array(np.arange(*bounds, dtype=dtype)))

    def asarray(self, x: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Symbol:
        """An array of numbers, or of symbols in lists and tuples."""
        if isinstance(x, Symbol):
            if not copy and (dtype is None or x.dtype == np.dtype(dtype)):
                return fresh(self.graph, x.node) if x.is_scalar else x
            return fresh(self.graph, self.graph.cast(x.node, dtype or x.dtype))
        if isinstance(x, (list, tuple)) and _has_symbols(cast("Sequence[Any]", x)):
            made = self.stack([self.asarray(item) for item in cast("Sequence[Any]", x)])
            return made if dtype is None else self.asarray(made, dtype=dtype)
        if isinstance(x, (list, tuple, bool, int, float, complex, np.generic)):
            return fresh(self.graph, self.graph.array(np.asarray(cast("Any", x), dtype)))
        node = self.graph.lift(x)
        if copy or (dtype is not None and node.dtype != np.dtype(dtype)):
            return fresh(self.graph, self.graph.cast(node, dtype or node.dtype))
        return Symbol(self.graph, node, read_only=True)


def sizes_of(shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of ints. A symbol in it is refused."""
    if isinstance(shape, Sequence):
        return tuple([index(n) for n in cast("Sequence[Any]", shape)])
    return (index(shape),)


def _has_symbols(tree: Any) -> bool:
    return any(isinstance(leaf, Symbol) for leaf in leaves(tree))
