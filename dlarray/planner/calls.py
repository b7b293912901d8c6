"""Eager calls inside a plan: functions of NumPy with their arguments, a hole for every array in them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, cast

import numpy as np

from dlarray.planner.node import Node, UntraceableError

__all__ = ["HOLE", "Call", "converted", "copied", "filled", "holes", "joined", "native", "sample", "sampled", "spread"]

HOLE = object()
"""Where an array is left out of a call's arguments."""


class Call:
    """A function and the pattern of its arguments and options, as a function of the arrays in them."""

    def __init__(self, function: Callable[..., Any], pattern: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        self.function = function
        self.pattern = pattern
        self.view_of: int | None = None
        """The array in whose memory the result lies, if it does."""
        self.is_number = False
        """Whether NumPy gives a number, and no array without axes."""
        args, options = pattern
        self._is_flat = all(a is HOLE for a in args) and not any(map(_has_holes, options.values()))

    def __call__(self, *arrays: np.ndarray) -> Any:
        if self._is_flat:
            return self.function(*arrays, **self.pattern[1])
        args, options = filled(self.pattern, iter(arrays))
        return self.function(*args, **options)

    @property
    def name(self) -> str:
        """The function's name, for messages."""
        return getattr(self.function, "__name__", str(self.function))

    @property
    def key(self) -> Hashable:
        """What makes two calls the same. There are no arrays in the pattern, whose text could be cut short."""
        return (self.function, repr(self.pattern))

    def is_the_same(self, result: Any, arrays: Sequence[np.ndarray]) -> None:
        """Raises UntraceableError where other numbers give another shape or type than this result's."""
        try:
            other = sampled(self, arrays)
        except UntraceableError:
            raise
        except Exception:  # an index that is out of bounds says nothing about shapes
            return
        if (other.shape, other.dtype) != (result.shape, result.dtype):
            raise UntraceableError(f"the shape or type of what {self.name} gives depends on an array's numbers")


def sampled(call: Call, arrays: Sequence[np.ndarray]) -> Any:
    """What a call gives. Raises UntraceableError where that is not one array of numbers."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numbers that mean nothing
        result: Any = call(*arrays)
    kind: Any = result.__class__
    if issubclass(kind, (np.ndarray, np.generic)) and not result.dtype.hasobject:
        return result
    what = "several results" if issubclass(kind, (tuple, list)) else f"a {kind.__name__}"
    raise UntraceableError(f"{call.name} gives {what} and no single array")


def spread(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array repeated along new and single axes."""
    return np.broadcast_to(x, shape).copy()


def converted(x: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """The numbers in another type."""
    return x.astype(dtype)


def copied(x: np.ndarray) -> np.ndarray:
    """The array in rows of its own."""
    return x.copy()


def joined(*parts: np.ndarray, axis: int) -> np.ndarray:
    """One after the other along an axis."""
    return np.concatenate(parts, axis)


def native(x: np.ndarray) -> np.ndarray:
    """The numbers in rows, in the machine's byte order."""
    return np.array(x, x.dtype.newbyteorder("="), order="C")


def sample(node: Node, whole: int) -> np.ndarray:
    """An array like a node's, with numbers that mean nothing.

    Whole numbers and truths are ``whole``, 0 or 1; square matrices of others can be inverted.
    """
    if node.dtype.kind not in "fc":
        return np.full(node.shape, whole, node.dtype) if node.dtype.kind in "iub" else np.zeros(node.shape, node.dtype)
    if len(node.shape) > 1 and node.shape[-1] == node.shape[-2]:
        return np.broadcast_to(np.eye(node.shape[-1], dtype=node.dtype), node.shape).copy()
    return np.ones(node.shape, node.dtype)


def holes(tree: Any, leaves: list[Any], kinds: tuple[type, ...]) -> Any:
    """A call's arguments with a hole for each array, in lists and dicts too; the arrays are appended to leaves."""
    if isinstance(tree, kinds):
        leaves.append(tree)
        return HOLE
    if isinstance(tree, dict):
        return {name: holes(item, leaves, kinds) for name, item in cast("dict[Any, Any]", tree).items()}
    if isinstance(tree, (tuple, list)):
        items = [holes(item, leaves, kinds) for item in cast("Sequence[Any]", tree)]
        return items if isinstance(tree, list) else tuple(items)
    return tree


def filled(tree: Any, arrays: Iterator[np.ndarray]) -> Any:
    """The arguments with these arrays in their holes."""
    if tree is HOLE:
        return next(arrays)
    if isinstance(tree, dict):
        return {name: filled(item, arrays) for name, item in cast("dict[Any, Any]", tree).items()}
    if isinstance(tree, (tuple, list)):
        items = [filled(item, arrays) for item in cast("Sequence[Any]", tree)]
        return items if isinstance(tree, list) else tuple(items)
    return tree


def _has_holes(tree: Any) -> bool:
    if isinstance(tree, dict):
        return any(map(_has_holes, cast("dict[Any, Any]", tree).values()))
    if isinstance(tree, (tuple, list)):
        return any(map(_has_holes, cast("Sequence[Any]", tree)))
    return tree is HOLE
