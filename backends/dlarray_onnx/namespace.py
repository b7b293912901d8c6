"""The array-API namespace of ``OnnxArray``.

Its functions compute by NumPy on arrays with numbers, and write operators for symbols. Functions of NumPy that are not
in the table work on numbers alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import numpy as np

from dlarray_onnx import shapes
from dlarray_onnx.arrays import OnnxArray, is_symbol, lift, numbers, wrap
from dlarray_onnx.nodes import Node, Source, broadcast, cast_to, constant, emit, promoted, reduce

__all__ = ["namespace"]


def _of_type(dtype: Any) -> Any:
    return dtype.dtype if isinstance(dtype, OnnxArray) else dtype


def _asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> OnnxArray:
    if is_symbol(obj):
        return obj if dtype is None else _astype(obj, dtype)
    return OnnxArray(np.array(numbers(obj) if isinstance(obj, OnnxArray) else obj, dtype=dtype, copy=copy))


def _creation(name: str) -> Callable[..., OnnxArray]:
    def make(*args: Any, device: Any = None, **options: Any) -> OnnxArray:
        return OnnxArray(getattr(np, name)(*args, **options))

    return make


def _filled(value: Any) -> Callable[..., OnnxArray]:
    def fill(x: OnnxArray, /, *, dtype: Any = None, device: Any = None) -> OnnxArray:
        return _full_like(x, value, dtype=dtype)

    return fill


def _full_like(x: OnnxArray, value: Any, /, *, dtype: Any = None, device: Any = None) -> OnnxArray:
    kind = x.dtype if dtype is None else dtype
    if x.node is None or None not in x.shape:
        return OnnxArray(np.full(cast("tuple[int, ...]", x.shape), value, dtype=kind))
    length = Node("Shape", (x.node,), np.dtype(np.int64), (x.ndim,))
    return OnnxArray(node=emit("Expand", constant(value, kind), length, shape=x.node.shape))


def _astype(x: OnnxArray, dtype: Any, /, *, copy: bool = True, device: Any = None) -> OnnxArray:
    return wrap(cast_to(x.source, dtype))


def _result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    return np.result_type(*map(_of_type, arrays_and_dtypes))


def _can_cast(from_: Any, to: Any, /) -> bool:
    return np.can_cast(_of_type(from_), to)


def _where(condition: Source, a: Any, b: Any) -> Node:
    a, b = promoted(a, b)
    return emit("Where", condition, a, b, dtype=a.dtype)


def _expm1(x: Node) -> Node:
    """exp(x) - 1 by Kahan: (u - 1) x / log u with u = exp(x), where the rounding of u cancels."""
    u = emit("Exp", x)
    less = broadcast("Sub", u, 1)
    inner = _where(broadcast("Equal", u, 1), x, broadcast("Div", broadcast("Mul", less, x), emit("Log", u)))
    return _where(broadcast("Or", broadcast("Equal", less, -1), emit("IsInf", u)), less, inner)


def _log1p(x: Node) -> Node:
    """log(1 + x) by Kahan: log(u) x / (u - 1) with u = 1 + x."""
    u = broadcast("Add", x, 1)
    inner = broadcast("Div", broadcast("Mul", emit("Log", u), x), broadcast("Sub", u, 1))
    return _where(broadcast("Equal", u, 1), x, _where(emit("IsInf", u), u, inner))


def _sinh(x: Node) -> Node:
    """(exp(x) - exp(-x)) / 2 = (d + d / (d + 1)) / 2 with d = exp|x| - 1, and the sign of x."""
    d = _expm1(emit("Abs", x))
    ratio = _where(emit("IsInf", d), 1, broadcast("Div", d, broadcast("Add", d, 1)))
    return broadcast("Mul", broadcast("Mul", broadcast("Add", d, ratio), 0.5), emit("Sign", x))


def _cos(x: Node) -> Node:
    """sin(x + π/2) in float64, whose cosine older runtimes lack."""
    return emit("Sin", broadcast("Add", x, math.pi / 2)) if x.dtype == np.float64 else emit("Cos", x)


def _isfinite(x: Node) -> Node:
    return emit("Not", broadcast("Or", emit("IsNaN", x), emit("IsInf", x)))


def _sum(x: Node, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Node:
    wide = np.int64 if x.dtype.kind in "bi" else x.dtype
    return reduce("ReduceSum", cast_to(x, wide if dtype is None else dtype), axis, keepdims)


def _cumulative_sum(x: Node, axis: int | None = None, dtype: Any = None) -> Node:
    wide = np.int64 if x.dtype.kind in "bi" else x.dtype
    return emit("CumSum", cast_to(x, wide if dtype is None else dtype), constant(axis or 0, np.int64), shape=x.shape)


def _matches(x: Node, pattern: str) -> Node:
    """Whether each text matches the whole pattern, a regular expression. The standard has no such function."""
    return emit("RegexFullMatch", x, dtype=np.bool_, pattern=pattern)


def _matches_numpy(x: np.ndarray, pattern: str) -> np.ndarray:
    found = [re.fullmatch(pattern, text) is not None for text in x.reshape(-1).tolist()]
    return np.asarray(found, dtype=np.bool_).reshape(x.shape)


def _std(x: Node, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Node:
    if correction:
        raise NotImplementedError("std with a correction cannot be written into an ONNX graph")
    apart = broadcast("Sub", x, reduce("ReduceMean", x, axis, True))
    return emit("Sqrt", reduce("ReduceMean", _square(apart), axis, keepdims))


def _sort_numbers(x: np.ndarray, axis: int = -1, descending: bool = False, stable: bool = True) -> np.ndarray:
    found = np.sort(x, axis=axis, stable=stable)
    return np.flip(found, axis) if descending else found


def _sort(x: Node, axis: int = -1, descending: bool = False, stable: bool = True) -> Node:
    n = x.shape[axis]
    if not isinstance(n, int):
        raise ValueError("an ONNX graph sorts axes of a known length alone")
    return emit("TopK", x, constant([n], np.int64), shape=x.shape, axis=axis, largest=int(descending), sorted=1)


def _square(x: Node) -> Node:
    return broadcast("Mul", x, x)


def _concat(arrays: Sequence[OnnxArray], /, *, axis: int | None = 0) -> OnnxArray:
    def join(*given: np.ndarray) -> np.ndarray:
        return np.concat(given, axis=axis)

    def write(*given: Source) -> Node:
        return shapes.concat(given, axis)

    return lift(join, write)(*arrays)


def _stack(arrays: Sequence[OnnxArray], /, *, axis: int = 0) -> OnnxArray:
    return _concat([_expand_dims(x, axis=axis) for x in arrays], axis=axis)


_expand_dims = lift(np.expand_dims, shapes.expand_dims)


def _matrix_transpose(x: OnnxArray, /) -> OnnxArray:
    return x.mT


_TITLES = ("abs", "exp", "log", "sqrt", "sign", "floor", "ceil", "round", "sin", "tanh")
_UNARY = {
    **{name: name.title() for name in _TITLES},
    "isnan": "IsNaN",
    "isinf": "IsInf",
    "negative": "Neg",
    "logical_not": "Not",
    "bitwise_invert": "Not",
}
_BINARY = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "pow": "Pow",
    "matmul": "MatMul",
    "maximum": "Max",
    "minimum": "Min",
    "equal": "Equal",
    "not_equal": "NotEqual",
    "less": "Less",
    "greater": "Greater",
    "less_equal": "LessOrEqual",
    "greater_equal": "GreaterOrEqual",
    **{f"{kind}_{name}": name.title() for kind in ("logical", "bitwise") for name in ("and", "or", "xor")},
    "bitwise_left_shift": "ShiftLeft",
    "bitwise_right_shift": "ShiftRight",
}
_REDUCTIONS = {"mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin", "any": "ReduceMax", "all": "ReduceMin"}


class _Namespace:
    """The functions of the table, and those of NumPy on numbers."""

    def __init__(self, **own: Any) -> None:
        self.__dict__ |= own

    def __getattr__(self, name: str) -> Any:
        function = getattr(np, name)

        def compute(*args: Any, **options: Any) -> Any:
            if any(map(is_symbol, args)):
                raise NotImplementedError(f"{name} cannot be written into an ONNX graph: it computes numbers alone")
            found = function(*(numbers(x) if isinstance(x, OnnxArray) else x for x in args), **options)
            if isinstance(found, tuple):
                return tuple(map(OnnxArray, cast("tuple[Any, ...]", found)))
            return OnnxArray(np.asarray(found))

        return compute

    def __repr__(self) -> str:
        return "<the array-API namespace of OnnxArray>"


namespace = _Namespace(
    **{name: getattr(np, name) for name in ("e", "pi", "inf", "nan", "newaxis", "isdtype", "finfo", "iinfo")},
    **{name: np.dtype(name) for name in ("bool", *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)))},
    **{name: np.dtype(name) for name in ("float16", "float32", "float64")},
    **{name: _creation(name) for name in ("arange", "empty", "eye", "full", "linspace", "ones", "zeros")},
    **{name: lift(getattr(np, name), partial(emit, op)) for name, op in _UNARY.items()},
    **{name: lift(getattr(np, name), partial(broadcast, op)) for name, op in _BINARY.items()},
    **{name: lift(getattr(np, name), partial(reduce, op)) for name, op in _REDUCTIONS.items()},
    __array_namespace_info__=np.__array_namespace_info__,
    result_type=_result_type,
    can_cast=_can_cast,
    asarray=_asarray,
    full_like=_full_like,
    zeros_like=_filled(0),
    ones_like=_filled(1),
    empty_like=_filled(0),
    astype=_astype,
    where=lift(np.where, _where),
    expm1=lift(np.expm1, _expm1),
    log1p=lift(np.log1p, _log1p),
    sinh=lift(np.sinh, _sinh),
    square=lift(np.square, _square),
    cos=lift(np.cos, _cos),
    isfinite=lift(np.isfinite, _isfinite),
    matches=lift(_matches_numpy, _matches),
    sum=lift(np.sum, _sum),
    cumulative_sum=lift(np.cumulative_sum, _cumulative_sum),
    std=lift(np.std, _std),
    sort=lift(_sort_numbers, _sort),
    concat=_concat,
    stack=_stack,
    reshape=lift(np.reshape, shapes.reshape),
    expand_dims=_expand_dims,
    squeeze=lift(np.squeeze, shapes.squeeze),
    take=lift(np.take, shapes.take),
    broadcast_to=lift(np.broadcast_to, shapes.broadcast_to),
    permute_dims=lift(np.permute_dims, shapes.transpose),
    matrix_transpose=_matrix_transpose,
)
