"""Eager calls inside a plan: functions of NumPy with their arguments, a placeholder for each array in them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from itertools import repeat
from typing import Any, cast

import numpy as np

from dlarray.core.trees import flatten, leaves, unflatten
from dlarray.planner.trace.node import Node, UntraceableError

__all__ = [
    "PLACEHOLDER",
    "Call",
    "Placeholder",
    "broadcast",
    "call_on_samples",
    "concatenate",
    "convert",
    "copy",
    "extract_arrays",
    "sample",
    "to_native",
]


class Placeholder:
    """Stands for an array in a call's arguments."""


PLACEHOLDER = Placeholder()


class Call:
    """A function with the pattern of its arguments and options, callable with the arrays that they contain."""

    def __init__(self, function: Callable[..., Any], pattern: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        self.function = function
        self.pattern = pattern
        self.view_of: int | None = None
        """The number of the array that the result is a view of, if it is one."""
        self.is_scalar = False
        """Whether NumPy returns a scalar, not a 0-d array."""
        args, options = pattern
        self._has_fixed_options = all(leaf is not PLACEHOLDER for leaf in leaves(options))
        self._is_flat = self._has_fixed_options and all(a is PLACEHOLDER for a in args)
        self._structure = flatten(args if self._has_fixed_options else pattern, [], (Placeholder,))

    def __call__(self, *arrays: np.ndarray) -> Any:
        if self._is_flat:
            return self.function(*arrays, **self.pattern[1])
        if self._has_fixed_options:
            return self.function(*unflatten(self._structure, iter(arrays)), **self.pattern[1])
        args, options = unflatten(self._structure, iter(arrays))
        return self.function(*args, **options)

    @property
    def name(self) -> str:
        """The function's name, for messages."""
        return getattr(self.function, "__name__", str(self.function))

    @property
    def key(self) -> Hashable:
        """Equal for equal calls: the pattern as text if that is complete, else the call's identity."""
        return (self.function, repr(self.pattern) if _is_printed_in_full(self.pattern) else id(self))


def call_on_samples(call: Call, samples: Sequence[list[np.ndarray]]) -> tuple[list[np.ndarray], Any]:
    """The first of these arguments that a call accepts, and its result.

    Raises UntraceableError if the result is not one array of numbers, or if its shape or type differs between samples.
    If the call accepts none of them, raises the call's own error, such as an index out of bounds.
    """
    made: list[tuple[list[np.ndarray], Any]] = []
    failure: Exception | None = None
    for arrays in samples:
        try:
            made.append((arrays, _called(call, arrays)))
        except UntraceableError:
            raise
        except Exception as error:
            failure = failure or error
    if not made:
        assert failure is not None
        raise failure
    if len({(result.shape, result.dtype) for _, result in made}) > 1:
        raise UntraceableError(f"the shape or type of the result of {call.name} depends on an array's numbers")
    return made[0]


def _called(call: Call, arrays: Sequence[np.ndarray]) -> Any:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the meaningless sample values
        result: Any = call(*arrays)
    kind: Any = result.__class__
    if issubclass(kind, (np.ndarray, np.generic)) and not result.dtype.hasobject:
        return result
    what = "several results" if issubclass(kind, (tuple, list)) else f"a {kind.__name__}"
    raise UntraceableError(f"{call.name} returns {what}, not a single array")


def _is_printed_in_full(tree: Any) -> bool:
    """Whether ``repr`` shows a pattern in full: that of a table or of another library's array can be shortened."""
    if isinstance(tree, dict):
        return all(map(_is_printed_in_full, cast("dict[Any, Any]", tree).values()))
    if isinstance(tree, (tuple, list)):
        return all(map(_is_printed_in_full, cast("Sequence[Any]", tree)))
    if isinstance(tree, slice):
        part = cast("slice[Any, Any, Any]", tree)
        return _is_printed_in_full((part.start, part.stop, part.step))
    return tree is None or tree is PLACEHOLDER or tree is Ellipsis or isinstance(tree, _PRINTED_IN_FULL)


_PRINTED_IN_FULL = (bool, int, float, complex, str, bytes, type, np.dtype, np.generic)


def broadcast(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array repeated along new axes and axes of length 1."""
    return np.broadcast_to(x, shape).copy()


def convert(x: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """The numbers in another type."""
    return x.astype(dtype)


def copy(x: np.ndarray) -> np.ndarray:
    """A C-contiguous copy."""
    return x.copy()


def concatenate(*parts: np.ndarray, axis: int) -> np.ndarray:
    """The arrays joined along an axis."""
    return np.concatenate(parts, axis)


def to_native(x: np.ndarray) -> np.ndarray:
    """The numbers C-contiguous, in the machine's byte order."""
    return np.array(x, x.dtype.newbyteorder("="), order="C")


def sample(node: Node, whole: int) -> np.ndarray:
    """An array of a node's shape and dtype with meaningless numbers.

    Integers and bools are ``whole``, 0 or 1; square matrices of floats are invertible.
    """
    if node.dtype.kind not in "fc":
        return np.full(node.shape, whole, node.dtype) if node.dtype.kind in "iub" else np.zeros(node.shape, node.dtype)
    if len(node.shape) > 1 and node.shape[-1] == node.shape[-2]:
        return np.broadcast_to(np.eye(node.shape[-1], dtype=node.dtype), node.shape).copy()
    return np.ones(node.shape, node.dtype)


def extract_arrays(tree: Any, leaves: list[Any], kinds: tuple[type, ...]) -> Any:
    """A call's arguments with a placeholder for each array; ``leaves`` receives the arrays."""
    return unflatten(flatten(tree, leaves, kinds), repeat(PLACEHOLDER))
