"""The array-API namespace of symbols: what ``xp`` is while a step is traced.

It has NumPy's functions, dtypes and rules. NumPy's own functions work on symbols too; they are recognised as objects.
A function that is not defined here is an eager call of NumPy's inside the plan, if no array's values decide the
result's shape and type. All others cannot be traced.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache, partial
from types import ModuleType
from typing import Any

import numpy as np

from dlarray.planner.trace.calls import Call, extract_arrays
from dlarray.planner.trace.functions import METHODS, NUMPY, OUT_OF_ORDER, is_safe, named, writes
from dlarray.planner.trace.graph import Graph
from dlarray.planner.trace.node import POINTWISE
from dlarray.planner.trace.operators import operand
from dlarray.planner.trace.reductions import Reductions
from dlarray.planner.trace.symbols import Symbol, fresh

__all__ = ["Namespace"]

_SPECIAL = frozenset({"where", "astype", "bits", "invert", "positive"})
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
# fmt: off
_OWN = named(
    "where", "round", "astype", "sum", "mean", "max", "min", "reshape", "ravel", "expand_dims", "squeeze",
    "permute_dims", "matrix_transpose", "swapaxes", "moveaxis", "flip", "broadcast_to", "broadcast_arrays", "real",
    "split", "array_split", "vsplit", "hsplit", "unstack", "meshgrid", "concat", "stack", "matmul", "dot",
    "zeros_like", "ones_like", "full_like", "empty_like", "shape", "ndim", "size", "iscomplexobj", "isrealobj",
    "result_type", "positive", "invert", "copy", "clip",
) | {np.amax: "max", np.amin: "min", np.transpose: "permute_dims", np.around: "round", np.clip: "promoting_clip"}
# fmt: on
"""NumPy's functions that this namespace defines, each with its name here."""
_POINTWISE: dict[Any, str] = {getattr(np, name): name for name in POINTWISE - _SPECIAL}


class Namespace(Reductions):
    """Functions on symbols, and NumPy's constants and types."""

    __name__ = "dlarray.planner.trace.namespace"

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        graph.namespace = self

    def __getattr__(self, name: str) -> Any:
        """Pointwise functions by name; else NumPy's function or constant of that name."""
        ufunc = _UFUNC.get(name, name)
        if ufunc in POINTWISE and ufunc not in _SPECIAL:
            return partial(self.call_numpy, getattr(np, ufunc))
        found = getattr(NUMPY, name)
        if isinstance(found, ModuleType):
            return _Module(self, found)
        if not callable(found) or isinstance(found, type):
            return found  # a constant, a dtype
        return partial(self.call_numpy, found)

    def call_numpy(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        """``numpy`` with the arguments passed one by one."""
        return self.numpy(function, args, options)

    def numpy(self, function: Callable[..., Any], args: Sequence[Any], options: dict[str, Any]) -> Any:
        """A function of NumPy called with symbols: this namespace's if it defines it, else an eager call."""
        if writes(function, args, options):
            self.graph.refuse(f"{_name(function)} writes into an argument")
        if (ufunc := _POINTWISE.get(function)) is not None and not options:
            return self._new(self.graph.pointwise(ufunc, *map(operand, args)))
        own = _OWN.get(function)
        if own is not None and _takes(own, args, options):
            return getattr(self, own)(*args, **options)
        return self.eager(function, args, options)

    def eager(self, function: Callable[..., Any], args: Sequence[Any], options: dict[str, Any]) -> Any:
        """An eager call. Arguments and options are symbols, or lists and tuples of them.

        Without a symbol or an array the function is called now.
        """
        leaves: list[Any] = []
        kinds = (Symbol, np.ndarray, *self.graph.captured.kinds)
        call = Call(function, extract_arrays((tuple(args), options), leaves, kinds))
        safe = is_safe(function)
        if not any(isinstance(x, Symbol) for x in leaves) and not (leaves and safe):
            made: Any = call(*leaves)
            return self._new(self.graph.array(made)) if type(made) is np.ndarray and not leaves else made
        if not safe:
            self.graph.refuse(
                f"{call.name} is called: it is not known that its result's shape and type depend on no array's numbers"
            )
        node = self.graph.sampled_call(call, [self._node(x) for x in leaves])
        maybe = function in OUT_OF_ORDER or (function is np.conjugate and not self.graph.has_scalars)
        shared = 0 if maybe else call.view_of
        if shared is not None:
            return self._view(leaves[shared], node)
        return self._new(node) if call.is_scalar else fresh(self.graph, node)

    # Methods

    def method(self, x: Symbol, name: str) -> Callable[..., Any]:
        """``x.name(…)``, with the arguments of NumPy's method."""
        if (own := _METHODS.get(name)) is not None:
            return partial(own, self, x)
        if name not in METHODS:
            self.graph.refuse(f"the method {name} of an array is called, which cannot be traced")
        return partial(self.call_numpy, getattr(np, name), x)

    def result_type(self, *args: Any) -> Any:
        """The type of a result of these operands."""
        return np.result_type(*(a.dtype if isinstance(a, Symbol) else a for a in args))


def _reshaped(xp: Namespace, x: Symbol, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
    sizes = shape[0] if len(shape) == 1 else shape
    return xp.call_numpy(np.reshape, x, sizes, **({} if order == "C" else {"order": order}), copy=copy)


def _transposed(xp: Namespace, x: Symbol, *axes: Any) -> Symbol:
    return xp.permute_dims(x, axes[0] if len(axes) == 1 else axes or None)


def _flattened(xp: Namespace, x: Symbol, order: str = "C") -> Any:
    row = xp.ravel(x) if order == "C" else xp.call_numpy(np.ravel, x, order=order)
    return fresh(xp.graph, row.node) if xp.graph.has_scalars else row


def _copied(xp: Namespace, x: Symbol, order: str = "C") -> Symbol:
    return x.fresh_like(x.node)


def _converted(
    xp: Namespace,
    x: Symbol,
    dtype: Any,
    order: str = "K",
    casting: Any = "unsafe",
    subok: bool = True,
    copy: bool = True,
) -> Symbol:
    if not np.can_cast(x.dtype, dtype, casting):
        raise TypeError(f"numbers of type {x.dtype} cannot be cast to {np.dtype(dtype)} by the rule {casting!r}")
    return xp.astype(x, dtype, copy=copy)


def _filled(xp: Namespace, x: Symbol, value: Any) -> None:
    x[...] = value


def _sorted(xp: Namespace, x: Symbol, axis: int = -1, **options: Any) -> None:
    x.write(xp.call_numpy(np.sort, x, axis, **options).node)


_METHODS: dict[str, Callable[..., Any]] = {
    "reshape": _reshaped,
    "transpose": _transposed,
    "flatten": _flattened,
    "copy": _copied,
    "astype": _converted,
    "fill": _filled,
    "sort": _sorted,
}


class _Module:
    """A submodule of NumPy, such as linalg, whose functions are called eagerly."""

    def __init__(self, namespace: Namespace, module: ModuleType) -> None:
        self._namespace = namespace
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        return partial(self._namespace.call_numpy, found) if callable(found) else found


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", str(function))


def _takes(own: str, args: Sequence[Any], options: dict[str, Any]) -> bool:
    """Whether this namespace's function accepts these arguments; NumPy's has more."""
    try:
        _signature(own).bind(None, *args, **options)
    except TypeError:
        return False
    return True


@cache
def _signature(own: str) -> inspect.Signature:
    return inspect.signature(getattr(Namespace, own))
