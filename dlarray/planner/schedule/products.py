"""The number of terms of products that are calls of NumPy: batched products, dot, einsum and similar ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlarray.planner.trace.calls import Call
from dlarray.planner.trace.node import Node

__all__ = ["terms"]


def terms(node: Node) -> int:
    """The terms, one multiply and one add each, of an eager call that is a product; 0 for any other call."""
    call: Call = node.attribute
    if call.function is np.einsum:
        return _of_einsum(call, node.args)
    if call.function in _STACKED and len(node.args) == 2:
        axis: int = call.pattern[1].get("axis", -1)
        return node.size * node.args[0].shape[axis]
    if call.function in _CONTRACTED and node.size and node.args:
        a, b = node.args[0], node.args[-1]
        return node.size * math.isqrt(a.size * b.size // node.size)
    return 0


_STACKED: tuple[Callable[..., Any], ...] = (np.matmul, np.vecdot, np.linalg.matmul, np.linalg.vecdot)
"""The last axis, or ``axis``, is summed over; axes before it are batch axes."""

_CONTRACTED: tuple[Callable[..., Any], ...] = (
    *(np.dot, np.inner, np.outer, np.vdot, np.tensordot, np.ndarray.dot),
    *(np.linalg.outer, np.linalg.tensordot),
)
"""Each axis is summed over or is one of the result: for sizes (p k), (k q) and (p q), k is √(p k · k q / p q)."""


def _of_einsum(call: Call, arrays: Sequence[Node]) -> int:
    """The product of all letters' lengths: einsum goes through all of them unless ``optimize`` is given."""
    text = call.pattern[0][0]
    if not isinstance(text, str) or len(arrays) < 2:
        return 0
    lengths: dict[str, int] = {}
    batch: list[tuple[int, ...]] = []
    for part, array in zip(text.replace(" ", "").partition("->")[0].split(","), arrays, strict=True):
        before, dots, after = part.partition("...")
        if dots:
            batch.append(array.shape[len(before) : len(array.shape) - len(after)])
        ends = (*array.shape[: len(before)], *array.shape[len(array.shape) - len(after) :]) if dots else array.shape
        for letter, length in zip(before + after, ends, strict=True):
            lengths[letter] = max(lengths.get(letter, 1), length)
    return math.prod(lengths.values()) * math.prod(np.broadcast_shapes(*batch))
