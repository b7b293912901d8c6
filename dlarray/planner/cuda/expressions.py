"""Operations as expressions of CUDA C, which are C++ as well. Each result is cast to the dtype of its operation."""

from __future__ import annotations

from collections.abc import Sequence

from dlarray.planner.kernel.loops import Operation
from dlarray.planner.kernel.notation import COMPARISONS

__all__ = ["COMBINE", "C_TYPES", "accumulate", "expression", "initial"]

C_TYPES = {
    "bool": "bool",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned int",
    "uint64": "unsigned long long",
    "float32": "float",
    "float64": "double",
}

COMBINE = {"sum": "plus", "max": "larger", "min": "smaller"}
"""The function that combines two partial results of a reduction."""

_ARITHMETIC = {"add": "+", "subtract": "-", "multiply": "*"}
_BITS = {"bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^"}
_LOGICAL = {"logical_and": "({0} != 0) && ({1} != 0)", "logical_or": "({0} != 0) || ({1} != 0)"}
_BOOLEAN = {"add": "{0} || {1}", "maximum": "{0} || {1}", "multiply": "{0} && {1}", "minimum": "{0} && {1}"}
_FORMS = {
    "positive": "{0}",
    "where": "{0} ? {1} : {2}",
    "maximum": "({0} >= {1} || {0} != {0}) ? {0} : {1}",
    "minimum": "({0} <= {1} || {0} != {0}) ? {0} : {1}",
    "sign": "{0} > 0 ? (T)1 : ({0} < 0 ? (T)-1 : ({0} == 0 ? (T)0 : {0}))",
    "logical_not": "!({0} != 0)",
    "logical_xor": "({0} != 0) != ({1} != 0)",
    "astype": "({0})",
    "invert": "~{0}",
}
_FLOATS = {
    "negative": "-{0}",
    "divide": "{0} / {1}",
    "square": "{0} * {0}",
    "reciprocal": "(T)1 / {0}",
    "isnan": "{0} != {0}",
    "isinf": "{0} == {0} && {0} - {0} != 0",
    "isfinite": "{0} - {0} == 0",
}
_INTEGERS = {
    "negative": "(U)0 - (U){0}",
    "square": "(U){0} * (U){0}",
    "absolute": "{0} < 0 ? (T)((U)0 - (U){0}) : {0}",
    "left_shift": "shifted_left({0}, {1})",
    "right_shift": "shifted_right({0}, {1})",
    "isnan": "{0} != {0}",
    "isinf": "{0} != {0}",
    "isfinite": "{0} == {0}",
    **dict.fromkeys(("floor", "ceil", "trunc", "rint"), "{0}"),
}
_NAMES = {"absolute": "fabs", "power": "pow"} | {
    f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")
}


def expression(op: Operation, args: Sequence[str], dtypes: Sequence[str], index: str) -> str:
    """The expression of an operation, other than a reduction, on named values. ``index`` is the index of its element.

    Integers are computed as unsigned, which wrap: in C++ signed overflow is undefined.
    """
    given = dtypes[0] if dtypes else op.dtype
    floats = given.startswith("float")
    if op.name == "index":
        text = index
    elif op.name == "astype":
        text = f"{args[0]} != 0" if op.dtype == "bool" else args[0]
    elif op.name == "bits":
        text = f"bits<{C_TYPES[op.dtype]}>({args[0]})"
    elif given == "bool" and op.name in _BOOLEAN:
        text = _BOOLEAN[op.name].format(*args)
    elif op.name in COMPARISONS:
        text = f"{args[0]} {COMPARISONS[op.name]} {args[1]}"
    elif op.name in _ARITHMETIC:
        kind = "" if floats else "(U)"
        text = f"{kind}{args[0]} {_ARITHMETIC[op.name]} {kind}{args[1]}"
    elif op.name in _BITS:
        text = f"{args[0]} {_BITS[op.name]} {args[1]}"
    elif op.name in (special := _FLOATS if floats else _INTEGERS):
        text = special[op.name].format(*args)
    elif op.name in _LOGICAL | _FORMS:
        text = (_LOGICAL | _FORMS)[op.name].format(*args)
    else:
        suffix = "f" if given == "float32" else ""
        text = f"{_NAMES.get(op.name, op.name)}{suffix}({', '.join(args)})"
    unsigned = "unsigned long long" if given in ("int64", "uint64") else "unsigned int"
    return f"({C_TYPES[op.dtype]})({text})".replace("(T)", f"({C_TYPES[op.dtype]})").replace("(U)", f"({unsigned})")


def accumulate(op: Operation, total: str, value: str) -> str:
    """A reduction's result so far with one more value. A NaN stays NaN."""
    if op.name == "sum":
        return f"{total} + {value}"
    return f"{'larger' if op.name == 'max' else 'smaller'}({value}, {total})"


def initial(op: Operation) -> str:
    """The result of a reduction of no values."""
    return {"sum": "0", "max": "-INF", "min": "INF"}[op.name]
