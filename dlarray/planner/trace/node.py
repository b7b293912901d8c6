"""The values of a traced step: immutable nodes, and views of their memory."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.lib.array_utils import byte_bounds

from dlarray.planner.kernel.loops import OPERATIONS, REDUCTIONS

__all__ = [
    "LEAVES",
    "POINTWISE",
    "VIEWS",
    "Form",
    "Node",
    "UntraceableError",
    "attribute_key",
    "form",
    "is_dense",
    "layout",
    "root",
    "span",
    "view_of",
    "without_reshapes",
]

POINTWISE = frozenset(OPERATIONS) - REDUCTIONS - {"index"}
VIEWS = frozenset({"slice", "reshape", "permute"})
LEAVES = frozenset({"input", "array", "full", "index"})

Form = tuple[int, int]


class UntraceableError(TypeError):
    """The step cannot be planned; it runs eagerly."""


@dataclass(eq=False, slots=True)
class Node:
    """One value. ``op`` is a name of ``loops.OPERATIONS``, of ``VIEWS`` or of ``LEAVES``, or matmul, concat or call.

    Or it is start or wait, see ``collectives``. ``attribute`` is what else the operation needs: a slice's key, an
    input's number, a full array's value, a reduction's axes, a call's function.
    """

    op: str
    args: tuple[Node, ...]
    attribute: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    number: int

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def form(self) -> Form:
        """Rows and columns: the leading axes together, and the last."""
        return form(self.shape)

    @property
    def computes(self) -> bool:
        """Whether a kernel can make this value: pointwise, or a reduction."""
        return self.op in POINTWISE or self.op in REDUCTIONS

    @property
    def nbytes(self) -> int:
        """The bytes of the elements."""
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        return (
            f"%{self.number} = {self.op}({', '.join(f'%{a.number}' for a in self.args)}) {self.dtype}{list(self.shape)}"
        )


def form(shape: tuple[int, ...]) -> Form:
    """A shape as rows and columns; a vector is one row, a scalar one element."""
    return (math.prod(shape[:-1]), shape[-1]) if shape else (1, 1)


def without_reshapes(node: Node) -> Node:
    """The node without reshapes that keep rows and columns: the same value at the same (row, column)."""
    while node.op == "reshape" and node.form == node.args[0].form:
        node = node.args[0]
    return node


def root(node: Node) -> Node:
    """The node whose memory this node is or views."""
    while node.op in VIEWS:
        node = node.args[0]
    return node


def attribute_key(attribute: Any) -> Hashable:
    """An attribute as a dictionary's key, different for other types and bits: -0.0 is not 0.0, True is not 1."""
    if isinstance(attribute, tuple):
        return tuple(attribute_key(a) for a in cast("tuple[Any, ...]", attribute))
    if isinstance(attribute, (float, complex)):
        return (type(attribute), np.asarray(attribute).tobytes())
    own: Hashable = getattr(attribute, "key", None)
    return own if own is not None else (cast("Any", type(attribute)), repr(attribute))


def view_of(array: np.ndarray, node: Node) -> np.ndarray:
    """The view that ``node`` takes of its argument's array. Never a copy, not even of a single element."""
    if node.op == "slice":
        key = node.attribute
        return array[key if Ellipsis in key else (*key, Ellipsis)]
    if node.op == "permute":
        return array.transpose(node.attribute)
    return np.reshape(array, node.shape, copy=False)


def layout(node: Node) -> np.ndarray:
    """An array of this node's shape and strides, without memory: all elements share one byte.

    Raises ValueError if there is no such view.
    """
    if node.op in VIEWS:
        return view_of(layout(node.args[0]), node)
    strides = [math.prod(node.shape[i + 1 :]) for i in range(len(node.shape))]
    return np.lib.stride_tricks.as_strided(np.empty(1, np.bool_), node.shape, strides, writeable=False)


def span(node: Node) -> tuple[int, int]:
    """The range (start, stop) of the root's elements that a view lies in."""
    views: list[Node] = []
    while node.op in VIEWS:
        views.append(node)
        node = node.args[0]
    array = whole = layout(node)
    for view in reversed(views):
        array = view_of(array, view)
    start, stop = byte_bounds(array)
    return start - whole.ctypes.data, stop - whole.ctypes.data


def is_dense(node: Node) -> bool:
    """Whether the elements are C-contiguous."""
    return node.op not in VIEWS or bool(layout(node).flags.c_contiguous)
