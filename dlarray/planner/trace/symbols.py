"""Symbols: arrays without values. A step runs on them once to record what it computes.

A symbol is a box around an immutable node: ``y += b`` puts another node into the box, which is right as long as no
other array shares the memory. ``_Memory`` knows which arrays share memory: after a write into one of several views the
others are stale and cannot be read. If memory order decides between a view and a copy, a symbol counts as a view. A
value without axes is a scalar or a 0-d array, as in NumPy: ``y += b`` rebinds y to another scalar, and writes into an
array. What cannot be traced raises ``UntraceableError``; then the step runs eagerly, which is always right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, cast

import numpy as np

from dlarray.planner.trace.eager_memory import EagerMemory
from dlarray.planner.trace.graph import Graph
from dlarray.planner.trace.indexing import assigned, is_basic, is_view, item, updated_at
from dlarray.planner.trace.node import Node, UntraceableError, root, span
from dlarray.planner.trace.operators import Operators, operand

__all__ = ["Symbol", "computed", "fresh"]

_ALIASED = "an array is read after another view of its memory was written: write it without aliasing"
_REBOUND = (
    "an array of the state without axes is read under another name after it was changed in place, which NumPy does for "
    "an array and not for a scalar: write x = x + y for x += y"
)


class _Memory:
    """The memory that an array and its views share; ``version`` counts the writes.

    If it is ``read_only``, the step must not write it. Memory that the step allocates counts in ``eager_memory`` as
    long as it lives.
    """

    def __init__(self, read_only: bool = False, eager_memory: EagerMemory | None = None, nbytes: int = 0) -> None:
        self.version = 0
        self.read_only = read_only
        self._eager_memory = eager_memory
        self._nbytes = nbytes
        if eager_memory is not None:
            eager_memory.allocate(nbytes)

    def __del__(self) -> None:
        if self._eager_memory is not None:
            self._eager_memory.free(self._nbytes)


class Symbol(Operators):
    """An array of known shape and dtype and unknown values."""

    __hash__ = None  # type: ignore[assignment]  # as NumPy's arrays
    device = "cpu"
    symbolic = True
    __array_priority__ = 1000  # CuPy's operators then leave it to the symbol's

    def __init__(
        self,
        graph: Graph,
        node: Node,
        memory: _Memory | None = None,
        read_only: bool = False,
        is_scalar: bool | None = False,
    ) -> None:
        self.graph = graph
        self._is_scalar = is_scalar
        self._node = node
        self._memory = memory or _Memory(read_only)
        self._version = self._memory.version
        self._stale = _ALIASED

    @property
    def node(self) -> Node:  # type: ignore[override]  # read alone
        """The present value."""
        if self.graph.is_closed:
            raise UntraceableError(
                "a value that a step computed while it was traced is read outside of it: make it part of the state"
            )
        if self._version != self._memory.version:
            self.graph.refuse(self._stale)
        return self._node

    @property
    def is_scalar(self) -> bool | None:
        """Whether this is a scalar in NumPy, which cannot be written; None if it can be a scalar or an array."""
        return self._is_scalar if self.graph.has_scalars else False

    def alias(self, node: Node) -> Symbol:
        """A view of this array's memory; of a scalar another scalar."""
        if self.is_scalar:
            return computed(self.graph, node)
        return Symbol(self.graph, node, self._memory, is_scalar=False if node.shape else self.is_scalar)

    def fresh_like(self, node: Node) -> Symbol:
        """A new array, or a new scalar if this is one."""
        return Symbol(
            self.graph, node, _new_memory(self.graph, node), is_scalar=False if node.shape else self.is_scalar
        )

    @property
    def memory(self) -> int:
        """The identity of the memory: equal for an array and its views."""
        return id(self._memory)

    def overlaps(self, other: Symbol) -> bool:
        """Whether a write into one array changes the other."""
        if self._memory is not other._memory or self.is_scalar or other.is_scalar or 0 in (self.size, other.size):
            return False
        if root(self.node) is not root(other.node):
            return True  # a copy because of memory order, or a view that is a copy here
        (start, stop), (low, high) = span(self.node), span(other.node)
        return start < high and low < stop

    def view(self, dtype: Any = None) -> Symbol:
        """NumPy's method: the same memory, read as another type."""
        return self.alias(self.node if dtype is None else self.graph.bits(self.node, dtype))

    def computed(self, node: Node) -> Symbol:
        """The result of an operator."""
        return computed(self.graph, node)

    def updated(self, node: Node) -> Symbol:
        """The result of augmented assignment: a new scalar, or the array after the write."""
        if self.is_scalar:
            return computed(self.graph, node)
        if self.is_scalar is None and (node.shape or node.dtype != self.dtype):
            self.graph.refuse(
                f"an array of the state without axes, of type {self.dtype}, is changed in place to {node.dtype}"
                f"{list(node.shape)}, which NumPy does for a scalar and not for an array"
            )
        self.write(node)
        if self.is_scalar is False:
            return self
        self._version, self._stale = -1, _REBOUND
        return self.alias(self._node)

    def write(self, node: Node) -> Self:
        """Write another value into the memory."""
        if self.is_scalar:
            raise TypeError("a scalar cannot be written: NumPy returns no array here")
        if node.shape != self.shape:
            raise ValueError(f"a result of shape {node.shape} cannot be written into an array of shape {self.shape}")
        if not np.can_cast(node.dtype, self.dtype, "same_kind"):
            raise TypeError(f"a result of type {node.dtype} cannot be written into an array of type {self.dtype}")
        if self._memory.read_only:
            self.graph.refuse("the step writes into an array that is not part of its state")
        _ = self.node  # refuses a stale view
        self._node = self.graph.cast(node, self.dtype)
        self._memory.version += 1
        self._version = self._memory.version
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self._node.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers."""
        return self._node.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._node.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._node.size

    @property
    def T(self) -> Symbol:  # noqa: N802 - the standard's name
        """The array with its axes reversed."""
        return self.alias(self.graph.permute(self.node, tuple(reversed(range(self.ndim)))))

    @property
    def mT(self) -> Symbol:  # noqa: N802
        """The array with its last two axes exchanged."""
        return self.__array_namespace__().matrix_transpose(self)

    @property
    def real(self) -> Symbol:
        """The real parts."""
        return self.__array_namespace__().real(self)

    @property
    def imag(self) -> Symbol:
        """The imaginary parts."""
        return self.__array_namespace__().imag(self)

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of the elements."""
        return self._node.nbytes

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d array")
        return self.shape[0]

    def __getitem__(self, key: Any) -> Symbol:
        keys = cast("tuple[Any, ...]", key) if isinstance(key, tuple) else (key,)
        basic = all(map(is_basic, keys))
        node = self.graph.slice(self.node, keys) if basic else item(self.graph, self.node, keys)
        if not node.shape and self.graph.has_scalars and not any(k is Ellipsis for k in keys):
            return computed(self.graph, node)
        if self.is_scalar or not (basic or is_view(self.graph, keys)):
            return fresh(self.graph, node)
        return self.alias(node)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __setitem__(self, key: Any, value: Any) -> None:
        self.write(assigned(self.graph, self.node, key, operand(value)))

    def _no_value(self, *_: Any) -> Any:
        self.graph.refuse("the step branches on an array's value: use where")

    def __index__(self) -> int:
        self.graph.refuse(
            "an array's value is used as a length, or as an index of a NumPy array: use take(table, i, axis=0)"
        )

    __bool__ = __float__ = __int__ = __complex__ = item = tolist = tobytes = _no_value
    __round__ = __trunc__ = __floor__ = __ceil__ = _no_value

    def __array__(self, *_: Any, **__: Any) -> Any:
        self.graph.refuse(
            "the step reads an array's numbers while it is traced, as NumPy does to build an array from arrays: "
            "use stack or concat, or begin with zeros_like(x)"
        )

    def __format__(self, spec: str) -> str:
        if spec:
            self.graph.refuse("the step writes an array's numbers as text")
        return repr(self)

    def __copy__(self) -> Symbol:
        return self.fresh_like(self.node)

    def __deepcopy__(self, _: Any) -> Symbol:
        return self.fresh_like(self.node)

    def __reduce__(self) -> Any:
        self.graph.refuse("the step pickles an array")

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        """The namespace of symbols."""
        return self.graph.namespace

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **options: Any) -> Any:
        """NumPy's own functions, called on a symbol: ``np.exp(x)``."""
        if method == "at" and isinstance(args[0], Symbol):
            target: Symbol = args[0]
            target.write(updated_at(self.graph, ufunc, target.node, args[1], [operand(a) for a in args[2:]]))
            return None
        if "out" in options or method == "at":
            self.graph.refuse(
                f"{ufunc.__name__} writes into a NumPy array (out=, at, or +=): "
                "begin with zeros_like(x), and write y = y + x"
            )
        return self.__array_namespace__().numpy(
            ufunc if method == "__call__" else getattr(ufunc, method), args, options
        )

    def __array_function__(self, function: Callable[..., Any], _: Any, args: Any, options: Any) -> Any:
        """The same for NumPy's other functions: ``np.concatenate([x, y])``."""
        return self.__array_namespace__().numpy(function, args, options)

    def __getattr__(self, name: str) -> Any:
        """NumPy's methods, ``x.sum(axis=0)``: the namespace's function of that name, or an eager call."""
        if name.startswith("_") or not callable(getattr(np.ndarray, name, None)):
            raise AttributeError(f"an array has no attribute {name!r} that can be traced")
        return self.__array_namespace__().method(self, name)


def fresh(graph: Graph, node: Node) -> Symbol:
    """A new array, with new memory."""
    return Symbol(graph, node, _new_memory(graph, node))


def computed(graph: Graph, node: Node) -> Symbol:
    """The result of a ufunc, a reduction or a product: a new array, or a scalar if it has no axes."""
    return Symbol(graph, node, _new_memory(graph, node), is_scalar=not node.shape)


def _new_memory(graph: Graph, node: Node) -> _Memory:
    return _Memory(eager_memory=graph.eager_memory, nbytes=node.nbytes)
