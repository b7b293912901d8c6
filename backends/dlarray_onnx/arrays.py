"""``OnnxArray``: numbers on the host, or a value of an ONNX graph that is being written.

A formula runs on both. With numbers it computes them by NumPy at once. With a value of a graph, a *symbol*, it adds an
ONNX operator to the graph: ``nodes`` says which.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np

from dlarray_onnx.nodes import Node, Source, broadcast, emit
from dlarray_onnx.shapes import index, transpose

__all__ = ["OnnxArray", "is_symbol", "lift", "numbers", "wrap"]


class OnnxArray:
    """An array with numbers (``value``), or a symbol (``node``). It is not written: every operation makes a new one.

    A symbol's axis of unknown length has the length None in ``shape``.
    """

    __slots__ = ("node", "value")
    __array_ufunc__ = None  # NumPy's operators leave the operation to ours
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: np.ndarray | None = None, node: Node | None = None) -> None:
        self.value = value
        self.node = node

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        from dlarray_onnx.namespace import namespace

        return namespace

    @property
    def source(self) -> Source:
        """The node of a symbol, or the numbers of an array: what an operator takes."""
        return cast("np.ndarray", self.value) if self.node is None else self.node

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its numbers, one of NumPy."""
        return self.source.dtype

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The lengths of its axes; None where the graph has a name for the length."""
        return tuple(n if isinstance(n, int) else None for n in self.source.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.source.shape)

    @property
    def size(self) -> int | None:
        """The number of elements; None if an axis has no known length."""
        return None if None in self.shape else int(np.prod(cast("Any", self.shape), dtype=np.int64))

    @property
    def device(self) -> str:
        """The only device."""
        return "cpu"

    def to_device(self, device: str, /, *, stream: Any = None) -> OnnxArray:
        """The array itself."""
        if device != "cpu":
            raise ValueError(f"onnx has the device cpu alone, got {device!r}")
        return self

    @property
    def T(self) -> OnnxArray:  # noqa: N802
        """The transpose of a matrix."""
        return self.mT

    @property
    def mT(self) -> OnnxArray:  # noqa: N802
        """The last two axes exchanged."""
        if self.node is None:
            return OnnxArray(numbers(self).mT)
        axes = list(range(self.ndim))
        axes[-2:] = axes[-1], axes[-2]
        return OnnxArray(node=transpose(self.node, axes))

    def __getitem__(self, key: Any) -> OnnxArray:
        if self.node is not None:
            return OnnxArray(node=index(self.node, key))
        unwrap: Callable[[Any], Any] = lambda k: numbers(k) if isinstance(k, OnnxArray) else k  # noqa: E731
        keys = tuple(map(unwrap, cast("tuple[Any, ...]", key))) if isinstance(key, tuple) else unwrap(key)
        return OnnxArray(np.asarray(numbers(self)[keys]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(numbers(self), dtype=dtype, copy=copy)

    def __bool__(self) -> bool:
        return bool(numbers(self))

    def __int__(self) -> int:
        return int(numbers(self))

    def __index__(self) -> int:
        return operator.index(numbers(self))  # pyright: ignore[reportArgumentType]

    def __float__(self) -> float:
        return float(numbers(self))

    def __len__(self) -> int:
        return len(numbers(self))

    def __repr__(self) -> str:
        return repr(self.value).replace("array", "OnnxArray", 1) if self.node is None else f"<symbol {self.node!r}>"


def wrap(source: Source) -> OnnxArray:
    """The array with these numbers, or the symbol of this node."""
    return OnnxArray(source) if isinstance(source, np.ndarray) else OnnxArray(node=source)


def is_symbol(x: object) -> bool:
    """Whether x is a value of a graph."""
    return isinstance(x, OnnxArray) and x.node is not None


def numbers(x: OnnxArray) -> np.ndarray:
    """The numbers of an array. Raises TypeError for a symbol, which has none."""
    if x.value is None:
        raise TypeError("a value of an ONNX graph has no numbers while the graph is written, only when it runs")
    return x.value


def lift(compute: Callable[..., Any], write: Callable[..., Source]) -> Callable[..., Any]:
    """A function on arrays: ``compute`` gets NumPy arrays, or ``write`` gets nodes if one of the arrays is a symbol."""

    def function(*args: Any, **options: Any) -> OnnxArray:
        if any(map(is_symbol, args)):
            return wrap(write(*(x.source if isinstance(x, OnnxArray) else x for x in args), **options))
        return OnnxArray(np.asarray(compute(*(x.value if isinstance(x, OnnxArray) else x for x in args), **options)))

    return function


def _operator(compute: Callable[..., Any], op: str, reflected: bool = False) -> Callable[..., Any]:
    lifted = lift(compute, partial(broadcast, op))

    def method(self: OnnxArray, other: Any) -> Any:
        if not isinstance(other, (OnnxArray, bool, int, float, np.generic)):
            return NotImplemented
        return lifted(other, self) if reflected else lifted(self, other)

    return method


_BINARY = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "truediv": "Div",
    "floordiv": "FloorDiv",
    "mod": "Remainder",
    "pow": "Pow",
    "matmul": "MatMul",
    "and": "And",
    "or": "Or",
    "xor": "Xor",
    "lshift": "ShiftLeft",
    "rshift": "ShiftRight",
}
_COMPARISONS = {
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
    "eq": "Equal",
    "ne": "NotEqual",
}
_UNARY = {"neg": "Neg", "abs": "Abs", "invert": "Not"}


def _define() -> None:
    for name, op in (_BINARY | _COMPARISONS).items():
        compute = getattr(operator, f"__{name}__")
        setattr(OnnxArray, f"__{name}__", _operator(compute, op))
        if name in _BINARY:
            setattr(OnnxArray, f"__r{name}__", _operator(compute, op, reflected=True))
    for name, op in _UNARY.items():
        setattr(OnnxArray, f"__{name}__", lift(getattr(operator, f"__{name}__"), partial(emit, op)))
    OnnxArray.__pos__ = lambda self: self  # type: ignore[attr-defined]


_define()
