"""The operators of a graph: a ``Node`` for each value, with its type and shape by the rules of the array API.

A length that is known only when the graph runs is text: "N", or "3*N" for three times as much. Two such lengths that
meet in one operation are taken to be equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

__all__ = [
    "Length",
    "Node",
    "Shape",
    "Source",
    "broadcast",
    "cast_to",
    "constant",
    "emit",
    "promoted",
    "reduce",
    "same_shape",
]

Length = int | str
Shape = tuple[Length, ...]
_serial = count()


@dataclass(frozen=True, eq=False)
class Node:
    """One value: the ONNX operator that computes it, and the operator's inputs and attributes.

    ``serial`` numbers nodes in the order in which they are made. An input of the graph has the operator "".
    """

    op: str
    inputs: tuple[Source, ...]
    dtype: np.dtype[Any]
    shape: Shape
    attributes: dict[str, Any] = field(default_factory=dict[str, Any])
    serial: int = field(default_factory=lambda: next(_serial))

    def __repr__(self) -> str:
        return f"{self.op or 'Input'}: {self.dtype}{list(self.shape)}"


Source = Node | np.ndarray
"""What an operator takes: another value of the graph, or a constant."""

FLOAT_ONLY = {"Exp", "Log", "Sqrt", "Tanh", "Sin", "Cos", "Sinh", "Div", "Floor", "Ceil", "Round"}
BOOLEAN = {"Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal", "IsNaN", "IsInf"}
ON_BOOL = {"And": "BitwiseAnd", "Or": "BitwiseOr", "Xor": "BitwiseXor", "Not": "BitwiseNot"}
"""Operators on booleans, and those on the bits of integers."""


def constant(value: Any, dtype: Any = None) -> np.ndarray:
    """A constant of a graph."""
    return np.asarray(value, dtype=dtype)


def emit(op: str, *inputs: Source, dtype: Any = None, shape: Shape | None = None, **attributes: Any) -> Node:
    """A node; by default with the type and shape of its first input, and for functions of real numbers a float."""
    first = inputs[0]
    if op == "Not" and first.dtype.kind != "b":
        op = "BitwiseNot"
    if op in FLOAT_ONLY and first.dtype.kind != "f":
        inputs = (first := cast_to(first, np.float64), *inputs[1:])
    kind = np.dtype(dtype or (np.bool_ if op in BOOLEAN else first.dtype))
    return Node(op, inputs, kind, same_shape(*(x.shape for x in inputs)) if shape is None else shape, attributes)


def cast_to(x: Source, dtype: Any) -> Source:
    """x in another type; x itself if it has the type."""
    dtype = np.dtype(dtype)
    if x.dtype == dtype:
        return x
    return x.astype(dtype) if isinstance(x, np.ndarray) else Node("Cast", (x,), dtype, x.shape, {"to": dtype})


def promoted(*operands: Any) -> list[Source]:
    """Operands in one type. A Python number takes the type of the arrays."""
    if any(getattr(x, "dtype", np.dtype("i4")).kind in "UT" for x in operands):
        return [x if isinstance(x, Node) else constant(x) for x in operands]
    kinds: list[Any] = [x if isinstance(x, (bool, int, float)) else x.dtype for x in operands]
    found = np.result_type(*kinds)
    return [cast_to(x if isinstance(x, Node) else constant(x), found) for x in operands]


def same_shape(*shapes: Shape) -> Shape:
    """The shape to which these broadcast."""
    if all(shape == shapes[0] for shape in shapes):
        return shapes[0]
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(_common(lengths) for lengths in zip(*padded, strict=True))


def _common(lengths: tuple[Length, ...]) -> Length:
    known = {n for n in lengths if isinstance(n, int) and n != 1}
    if len(known) > 1:
        raise ValueError(f"axes of lengths {sorted(known)} cannot be broadcast to one shape")
    return known.pop() if known else next((n for n in lengths if isinstance(n, str)), 1)


def broadcast(op: str, a: Any, b: Any) -> Node:
    """A binary operator of Python; a or b can be a Python number."""
    if op == "Pow" and not isinstance(b, Node) and np.ndim(b) == 0 and float(b) in (0.5, 2.0):
        return emit("Sqrt", a) if float(b) == 0.5 else broadcast("Mul", a, a)
    a, b = promoted(a, b)
    if op == "MatMul":
        return _product(a, b)
    if op == "NotEqual":
        return emit("Not", emit("Equal", a, b))
    if op in ON_BOOL and a.dtype.kind != "b":
        op = ON_BOOL[op]
    if op in ("ShiftLeft", "ShiftRight"):
        return _shift(op, a, b)
    if op == "Remainder":
        return _remainder(a, b)
    if op == "FloorDiv":
        return _floored_quotient(a, b)
    if op == "Div" and a.dtype.kind != "f":
        a, b = cast_to(a, np.float64), cast_to(b, np.float64)
    return emit(op, a, b)


def _floored_quotient(a: Source, b: Source) -> Node:
    """The quotient rounded down; Div of integers rounds towards 0."""
    if a.dtype.kind == "f":
        return emit("Floor", emit("Div", a, b))
    negative = broadcast("NotEqual", emit("Less", a, constant(0, a.dtype)), emit("Less", b, constant(0, b.dtype)))
    rounded = broadcast("And", broadcast("NotEqual", _remainder(a, b), 0), negative)
    return emit("Sub", Node("Div", (a, b), a.dtype, same_shape(a.shape, b.shape)), cast_to(rounded, a.dtype))


def _remainder(a: Source, b: Source) -> Node:
    """The remainder with the sign of b."""
    if a.dtype.kind != "f":
        return emit("Mod", a, b, fmod=0)
    return emit("Sub", a, emit("Mul", emit("Floor", emit("Div", a, b)), b))


def _shift(op: str, a: Source, b: Source) -> Node:
    """Shifts of int32, by a constant: ONNX shifts unsigned integers alone, and Cast keeps the bits."""
    if a.dtype != np.int32 or not isinstance(b, np.ndarray):
        raise TypeError(f"a graph of ONNX shifts int32 by a constant, got {a.dtype}")
    if op == "ShiftLeft":
        return emit("Mul", a, constant(1, np.int32) << b)
    # The sign becomes the highest bit of a positive number, and is subtracted after the shift.
    unsigned = cast_to(emit("BitwiseXor", a, constant(-(2**31), np.int32)), np.uint32)
    shifted = cast_to(emit("BitShift", unsigned, b.astype(np.uint32), direction="RIGHT"), np.int32)
    return emit("Sub", shifted, (constant(2**31, np.int64) >> b).astype(np.int32))


def _product(a: Source, b: Source) -> Node:
    """The matrix product, by Gemm if a matrix is transposed: onnxruntime 1.24 cannot fuse its MatMul in float64."""
    shape = _product_shape(a.shape, b.shape)
    across = {name: 1 for name, x in (("transA", a), ("transB", b)) if _is_transposed(x)}
    if len(a.shape) == len(b.shape) == 2 and a.dtype.kind == "f" and across:
        a, b = (x.inputs[0] if isinstance(x, Node) and _is_transposed(x) else x for x in (a, b))
        return emit("Gemm", a, b, shape=shape, **across)
    return emit("MatMul", a, b, shape=shape)


def _is_transposed(x: Source) -> bool:
    return isinstance(x, Node) and x.op == "Transpose" and x.attributes["perm"] == [1, 0]


def _product_shape(a: Shape, b: Shape) -> Shape:
    if len(a) == 1 or len(b) == 1:
        return a[:-1] if len(b) == 1 else (*b[:-2], b[-1])
    if isinstance(a[-1], int) and isinstance(b[-2], int) and a[-1] != b[-2]:
        raise ValueError(f"matrices of shapes {a} and {b} have no product")
    return (*same_shape(a[:-2], b[:-2]), a[-2], b[-1])


def reduce(op: str, x: Source, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Node:
    """ReduceSum, ReduceMax and others over axes; None: all."""
    axes = range(len(x.shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = sorted(i % len(x.shape) for i in axes)
    kept = [(1 if keepdims else None) if i in axes else n for i, n in enumerate(x.shape)]
    shape = tuple(n for n in kept if n is not None)
    if not axes:  # the operators would reduce all axes
        return emit("Identity", x)
    return Node(op, (x, constant(axes, np.int64)), x.dtype, shape, {"keepdims": int(keepdims)})
