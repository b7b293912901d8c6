"""Operations of kernels as instructions: each result has the operation's dtype and NumPy's value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from dlarray.planner.kernel.loops import Operation
from dlarray.planner.kernel.notation import COMPARISONS
from dlarray.planner.native.mathematics import FUNCTIONS
from dlarray.planner.native.types import BYTES
from dlarray.planner.native.values import Value

__all__ = ["LIBRARY", "NEUTRAL", "accumulated", "computed"]

NEUTRAL = {"sum": 0.0, "max": -inf, "min": inf}
"""The result of each reduction of no numbers."""

LIBRARY = {
    **{name: name for name in ("sin", "cos", "tan", "sinh", "cosh", "log2", "log10")},
    **{f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "power": "pow",
}
"""The operations that the C library computes, one number at a time, with the names of its functions."""

_INTRINSICS = frozenset({"sqrt", "floor", "ceil", "trunc", "rint"})

_ARITHMETIC: dict[str, Callable[[Value, Value], Value]] = {
    "add": Value.__add__,
    "subtract": Value.__sub__,
    "multiply": Value.__mul__,
    "divide": Value.__truediv__,
    "bitwise_and": Value.__and__,
    "bitwise_or": Value.__or__,
    "bitwise_xor": Value.__xor__,
}
_BOOLEAN: dict[str, Callable[[Value, Value], Value]] = {
    **dict.fromkeys(("add", "maximum"), Value.__or__),
    **dict.fromkeys(("multiply", "minimum"), Value.__and__),
}
_LOGICAL: dict[str, Callable[[Value, Value], Value]] = {
    "logical_and": Value.__and__,
    "logical_or": Value.__or__,
    "logical_xor": Value.__xor__,
}


def accumulated(name: str, total: Value, value: Value) -> Value:
    """A reduction's total with one more value. A NaN stays."""
    if name == "sum":
        return total + value
    better = value > total if name == "max" else value < total
    return (better | value.differs(value)).select(value, total)


def computed(op: Operation, args: Sequence[Value], position: Callable[[], Value]) -> Value:
    """An operation, other than a reduction, of these values. ``position`` gives the index of its elements."""
    name = op.name
    if name == "index":
        return position().cast(op.dtype)
    x, *others = args
    if name in COMPARISONS:
        return x.compared(COMPARISONS[name], others[0])
    if name in _LOGICAL:
        return _LOGICAL[name](x.cast("bool"), others[0].cast("bool"))
    if x.dtype == "bool" and name in _BOOLEAN:
        return _BOOLEAN[name](x, others[0])
    if name in _ARITHMETIC:
        return _ARITHMETIC[name](x, others[0])
    if name in FUNCTIONS:
        return FUNCTIONS[name](x)
    if name in LIBRARY:
        return x.library(LIBRARY[name], *others)
    if name in _INTRINSICS:
        return x.intrinsic(name) if x.is_float else x
    return _other(op, x, others)


def _other(op: Operation, x: Value, others: Sequence[Value]) -> Value:
    match op.name:
        case "astype":
            return x.cast(op.dtype)
        case "bits":
            return x.bits(op.dtype)
        case "where":
            return x.select(others[0], others[1])
        case "logical_not":
            return x.cast("bool") ^ True
        case "isnan":
            return x.differs(x)
        case "isinf":
            return abs(x).equals(inf) if x.is_float else x.differs(x)
        case "isfinite":
            return abs(x) < inf if x.is_float else x.equals(x)
        case "maximum":
            return ((x >= others[0]) | x.differs(x)).select(x, others[0])
        case "minimum":
            return ((x <= others[0]) | x.differs(x)).select(x, others[0])
        case "positive":
            return x
        case "negative":
            return -x
        case "absolute":
            return abs(x)
        case "square":
            return x * x
        case "reciprocal":
            return 1 / x
        case "invert":
            return x ^ -1
        case "sign":
            return (x > 0).select(x.like(1), (x < 0).select(x.like(-1), x.equals(0).select(x.like(0), x)))
        case "left_shift" | "right_shift":
            return _shifted(op.name, x, others[0])
        case _:
            raise NotImplementedError(f"no instructions for {op.name}")


def _shifted(name: str, x: Value, count: Value) -> Value:
    """A shift by the width or more, or by a negative count, leaves only the sign: for LLVM that is undefined."""
    width = 8 * BYTES[x.dtype]
    within = count.cast(x.dtype if not x.is_signed else f"u{x.dtype}") < width
    if name == "left_shift":
        return within.select(x << within.select(count, 0), 0)
    if x.is_signed:
        return x >> within.select(count, width - 1)
    return within.select(x >> within.select(count, 0), 0)
