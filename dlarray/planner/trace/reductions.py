"""The functions of the symbols' namespace that compute: selection, conversion, sums and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlarray.planner.trace.functions import NUMPY
from dlarray.planner.trace.node import Node
from dlarray.planner.trace.operators import invert, operand
from dlarray.planner.trace.shapes import Shapes
from dlarray.planner.trace.symbols import Symbol, fresh

__all__ = ["Reductions"]

_FLOATS = ("float32", "float64")


class Reductions(Shapes):
    """Functions that are not a single ufunc in NumPy."""

    eager: Callable[..., Any]

    def where(self, condition: Any, x: Any, y: Any, /) -> Symbol:
        """x where the condition holds, else y; a 0-d result is an array."""
        truth = self.graph.cast(self._node(condition), bool)
        return fresh(self.graph, self.graph.pointwise("where", truth, operand(x), operand(y)))

    def clip(self, x: Any, /, min: Any = None, max: Any = None) -> Symbol:  # noqa: A002 - the standard's names
        """x clipped to two bounds, in x's type: the standard's function."""
        node = self._node(x)
        if node.dtype.kind in "iu" and not all(b is None or _is_within(b, node.dtype) for b in (min, max)):
            return self.eager(NUMPY.clip, (x, min, max), {})
        return self._clipped(x, *(b if b is None else self._bound(b, node.dtype) for b in (min, max)))

    def promoting_clip(
        self,
        a: Any,
        a_min: Any = None,
        a_max: Any = None,
        out: None = None,
        *,
        min: Any = None,  # noqa: A002 - NumPy's names
        max: Any = None,  # noqa: A002
    ) -> Symbol:
        """a clipped to two bounds, in the common type of all three: NumPy's function."""
        return self._clipped(a, a_min if min is None else min, a_max if max is None else max)

    def _bound(self, bound: Any, dtype: Any) -> Any:
        return bound if type(bound) in (bool, int, float) else self.graph.cast(self._node(bound), dtype)

    def _clipped(self, x: Any, low: Any, high: Any) -> Symbol:
        node = self._node(x)
        bounds = [operand(b) for b in (low, high)]
        dtype = np.result_type(node.dtype, *(_type(b) for b in bounds if b is not None))
        node = self.graph.cast(node, dtype)
        for name, bound in zip(("maximum", "minimum"), bounds, strict=True):
            if bound is not None:
                node = self.graph.pointwise(name, node, bound)
        return self._new(node)

    def positive(self, x: Any, /) -> Symbol:
        """A copy, or a scalar of a 0-d array; torch returns the array itself."""
        node = self._node(x)
        return self._new(node) if self.graph.has_scalars else self._view(x, node)

    def copy(self, a: Any) -> Symbol:
        """A copy, always an array."""
        return fresh(self.graph, self._node(a))

    def bitwise_invert(self, x: Any, /) -> Symbol:
        """Each bit inverted."""
        return self._new(invert(self.graph, self._node(x)))

    invert = bitwise_not = bitwise_invert

    def round(self, a: Any, decimals: int = 0, out: None = None) -> Any:
        """The nearest whole number, halves to even."""
        node = self._node(a)
        if decimals or node.dtype.name not in _FLOATS:
            return self.eager(np.round, (a, decimals), {})
        return self._new(self.graph.pointwise("rint", node))

    def astype(self, x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Symbol:
        """The same numbers in another type."""
        if isinstance(x, Symbol):
            return x if not copy and x.dtype == np.dtype(dtype) else x.fresh_like(self.graph.cast(x.node, dtype))
        return fresh(self.graph, self.graph.cast(self._node(x), dtype))

    # Reductions

    def sum(self, a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Any:
        """The sum over axes."""
        node = self._node(a)
        if dtype is not None and np.dtype(dtype) != node.dtype:
            return self.eager(np.sum, (a,), {"axis": axis, "dtype": dtype, "keepdims": keepdims})
        if dtype is not None and node.dtype.name not in _FLOATS:
            return self.eager(np.sum, (a,), {"axis": axis, "dtype": dtype, "keepdims": keepdims})
        return self._new(self.graph.reduce("sum", node, axis, keepdims))

    def max(self, a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Symbol:
        """The largest number over axes."""
        return self._new(self.graph.reduce("max", self._node(a), axis, keepdims))

    def min(self, a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Symbol:
        """The smallest number over axes."""
        return self._new(self.graph.reduce("min", self._node(a), axis, keepdims))

    def mean(self, a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Any:
        """The sum over axes divided by their lengths, as NumPy computes it."""
        node = self._node(a)
        if node.dtype.name not in _FLOATS or node.size == 0 or (dtype is not None and np.dtype(dtype) != node.dtype):
            return self.eager(np.mean, (a,), {"axis": axis, "dtype": dtype, "keepdims": keepdims})
        total = self.graph.reduce("sum", node, axis, keepdims)
        return self._new(self.graph.pointwise("divide", total, node.size // total.size))

    # Products

    def matmul(self, a: Any, b: Any, /) -> Symbol:
        """The matrix product."""
        return self._new(self.graph.matmul(self._node(a), self._node(b)))

    def dot(self, a: Any, b: Any) -> Any:
        """The product of two matrices; of other arrays NumPy's eager function."""
        if all(len(self._node(x).shape) == 2 for x in (a, b)):
            return self.matmul(a, b)
        return self.eager(np.dot, (a, b), {})


def _is_within(bound: Any, dtype: np.dtype[Any]) -> bool:
    """Whether a bound is a whole number that the type can hold."""
    return type(bound) is int and bool(np.iinfo(dtype).min <= bound <= np.iinfo(dtype).max)


def _type(bound: Any) -> Any:
    """A bound's part in type promotion: an array's type, or a Python number, which is weak."""
    if isinstance(bound, Node):
        return bound.dtype
    return bound if isinstance(bound, (bool, int, float, complex)) else np.asarray(bound).dtype
