"""Eager calls inside a plan: functions of NumPy with their arguments, a hole for every array in them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from dlarray.planner.node import Node

__all__ = ["HOLE", "Applied", "Call", "converted", "copied", "filled", "holes", "joined", "sample", "spread"]


@dataclass(eq=False)
class Call:
    """A function with its arguments that are no values of the plan; None stands for each of those that are."""

    function: Callable[..., Any]
    pattern: tuple[Any, ...]
    options: tuple[tuple[str, Any], ...]
    view_of: int | None = None
    """The argument in whose memory the result lies, if it does."""

    def __call__(self, *arrays: np.ndarray) -> Any:
        given = iter(arrays)
        return self.function(*(next(given) if p is None else p for p in self.pattern), **dict(self.options))

    @property
    def key(self) -> Hashable:
        """What makes two calls the same."""
        return (self.function, repr(self.pattern), repr(self.options))


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


def sample(node: Node) -> np.ndarray:
    """An array like a node's, with numbers that mean nothing."""
    return np.ones(node.shape, node.dtype) if node.dtype.kind == "f" else np.zeros(node.shape, node.dtype)


HOLE = object()
"""Where an array is left out of a call's arguments."""


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


class Applied:
    """A function and the pattern of its arguments, as one function of arrays."""

    def __init__(self, function: Callable[..., Any], pattern: tuple[Any, Any]) -> None:
        self.function = function
        self.pattern = pattern
        self.__name__ = getattr(function, "__name__", "function")

    def __call__(self, *arrays: np.ndarray) -> Any:
        args, options = filled(self.pattern, iter(arrays))
        return self.function(*args, **options)
