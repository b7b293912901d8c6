"""The array-API namespace of symbols: what ``xp`` is while a step is traced.

It mirrors NumPy's namespace, with NumPy's dtypes and NumPy's rules. A name that is not defined here is NumPy's function
as an eager call inside the plan, so nothing is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any, cast

import numpy as np

from dlarray.array import array_namespace
from dlarray.planner.calls import Applied, holes
from dlarray.planner.creation import Creation
from dlarray.planner.graph import Graph
from dlarray.planner.node import POINTWISE, Node, UntraceableError, root
from dlarray.planner.symbols import Symbol, fresh, invert, operand

__all__ = ["Namespace"]

_NUMPY: Any = array_namespace(np.empty(0))
_UNKNOWN_SHAPES = (
    "nonzero",
    "argwhere",
    "flatnonzero",
    "unique",
    "extract",
    "compress",
    "trim_zeros",
    "setdiff1d",
    "union1d",
)
_UFUNC = {
    "abs": "absolute",
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atanh": "arctanh",
    "pow": "power",
    "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift",
    "true_divide": "divide",
}
_METHODS = {
    "sum", "mean", "max", "min", "astype", "copy", "prod", "any", "all", "argmax", "argmin", "var", "std", "clip",
    "dot",
}  # fmt: skip


class Namespace(Creation):
    """Functions on symbols, and NumPy's constants and types."""

    __name__ = "dlarray.planner.namespace"

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        graph.namespace = self

    def __getattr__(self, name: str) -> Any:
        """Pointwise functions by their name; else what NumPy has under it."""
        ufunc = _UFUNC.get(name, name)
        if ufunc in POINTWISE and ufunc not in ("where", "astype", "bits", "invert", "positive"):
            return partial(self._pointwise, ufunc)
        found = getattr(_NUMPY, name)
        if isinstance(found, ModuleType):
            return _Module(self, found)
        if not callable(found) or isinstance(found, type):
            return found  # a constant, a dtype
        return partial(self.call_numpy, found)

    def call_numpy(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        """``numpy`` with its arguments written out."""
        return self.numpy(function, args, options)

    def _pointwise(self, ufunc: str, /, *args: Any) -> Symbol:
        return self._new(self.graph.pointwise(ufunc, *map(operand, args)))

    def _new(self, node: Node) -> Symbol:
        return fresh(self.graph, node)

    def _node(self, x: Any) -> Node:
        return self.graph.lift(operand(x))

    def _view(self, x: Any, node: Node) -> Symbol:
        """A view of x where NumPy would give one, else memory of its own."""
        if not isinstance(x, Symbol) or node.op == "full" or root(node) is not root(x.node):
            return self._new(node)
        return x.beside(node)

    # NumPy itself

    def numpy(self, function: Callable[..., Any], args: Sequence[Any], options: dict[str, Any]) -> Any:
        """A function of NumPy called with symbols: the one defined here where there is one, else an eager call."""
        name = getattr(function, "__name__", "")
        own = _own(_API.get(name, name))
        known = _UFUNC.get(name, name) in POINTWISE
        if not options.get("out") and (own or (known and not options)) and not name.startswith("_"):
            try:
                return getattr(self, _API.get(name, name))(*args, **options)
            except (AttributeError, TypeError) as error:
                if isinstance(error, UntraceableError):
                    raise
        if any(name.startswith(word) for word in _UNKNOWN_SHAPES) or "out" in options:
            raise UntraceableError(f"what comes out of {name} depends on values, or is written into an argument")
        return self._eager(function, args, options)

    def _eager(self, function: Callable[..., Any], args: Sequence[Any], options: dict[str, Any]) -> Any:
        """An eager call. Symbols may stand alone or in lists and tuples, as an argument or as an option."""
        leaves: list[Any] = []
        applied = Applied(function, holes((tuple(args), options), leaves, (Symbol, np.ndarray)))
        if leaves:
            node = self.graph.call(applied, [self._node(x) for x in leaves])
            base = None if node.attribute.view_of is None else leaves[node.attribute.view_of]
            return base.beside(node) if isinstance(base, Symbol) else self._new(node)
        made = applied()  # of nothing that is traced: linspace, isdtype
        return self._new(self.graph.array(cast("np.ndarray", made))) if isinstance(made, np.ndarray) else made

    def method(self, x: Symbol, name: str) -> Callable[..., Any]:
        """``x.name(…)``."""
        if name == "reshape":
            return lambda *shape, **o: self.reshape(x, shape[0] if len(shape) == 1 else shape)
        if name == "transpose":
            return lambda *axes: self.permute_dims(
                x, axes[0] if len(axes) == 1 else axes or tuple(reversed(range(x.ndim)))
            )
        if name in ("ravel", "flatten"):
            return lambda: self.reshape(x, (-1,)) if name == "ravel" else self.copy(self.reshape(x, (-1,)))
        if name not in _METHODS:
            raise UntraceableError(f"the method {name} of an array is called: use the namespace's functions")
        if _own(name):
            return lambda *args, **options: getattr(self, name)(x, *args, **options)
        return lambda *args, **options: self.numpy(getattr(np.ndarray, name), (x, *args), options)

    def result_type(self, *args: Any) -> Any:
        """The type that a result would have."""
        return np.result_type(*(a.dtype if isinstance(a, Symbol) else a for a in args))

    # Pointwise

    def where(self, condition: Any, x: Any, y: Any) -> Symbol:
        """x where the condition holds, else y."""
        return self._new(
            self.graph.pointwise("where", self.graph.cast(self._node(condition), bool), operand(x), operand(y))
        )

    def clip(self, x: Any, min: Any = None, max: Any = None) -> Symbol:  # noqa: A002 - the standard's names
        """x held between two bounds, in x's type."""
        node = self._node(x)
        for name, bound in (("maximum", min), ("minimum", max)):
            if bound is not None:
                limit = operand(bound)
                limit = limit if isinstance(limit, (int, float)) else self.graph.cast(self._node(limit), node.dtype)
                node = self.graph.cast(self.graph.pointwise(name, node, limit), node.dtype)
        return self._new(node)

    def positive(self, x: Any) -> Symbol:
        """A copy."""
        return self._new(self._node(x))

    copy = positive

    def bitwise_invert(self, x: Any) -> Symbol:
        """Each bit turned round."""
        return self._new(invert(self.graph, self._node(x)))

    invert = bitwise_not = bitwise_invert

    def round(self, x: Any, decimals: int = 0) -> Symbol:
        """The nearest whole number, halves to even."""
        node = self._node(x)
        if decimals or node.dtype.kind != "f":
            return self._eager(np.round, (x, decimals), {})
        return self._new(self.graph.pointwise("rint", node))

    def astype(self, x: Any, dtype: Any, *, copy: bool = True, device: Any = None) -> Symbol:
        """The same numbers in another type."""
        if isinstance(x, Symbol) and not copy and x.dtype == np.dtype(dtype):
            return x
        return self._new(self.graph.cast(self._node(x), dtype))

    # Reductions

    def sum(self, x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Symbol:
        """The sum over axes."""
        node = self._node(x)
        if dtype is not None and np.dtype(dtype) != node.dtype:
            return self._eager(np.sum, (x,), {"axis": axis, "dtype": dtype, "keepdims": keepdims})
        return self._new(self.graph.reduce("sum", node, axis, keepdims))

    def max(self, x: Any, axis: Any = None, keepdims: bool = False) -> Symbol:
        """The largest number over axes."""
        return self._new(self.graph.reduce("max", self._node(x), axis, keepdims))

    def min(self, x: Any, axis: Any = None, keepdims: bool = False) -> Symbol:
        """The smallest number over axes."""
        return self._new(self.graph.reduce("min", self._node(x), axis, keepdims))

    def mean(self, x: Any, axis: Any = None, keepdims: bool = False) -> Symbol:
        """The sum over axes divided by their lengths, as NumPy computes it."""
        node = self._node(x)
        if node.dtype.kind != "f" or node.size == 0:
            return self._eager(np.mean, (x,), {"axis": axis, "keepdims": keepdims})
        total = self.graph.reduce("sum", node, axis, keepdims)
        return self._new(self.graph.pointwise("divide", total, node.size // total.size))

    # Shapes

    def reshape(self, x: Any, shape: int | Sequence[int], *, copy: bool | None = None) -> Symbol:
        """The same elements in another shape."""
        node, wanted = self._node(x), (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
        if -1 in wanted:
            others = -math.prod(wanted)
            if others == 0 or node.size % others:
                raise ValueError(f"cannot reshape an array of shape {node.shape} into {wanted}")
            wanted = tuple(node.size // others if n == -1 else n for n in wanted)
        if math.prod(wanted) != node.size:
            raise ValueError(f"cannot reshape an array of shape {node.shape} into {wanted}")
        shaped = self.graph.reshape(node, wanted)
        return self._new(shaped) if copy else self._view(x, shaped)

    def expand_dims(self, x: Any, axis: int = 0) -> Symbol:
        """A new axis of length 1."""
        shape = self._node(x).shape
        place = axis % (len(shape) + 1)
        return self.reshape(x, (*shape[:place], 1, *shape[place:]))

    def squeeze(self, x: Any, axis: int | tuple[int, ...]) -> Symbol:
        """Without axes of length 1."""
        shape = self._node(x).shape
        gone = {a % len(shape) for a in (axis if isinstance(axis, tuple) else (axis,))}
        if any(shape[a] != 1 for a in gone):
            raise ValueError(f"axes {axis} of an array of shape {shape} are not of length 1")
        return self.reshape(x, tuple(n for i, n in enumerate(shape) if i not in gone))

    def permute_dims(self, x: Any, axes: Sequence[int]) -> Symbol:
        """The axes in another order."""
        node = self._node(x)
        return self._view(x, self.graph.permute(node, tuple(a % len(node.shape) for a in axes)))

    def matrix_transpose(self, x: Any) -> Symbol:
        """The last two axes exchanged."""
        n = len(self._node(x).shape)
        return self.permute_dims(x, (*range(n - 2), n - 1, n - 2))

    def concat(self, arrays: Sequence[Any], *, axis: int | None = 0) -> Symbol:
        """Arrays one after the other."""
        nodes = [self._node(a) for a in arrays]
        if axis is None:
            nodes, axis = [self.graph.reshape(n, (n.size,)) for n in nodes], 0
        return self._new(self.graph.concat(nodes, axis))

    def stack(self, arrays: Sequence[Any], *, axis: int = 0) -> Symbol:
        """Arrays side by side along a new axis."""
        place = axis % (len(self._node(arrays[0]).shape) + 1)
        return self.concat([self.expand_dims(a, place) for a in arrays], axis=place)

    # Products

    def matmul(self, a: Any, b: Any) -> Symbol:
        """The matrix product."""
        return self._new(self.graph.matmul(self._node(a), self._node(b)))


_API = {"concatenate": "concat", "transpose": "permute_dims", "absolute": "abs", "amax": "max", "amin": "min"}


class _Module:
    """A submodule of NumPy, such as linalg, whose functions are called eagerly."""

    def __init__(self, namespace: Namespace, module: ModuleType) -> None:
        self._namespace = namespace
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        return partial(self._namespace.call_numpy, found) if callable(found) else found


def _own(name: str) -> bool:
    """Whether the namespace of symbols defines this function itself."""
    return callable(getattr(Namespace, name, None)) and not name.startswith("_")
