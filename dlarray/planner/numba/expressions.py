"""Operations as Python expressions for Numba: each result has the operation's dtype."""

from __future__ import annotations

from collections.abc import Sequence

from dlarray.planner.kernel.loops import Operation
from dlarray.planner.kernel.notation import INFIX

__all__ = ["LIBRARY", "accumulate", "dtype_of", "expression", "initial"]

LIBRARY = frozenset({"exp", "expm1", "log", "log1p", "tanh"})
"""The functions of mathematics.py; all others are calls of the C library, one element at a time."""

_BOOLEAN = {"add": "|", "maximum": "|", "multiply": "&", "minimum": "&"}
_LOGICAL = {"logical_and": "&", "logical_or": "|", "logical_xor": "^"}
_FORMS = {
    "positive": "{0}",
    "negative": "-{0}",
    "absolute": "abs({0})",
    "square": "{0} * {0}",
    "reciprocal": "{T}(1) / {0}",
    "sign": "{T}(1) if {0} > 0 else ({T}(-1) if {0} < 0 else ({T}(0) if {0} == 0 else {0}))",
    "maximum": "{0} if ({0} >= {1}) | ({0} != {0}) else {1}",
    "minimum": "{0} if ({0} <= {1}) | ({0} != {0}) else {1}",
    "where": "{1} if {0} else {2}",
    "invert": "~{0}",
}
_ROUNDING = {"floor", "ceil", "trunc", "rint"}


def dtype_of(dtype: str) -> str:
    """A dtype's name in NumPy's namespace."""
    return "bool_" if dtype == "bool" else dtype


def expression(op: Operation, args: Sequence[str], dtypes: Sequence[str], index: str) -> str:
    """The expression of an operation, not a reduction, on named values. ``index`` is its element's index."""
    type_ = f"np.{dtype_of(op.dtype)}"
    given = dtypes[0] if dtypes else op.dtype
    if op.name == "index":
        return f"{type_}({index})"
    if op.name == "astype":
        return _converted(args[0], given, op.dtype)
    if op.name == "bits":
        return f"bits({args[0]}, {type_})"
    if op.name == "logical_not":
        return f"not {_truth(args[0], given)}"
    if op.name in _LOGICAL:
        return f"{_truth(args[0], given)} {_LOGICAL[op.name]} {_truth(args[1], given)}"
    if op.name in ("isnan", "isinf", "isfinite"):
        return _question(op.name, args[0], given)
    if given == "bool" and op.name in _BOOLEAN:
        return f"{args[0]} {_BOOLEAN[op.name]} {args[1]}"
    if op.name in ("left_shift", "right_shift"):
        return f"{op.name}({args[0]}, {args[1]})"
    if op.name in INFIX:
        text = f"{args[0]} {INFIX[op.name]} {args[1]}"
    elif op.name in _FORMS:
        text = _FORMS[op.name].format(*args, T=type_)
    elif op.name in _ROUNDING and not op.dtype.startswith("float"):
        text = args[0]
    elif op.name in LIBRARY:
        text = f"{op.name}_{op.dtype}({args[0]})"
    else:
        text = f"np.{op.name}({', '.join(args)})"
    return f"{type_}({text})" if "int" in op.dtype else text  # Numba computes small integers in 64 bits


def accumulate(op: Operation, total: str, value: str) -> str:
    """A reduction's total, a variable, with one more value."""
    if op.name == "sum":
        return f"{total} + {value}"
    sign = ">" if op.name == "max" else "<"
    return f"{value} if ({value} {sign} {total}) | ({value} != {value}) else {total}"  # a NaN stays


def initial(op: Operation) -> str:
    """The total of no values."""
    return {"sum": "-0.0", "max": "-np.inf", "min": "np.inf"}[op.name]


def _truth(value: str, dtype: str) -> str:
    return value if dtype == "bool" else f"({value} != 0)"


def _converted(value: str, given: str, wanted: str) -> str:
    if wanted == "bool":
        return _truth(value, given)
    if given.startswith("float") and wanted.startswith("uint"):  # below 0 LLVM's conversion is undefined
        wrapped = f"np.{wanted}(np.int64({value}))"
        return f"np.uint64({value}) if {value} >= {2.0**63!r} else {wrapped}" if wanted == "uint64" else wrapped
    return f"np.{wanted}({value})"


def _question(name: str, value: str, dtype: str) -> str:
    if not dtype.startswith("float"):
        return f"{value} != {value}" if name != "isfinite" else f"{value} == {value}"
    return {"isnan": f"{value} != {value}", "isinf": f"abs({value}) == np.inf", "isfinite": f"abs({value}) < np.inf"}[
        name
    ]
