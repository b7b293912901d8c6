"""Operators that change the shape of a value: transposes, reshapes, slices, concatenations."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, cast

import numpy as np

from dlarray_onnx.nodes import Length, Node, Source, constant, emit, promoted

__all__ = ["broadcast_to", "concat", "expand_dims", "index", "reshape", "squeeze", "take", "transpose"]


def transpose(x: Source, axes: Sequence[int]) -> Node:
    """The axes in another order."""
    return emit("Transpose", x, shape=tuple(x.shape[i] for i in axes), perm=list(axes))


def reshape(x: Source, shape: Sequence[int | None], *, copy: bool | None = None) -> Node:
    """x in another shape; one length can be -1. None is the length that the graph does not know."""
    wanted = [-1 if n is None else n for n in shape]
    known, symbol = _count(x.shape)
    rest = prod(n for n in wanted if n != -1)
    if wanted.count(-1) > 1 or (-1 not in wanted and (symbol or known != rest)) or (rest and known % rest):
        raise ValueError(f"an array of shape {tuple(x.shape)} cannot have the shape {tuple(shape)}")
    times = known // rest if rest else 0
    missing: Length = times if not symbol else symbol if times == 1 else f"{times}*{symbol}"
    found = tuple(missing if n == -1 else n for n in wanted)
    if isinstance(x, Node) and x.op == "Reshape":
        x = x.inputs[0]
    if found == tuple(x.shape) and isinstance(x, Node):
        return x
    return emit("Reshape", x, constant(wanted, np.int64), shape=found, allowzero=int(0 in wanted))


def _count(shape: Sequence[Length]) -> tuple[int, str]:
    """The number of elements: a factor, and the length that it multiplies or ""."""
    factor, symbols = 1, list[str]()
    for n in shape:
        times, star, name = n.partition("*") if isinstance(n, str) else (str(n), "*", "")
        factor *= int(times) if star else 1
        symbols += [name or times] if isinstance(n, str) else []
    return factor, "*".join(symbols)


def index(x: Node, key: Any) -> Node:
    """x[key] with whole numbers, slices, None and an ellipsis."""
    keys = list(cast("tuple[Any, ...]", key)) if isinstance(key, tuple) else [key]
    if Ellipsis not in keys:
        keys.append(Ellipsis)
    at = keys.index(Ellipsis)
    keys[at : at + 1] = [slice(None)] * (len(x.shape) + 1 - sum(k is not None for k in keys))
    bounds, removed, added, shape = list[tuple[int, ...]](), list[int](), list[int](), list[Length]()
    axis = 0
    for k in keys:
        if k is None:
            added.append(len(shape))
            shape.append(1)
            continue
        if isinstance(k, slice):
            shape.append(_sliced(x.shape[axis], cast("Any", k), axis, bounds))
        else:
            removed.append(axis)
            bounds.append((axis, int(k), int(k) + 1 if int(k) != -1 else _END, 1))
        axis += 1
    if bounds:
        axes, starts, ends, steps = (constant(column, np.int64) for column in zip(*bounds, strict=True))
        x = emit("Slice", x, starts, ends, axes, steps, shape=tuple(shape))
    if removed:
        x = emit("Squeeze", x, constant(removed, np.int64), shape=tuple(shape))
    return emit("Unsqueeze", x, constant(added, np.int64), shape=tuple(shape)) if added else x


_END = 2**62


def _sliced(n: Length, k: slice, axis: int, bounds: list[tuple[int, ...]]) -> Length:
    """The length of an axis after a slice, which is added to the bounds unless it is the whole axis."""
    if k == slice(None):
        return n
    step = 1 if k.step is None else int(k.step)
    start = (0 if step > 0 else _END) if k.start is None else int(k.start)
    bounds.append((axis, start, (_END if step > 0 else -_END) if k.stop is None else int(k.stop), step))
    return len(range(*k.indices(n))) if isinstance(n, int) else f"{n}[{k.start}:{k.stop}:{k.step}]"


def concat(arrays: Sequence[Any], axis: int | None) -> Node:
    """Values one after the other along an axis."""
    arrays = promoted(*arrays)
    axis = (axis or 0) % len(arrays[0].shape)
    lengths: list[Length] = [x.shape[axis] for x in arrays]
    known = [n for n in lengths if isinstance(n, int)]
    length = sum(known) if len(known) == len(lengths) else "+".join(map(str, lengths))
    return emit("Concat", *arrays, shape=(*arrays[0].shape[:axis], length, *arrays[0].shape[axis + 1 :]), axis=axis)


def expand_dims(x: Source, axis: int = 0) -> Node:
    """A new axis of length 1."""
    axis %= len(x.shape) + 1
    return emit("Unsqueeze", x, constant([axis], np.int64), shape=(*x.shape[:axis], 1, *x.shape[axis:]))


def squeeze(x: Source, axis: int | tuple[int, ...]) -> Node:
    """Without axes of length 1."""
    axes = sorted(i % len(x.shape) for i in ((axis,) if isinstance(axis, int) else axis))
    shape = tuple(n for i, n in enumerate(x.shape) if i not in axes)
    return emit("Squeeze", x, constant(axes, np.int64), shape=shape)


def take(x: Source, indices: Source, axis: int = 0) -> Node:
    """The entries at these indices of an axis."""
    axis %= len(x.shape)
    return emit("Gather", x, indices, shape=(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), axis=axis)


def broadcast_to(x: Source, shape: tuple[int | None, ...]) -> Node:
    """x repeated along axes, so that it has this shape."""
    if None in shape:
        raise ValueError(f"an ONNX graph cannot broadcast to a shape with an unknown length, got {shape}")
    return emit("Expand", x, constant(shape, np.int64), shape=cast("tuple[int, ...]", shape))
