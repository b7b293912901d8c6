"""The graph of a traced step: every value once, immutable, in trace order.

Two nodes with the same operation and arguments are one node (hash-consing), so a value that formulas write twice is
computed once. A node knows its shape and dtype. Each conversion between dtypes is a node; NumPy's type resolution
decides which are needed. An operation that no kernel supports becomes a ``call``: NumPy's function, run eagerly inside
the plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NoReturn, cast

import numpy as np

from dlarray.planner.kernel.loops import DTYPES, FLOATS
from dlarray.planner.trace.calls import (
    Call,
    broadcast,
    call_on_samples,
    concatenate,
    convert,
    copy,
    extract_arrays,
    sample,
    to_native,
)
from dlarray.planner.trace.captured import Captured, Library
from dlarray.planner.trace.eager_memory import EagerMemory
from dlarray.planner.trace.node import LEAVES, POINTWISE, VIEWS, Node, UntraceableError, attribute_key, form, layout
from dlarray.planner.trace.promotion import is_weak, resolve_types, type_name

__all__ = ["Graph"]


class Graph:
    """The nodes of one trace, in order."""

    def __init__(self, state: Sequence[Any] = (), library: Library | None = None) -> None:
        self.nodes: list[Node] = []
        self.captured = Captured(state, library)
        """Arrays that the step closes over, by index. They are read in place, as the eager step does."""
        self.has_scalars = True
        """Whether computed values without axes are scalars, as in NumPy.

        If they are 0-d arrays, another library runs the step: it can return views where NumPy copies: +x, x.flatten().
        """
        self.eager_memory = EagerMemory()
        """The memory that the eager step takes."""
        self.refused: UntraceableError | None = None
        """The first refusal. If the step caught it, it took another path than it takes on arrays."""
        self.is_closed = False
        """Whether the step has run: symbols that it has stored cannot be read any more."""
        self.namespace: Any = None
        """The array-API namespace of this graph's symbols."""
        self.collectives: list[Node] = []
        """The results of the exchanges with other ranks, in order; see ``collectives``."""
        self._known: dict[Hashable, Node] = {}

    def refuse(self, why: str) -> NoReturn:
        """Raise UntraceableError, and remember it."""
        error = UntraceableError(why)
        self.refused = self.refused or error
        raise error

    def node(self, op: str, args: Sequence[Node], attribute: Any, shape: tuple[int, ...], dtype: Any) -> Node:
        """The node with these properties, an existing one if there is one."""
        dtype = np.dtype(dtype)
        key = (op, tuple(a.number for a in args), attribute_key(attribute), shape, dtype)
        if key not in self._known:
            self._known[key] = Node(op, tuple(args), attribute, shape, dtype, len(self.nodes))
            self.nodes.append(self._known[key])
        return self._known[key]

    # Leaves

    def input(self, number: int, shape: tuple[int, ...], dtype: Any) -> Node:
        """An argument of the step."""
        return self.node("input", (), number, shape, dtype)

    def full(self, shape: tuple[int, ...], value: Any, dtype: Any) -> Node:
        """One number everywhere. Raises OverflowError if the dtype cannot hold it."""
        return self.node("full", (), np.dtype(dtype).type(value).item(), shape, dtype)

    def index(self, shape: tuple[int, ...], dtype: Any) -> Node:
        """0, 1, 2, … in the order of memory."""
        return self.node("index", (), None, shape, dtype)

    def array(self, array: np.ndarray) -> Node:
        """An array that is not an argument of the step."""
        if array.ndim == 0 and array.dtype.name in DTYPES and not array.flags.writeable:
            return self.full((), array.item(), array.dtype)
        leaf = self.node("array", (), self.captured.index(array), array.shape, array.dtype)
        if array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative:
            return leaf
        return self.call(to_native, [leaf])  # a copy, made at every step

    def lift(self, value: Any) -> Node:
        """A node for a node, an array or a scalar."""
        if isinstance(value, Node):
            return value
        if isinstance(value, np.ndarray):
            return self.array(cast("np.ndarray", value))
        if isinstance(value, self.captured.kinds):
            return self.node("array", (), self.captured.index(value), tuple(value.shape), value.dtype)
        array = np.asarray(value)  # another library's array can share memory that its owner writes
        if isinstance(value, (bool, int, float, complex, np.generic)):
            array.flags.writeable = False
        return self.array(array)

    def constant(self, node: Node) -> np.ndarray:
        """The values of a leaf that is not an input."""
        if node.op == "array":
            return self.captured.values_of(self.captured.arrays[int(node.attribute)])
        if node.op == "index":
            return np.arange(node.size).astype(node.dtype).reshape(node.shape)
        return np.full(node.shape, node.attribute, node.dtype)

    # Pointwise operations and reductions

    def pointwise(self, name: str, *args: Any) -> Node:
        """A NumPy ufunc, or ``where``, of nodes, arrays and Python scalars, which are weak as in NumPy."""
        operands: list[Any] = [a if is_weak(a) else self.lift(a) for a in args]
        nodes = [a for a in operands if isinstance(a, Node)]
        shape = np.broadcast_shapes(*(a.shape for a in nodes))
        try:
            loop, dtype = resolve_types(name, operands)
            if (
                name not in POINTWISE
                or not {type_name(np.dtype(d)) for d in (*loop, dtype)} <= DTYPES
                or (name in FLOATS and dtype.kind != "f")
                or math.prod(shape) == 0
            ):
                raise UntraceableError(name)
            values = [
                self.cast(a, d) if isinstance(a, Node) else self.full((), a, d)
                for a, d in zip(operands, loop, strict=True)
            ]
        except (UntraceableError, OverflowError):
            return self.call(getattr(np, name), operands)
        return self.node(name, [self._broadcast_to(v, shape) for v in values], None, shape, dtype)

    def _broadcast_to(self, operand: Node, shape: tuple[int, ...]) -> Node:
        """The operand, broadcast by an eager call unless kernels can repeat it along whole rows or columns."""
        (r, c), (rows, cols) = operand.form, form(shape)
        if r in (1, rows) and c in (1, cols):
            return self._as_matrix(operand)
        return self.call(broadcast, [operand], shape=shape)

    def _as_matrix(self, x: Node) -> Node:
        """The operand, copied if its rows have no constant stride."""
        if x.op in VIEWS and len(x.shape) > 2:
            try:
                np.reshape(layout(x), x.form, copy=False)
            except ValueError:
                return self.call(copy, [x])
        return x

    def cast(self, x: Node, dtype: Any) -> Node:
        """The same numbers in another dtype."""
        dtype = np.dtype(dtype)
        if x.dtype == dtype:
            return x
        if x.size == 0 or not {type_name(x.dtype), type_name(dtype)} <= DTYPES:
            return self.call(convert, [x], dtype=dtype)
        return self.node("astype", (self._as_matrix(x),), None, x.shape, dtype)

    def bits(self, x: Node, dtype: Any) -> Node:
        """The same bits, read as another dtype of the same width."""
        dtype = np.dtype(dtype)
        if x.dtype == dtype:
            return x
        if x.dtype.itemsize != dtype.itemsize or not {type_name(x.dtype), type_name(dtype)} <= DTYPES - {"bool"}:
            raise UntraceableError(f"numbers of type {x.dtype} are viewed as {dtype}")
        if x.size == 0:
            return self.call(np.ndarray.view, [x], dtype=dtype)
        return self.node("bits", (self._as_matrix(x),), None, x.shape, dtype)

    def reduce(self, name: str, x: Node, axis: int | tuple[int, ...] | None, keepdims: bool) -> Node:
        """sum, max or min: in a kernel over rows, columns or all elements of floats, else an eager call."""
        every = tuple(range(len(x.shape)))
        wanted = every if axis is None else axis if isinstance(axis, tuple) else (axis,)
        if not every and wanted in ((0,), (-1,)):  # NumPy reduces 0-d arrays along one axis
            wanted = ()
        axes = tuple(sorted(np.lib.array_utils.normalize_axis_tuple(wanted, len(x.shape))))
        with_ones = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        shape = with_ones if keepdims else tuple(n for i, n in enumerate(x.shape) if i not in axes)
        if x.op == "full" and x.size:  # it is in no array that a kernel could read
            whole = np.full(x.shape, x.attribute, x.dtype)
            value = getattr(np, name)(whole, axis=axes).flat[0]
            return self.full(shape, value, value.dtype)
        over = "row" if axes == every[-1:] else "column" if axes == every[:-1] else None
        over = "all" if math.prod(shape) == 1 else over
        if over is None or x.size == 0 or type_name(x.dtype) not in ("float32", "float64"):
            return self.call(getattr(np, name), [x], axis=axes, keepdims=keepdims)
        if math.prod(with_ones) == x.size:  # each of one number
            return self.reshape(x, shape)
        return self.reshape(self.node(name, (self._as_matrix(x),), over, with_ones, x.dtype), shape)

    # Views

    def reshape(self, x: Node, shape: tuple[int, ...]) -> Node:
        """The same elements in the same order."""
        if x.shape == shape:
            return x
        if x.op == "full":
            return self.full(shape, x.attribute, x.dtype)
        if x.op == "index":
            return self.index(shape, x.dtype)
        if self._generated(x) and form(shape) != x.form:  # it is in no array: generate it in the new shape
            args = [a if a.size == 1 else self.reshape(a, shape) for a in x.args]
            return self.node(x.op, args, x.attribute, shape, x.dtype)
        if x.op == "reshape":
            return self.reshape(x.args[0], shape)
        view = self.node("reshape", (x,), shape, shape, x.dtype)
        try:
            layout(view)
        except ValueError:  # as in NumPy, memory order requires a copy
            return self.reshape(self.call(copy, [x]), shape)
        return view

    def _generated(self, x: Node) -> bool:
        """Whether a value is computed from indices and single numbers only, as a dropout mask is."""
        if x.op in ("index", "full"):
            return True
        return x.op in POINTWISE and all(a.size == 1 or (a.size == x.size and self._generated(a)) for a in x.args)

    def slice(self, x: Node, key: tuple[Any, ...]) -> Node:
        """Basic indexing: integers, slices, None and an ellipsis."""
        shape = np.broadcast_to(np.empty((), bool), x.shape)[key].shape
        if x.op == "full":
            return self.full(shape, x.attribute, x.dtype)
        if shape == x.shape and all(k == slice(None) or k is Ellipsis for k in key):
            return x
        return self.node("slice", (x,), key, shape, x.dtype)

    def permute(self, x: Node, axes: tuple[int, ...]) -> Node:
        """The axes in another order."""
        shape = tuple(x.shape[i] for i in axes)
        if axes == tuple(range(len(axes))):
            return x
        if x.op == "full":
            return self.full(shape, x.attribute, x.dtype)
        return self.node("permute", (x,), axes, shape, x.dtype)

    # Everything else

    def matmul(self, a: Node, b: Node) -> Node:
        """The product of two matrices, by the library."""
        floats = a.dtype == b.dtype and type_name(a.dtype) in ("float32", "float64")
        if (
            not floats
            or len(a.shape) != 2
            or len(b.shape) != 2
            or a.shape[1] != b.shape[0]
            or 0 in (*a.shape, *b.shape)
        ):
            return self.call(np.matmul, [a, b])
        return self.node("matmul", (a, b), None, (a.shape[0], b.shape[1]), a.dtype)

    def concat(self, parts: Sequence[Node], axis: int) -> Node:
        """The parts joined."""
        filled = [p for p in parts if p.size]
        if axis != 0 or not filled or any(len(p.shape) != 1 or p.dtype != parts[0].dtype for p in parts):
            return self.call(concatenate, list(parts), axis=axis)
        return self.node("concat", filled, None, (sum(p.size for p in filled),), filled[0].dtype)

    def call(self, function: Callable[..., Any], args: Sequence[Any], **options: Any) -> Node:
        """An eager call inside the plan, of nodes and any other arguments."""
        nodes: list[Node] = []
        return self.sampled_call(Call(function, extract_arrays((tuple(args), options), nodes, (Node,))), nodes)

    def sampled_call(self, call: Call, nodes: Sequence[Node]) -> Node:
        """An eager call of nodes. Calls on sample arrays of meaningless numbers find the result's shape and type.

        Raises UntraceableError if the result is not one array, or if its shape or type differs between samples.
        """
        whole = any(n.dtype.kind in "iub" and not _is_constant(n) for n in nodes)
        given, result = call_on_samples(call, [[self._sample(n, i) for n in nodes] for i in range(1 + whole)])
        call.view_of = next((i for i, a in enumerate(given) if np.may_share_memory(a, result)), None)
        call.is_scalar = isinstance(result, np.generic)
        return self.known_call(call, nodes, result.shape, result.dtype)

    def known_call(self, call: Call, nodes: Sequence[Node], shape: tuple[int, ...], dtype: Any) -> Node:
        """An eager call whose result's shape and type are known."""
        return self.node("call", nodes, call, shape, dtype)

    def _sample(self, node: Node, whole: int) -> np.ndarray:
        """A constant's values; else an array of the node's shape and dtype with meaningless numbers."""
        return self.constant(node) if _is_constant(node) else sample(node, whole)


def _is_constant(node: Node) -> bool:
    return node.op in LEAVES and node.op != "input"
