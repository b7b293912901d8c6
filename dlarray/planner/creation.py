"""The functions of the namespace of symbols that make new arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from dlarray.planner.graph import Graph
from dlarray.planner.symbols import Symbol, fresh, operand

__all__ = ["Creation"]


class Creation:
    """New arrays: the part of the namespace that takes none, or takes one only for its shape."""

    astype: Callable[..., Symbol]
    stack: Callable[..., Symbol]

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def full(self, shape: int | Sequence[int], fill_value: Any, *, dtype: Any = None, device: Any = None) -> Symbol:
        """An array with one number everywhere."""
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
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

    def full_like(self, x: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Symbol:
        """An array of x's shape and type with one number everywhere."""
        node = self.graph.lift(operand(x))
        return self.full(node.shape, fill_value, dtype=dtype or node.dtype)

    def zeros_like(self, x: Any, *, dtype: Any = None, device: Any = None) -> Symbol:
        """An array of 0 of x's shape and type."""
        return self.full_like(x, 0, dtype=dtype)

    def ones_like(self, x: Any, *, dtype: Any = None, device: Any = None) -> Symbol:
        """An array of 1 of x's shape and type."""
        return self.full_like(x, 1, dtype=dtype)

    empty_like = zeros_like

    def arange(
        self, start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None
    ) -> Symbol:
        """Counting; in whole numbers from 0 a kernel counts for itself."""
        if stop is None and step == 1 and isinstance(start, int) and start > 0 and np.dtype(dtype or int).kind in "iu":
            return fresh(self.graph, self.graph.index((start,), dtype or np.int64))
        bounds = (start,) if stop is None else (start, stop, step)
        return fresh(self.graph, self.graph.array(np.arange(*bounds, dtype=dtype)))

    def asarray(self, x: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Symbol:
        """An array of numbers, or of symbols that are one already."""
        if isinstance(x, Symbol):
            return self.astype(x, dtype or x.dtype, copy=bool(copy))
        items: Sequence[Any] = cast("Sequence[Any]", x) if isinstance(x, (list, tuple)) else ()
        if any(isinstance(item, Symbol) for item in items):
            return self.astype(self.stack(items), dtype or self.stack(items).dtype, copy=False)
        array: np.ndarray = np.asarray(cast("Any", x), dtype)
        return Symbol(self.graph, self.graph.array(array), lent=array is x)
