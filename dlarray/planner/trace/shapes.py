"""The functions of the symbols' namespace that compute nothing: views, and joined arrays.

A result that NumPy can return as a view counts as one. A view of a scalar is another scalar.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from operator import index
from typing import Any, cast

import numpy as np

from dlarray.planner.trace.calls import broadcast
from dlarray.planner.trace.creation import Creation, sizes_of
from dlarray.planner.trace.node import Node
from dlarray.planner.trace.operators import operand
from dlarray.planner.trace.symbols import Symbol, computed, fresh

__all__ = ["Shapes"]


class Shapes(Creation):
    """Shapes, axes, and parts of arrays."""

    def _node(self, x: Any) -> Node:
        return self.graph.lift(operand(x))

    def _new(self, node: Node) -> Symbol:
        return computed(self.graph, node)

    def _view(self, x: Any, node: Node) -> Symbol:
        """A view of x's memory, or what can be one."""
        if isinstance(x, Symbol):
            return x.alias(node) if not x.is_scalar or not node.shape else fresh(self.graph, node)
        if isinstance(x, (np.ndarray, *self.graph.captured.kinds)):
            return Symbol(self.graph, node, read_only=True)
        return fresh(self.graph, node)

    # Questions about shapes

    def shape(self, a: Any) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self._node(a).shape

    def ndim(self, a: Any) -> int:
        """The number of axes."""
        return len(self._node(a).shape)

    def size(self, a: Any, axis: Any = None) -> int:
        """The number of elements, of all or along axes."""
        shape = self._node(a).shape
        axes = range(len(shape)) if axis is None else _axes(axis, len(shape))
        return math.prod(shape[i] for i in axes)

    def iscomplexobj(self, x: Any) -> bool:
        """Whether the type is one of complex numbers."""
        return self._node(x).dtype.kind == "c"

    def isrealobj(self, x: Any) -> bool:
        """Whether the type is not one of complex numbers."""
        return not self.iscomplexobj(x)

    # Views

    def reshape(self, x: Any, shape: int | Sequence[int], *, copy: bool | None = None) -> Symbol:
        """The same elements in another shape."""
        node, wanted = self._node(x), sizes_of(shape)
        if -1 in wanted:
            others = -math.prod(wanted)
            if others == 0 or node.size % others:
                raise ValueError(f"cannot reshape an array of shape {node.shape} into {wanted}")
            wanted = tuple(node.size // others if n == -1 else n for n in wanted)
        if math.prod(wanted) != node.size:
            raise ValueError(f"cannot reshape an array of shape {node.shape} into {wanted}")
        shaped = self.graph.reshape(node, wanted)
        return fresh(self.graph, shaped) if copy else self._view(x, shaped)

    def ravel(self, a: Any) -> Symbol:
        """The elements in one row."""
        return self.reshape(a, (-1,))

    def expand_dims(self, x: Any, axis: int | tuple[int, ...] = 0) -> Symbol:
        """New axes of length 1."""
        shape = self._node(x).shape
        number = len(axis) if isinstance(axis, tuple) else 1
        new = _axes(axis, len(shape) + number)
        lengths = iter(shape)
        return self.reshape(x, [1 if i in new else next(lengths) for i in range(len(shape) + number)])

    def squeeze(self, x: Any, axis: int | tuple[int, ...] | None = None) -> Symbol:
        """Without axes of length 1."""
        shape = self._node(x).shape
        gone = [i for i, n in enumerate(shape) if n == 1] if axis is None else _axes(axis, len(shape))
        if any(shape[a] != 1 for a in gone):
            raise ValueError(f"axes {axis} of an array of shape {shape} are not of length 1")
        return self.reshape(x, [n for i, n in enumerate(shape) if i not in gone])

    def permute_dims(self, x: Any, axes: Sequence[int] | None = None) -> Symbol:
        """The axes in another order, reversed by default."""
        node = self._node(x)
        order = tuple(reversed(range(len(node.shape)))) if axes is None else _axes(axes, len(node.shape))
        if len(order) != len(node.shape):
            raise ValueError(f"the axes {axes} are not those of an array of shape {node.shape}")
        return self._view(x, self.graph.permute(node, order))

    def matrix_transpose(self, x: Any, /) -> Symbol:
        """The last two axes exchanged."""
        return self.swapaxes(x, -1, -2)

    def swapaxes(self, a: Any, axis1: int, axis2: int) -> Symbol:
        """Two axes exchanged."""
        order = list(range(len(self._node(a).shape)))
        i, j = (_axes(axis, len(order))[0] for axis in (axis1, axis2))
        order[i], order[j] = order[j], order[i]
        return self.permute_dims(a, order)

    def moveaxis(self, a: Any, source: Any, destination: Any) -> Symbol:
        """Axes moved to other positions, the others in their order."""
        n = len(self._node(a).shape)
        moved, positions = _axes(source, n), _axes(destination, n)
        if len(moved) != len(positions):
            raise ValueError(f"{len(moved)} axes cannot be moved to {len(positions)} positions")
        order = [i for i in range(n) if i not in moved]
        for position, axis in sorted(zip(positions, moved, strict=True)):
            order.insert(position, axis)
        return self.permute_dims(a, order)

    def flip(self, m: Any, axis: Any = None) -> Symbol:
        """The elements along axes in reverse."""
        node = self._node(m)
        turned = range(len(node.shape)) if axis is None else _axes(axis, len(node.shape))
        backwards = slice(None, None, -1)
        key = tuple(backwards if i in turned else slice(None) for i in range(len(node.shape)))
        return self._view(m, self.graph.slice(node, key))

    def broadcast_to(self, array: Any, shape: Any) -> Symbol:
        """The elements repeated along new axes and axes of length 1."""
        node, wanted = self._node(array), sizes_of(shape)
        np.broadcast_to(np.empty((), bool), node.shape)
        return self._view(array, node if node.shape == wanted else self.graph.call(broadcast, [node], shape=wanted))

    def broadcast_arrays(self, *args: Any) -> tuple[Symbol, ...]:
        """All arrays broadcast to their common shape."""
        shape = np.broadcast_shapes(*(self._node(a).shape for a in args))
        return tuple([self.broadcast_to(a, shape) for a in args])

    def real(self, val: Any) -> Symbol:
        """The real parts."""
        node = self._node(val)
        return self._view(val, self.graph.call(np.real, [node]) if node.dtype.kind == "c" else node)

    # Parts

    def split(self, ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Symbol]:
        """Parts of equal length, or between indices."""
        length = self._node(ary).shape[_axes(axis, len(self._node(ary).shape))[0]]
        if not isinstance(indices_or_sections, (Sequence, np.ndarray)) and length % index(indices_or_sections):
            raise ValueError("array split does not result in an equal division")
        return self.array_split(ary, indices_or_sections, axis)

    def array_split(self, ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Symbol]:
        """Parts of nearly equal length, or between indices."""
        node = self._node(ary)
        (i,) = _axes(axis, len(node.shape))
        length = node.shape[i]
        if isinstance(indices_or_sections, (Sequence, np.ndarray)):
            ends = [0, *sizes_of(list(cast("Sequence[Any]", indices_or_sections))), length]
        else:
            short, longer = divmod(length, sections := index(indices_or_sections))
            ends = [k * short + min(k, longer) for k in range(sections + 1)]
        before = (slice(None),) * i
        parts = [(*before, slice(start, stop)) for start, stop in pairwise(ends)]
        return [self._view(ary, self.graph.slice(node, part)) for part in parts]

    def vsplit(self, ary: Any, indices_or_sections: Any) -> list[Symbol]:
        """Parts along the first axis."""
        return self.split(ary, indices_or_sections)

    def hsplit(self, ary: Any, indices_or_sections: Any) -> list[Symbol]:
        """Parts along the second axis, or the only one."""
        return self.split(ary, indices_or_sections, min(1, len(self._node(ary).shape) - 1))

    def unstack(self, x: Any, /, *, axis: int = 0) -> tuple[Symbol, ...]:
        """The arrays along an axis, without it."""
        node = self._node(x)
        (i,) = _axes(axis, len(node.shape))
        before = (slice(None),) * i
        return tuple([self._view(x, self.graph.slice(node, (*before, k))) for k in range(node.shape[i])])

    def meshgrid(self, *xi: Any, indexing: str = "xy", sparse: bool = False, copy: bool = True) -> Any:
        """Each coordinate on the grid of all of them."""
        if indexing not in ("xy", "ij"):
            raise ValueError(f"indexing is 'xy' or 'ij', got {indexing!r}")
        flipped = indexing == "xy" and len(xi) > 1
        axes = [1 - i if flipped and i < 2 else i for i in range(len(xi))]
        lines = [self.reshape(x, [-1 if a == i else 1 for i in range(len(xi))]) for x, a in zip(xi, axes, strict=True)]
        grids: Sequence[Symbol] = lines if sparse else self.broadcast_arrays(*lines)
        return tuple([fresh(self.graph, g.node) for g in grids] if copy and self.graph.has_scalars else grids)

    # Joining

    def concat(self, arrays: Sequence[Any], *, axis: int | None = 0) -> Symbol:
        """The arrays joined along an axis."""
        nodes = [self._node(a) for a in self._items(arrays)]
        if axis is None:
            nodes, axis = [self.graph.reshape(n, (n.size,)) for n in nodes], 0
        return fresh(self.graph, self.graph.concat(nodes, axis))

    def stack(self, arrays: Sequence[Any], *, axis: int = 0) -> Symbol:
        """The arrays joined along a new axis."""
        items = self._items(arrays)
        (new,) = _axes(axis, len(self._node(items[0]).shape) + 1)
        return self.concat([self.expand_dims(a, new) for a in items], axis=new)

    def _items(self, arrays: Any) -> list[Any]:
        if not isinstance(arrays, (Sequence, Symbol)):
            self.graph.refuse(f"arrays are joined from a list or tuple, got a {type(arrays).__name__}")
        return list(cast("Sequence[Any]", arrays))


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes as numbers from 0. Raises ValueError if the array has no such axis, or one is repeated."""
    wanted = tuple(map(index, cast("Sequence[Any]", axis))) if isinstance(axis, (Sequence, np.ndarray)) else index(axis)
    return tuple(np.lib.array_utils.normalize_axis_tuple(wanted, ndim))
