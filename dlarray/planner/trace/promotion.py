"""The types that NumPy computes in, as its ufuncs resolve them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from dlarray.planner.trace.node import Node, UntraceableError

__all__ = ["is_weak", "resolve_types", "type_name"]


@cache
def type_name(dtype: np.dtype[Any]) -> str:
    """A dtype's name, which NumPy puts together again each time."""
    return dtype.name


def is_weak(value: Any) -> bool:
    """Whether a value is a Python number, whose type gives way to an array's (a bool's type always does)."""
    return isinstance(value, (int, float, complex)) and not isinstance(value, (bool, np.generic))


def resolve_types(name: str, operands: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
    """The types that NumPy's ufunc, or where, computes in for nodes and Python numbers, and the result's.

    Raises UntraceableError if it has no such loop.
    """
    types: list[Any] = [a.dtype if isinstance(a, Node) else type(a) for a in operands]
    if name == "where":
        dtype = np.result_type(*(t(0) if isinstance(t, type) else t for t in types[1:]))
        return (np.dtype(bool), dtype, dtype), dtype
    ufunc: np.ufunc = getattr(np, name)
    if all(isinstance(t, type) for t in types):
        types = [np.dtype(t) for t in types]
    try:
        *loop, dtype = ufunc.resolve_dtypes((*types, None))
    except TypeError as error:
        raise UntraceableError(str(error)) from None
    return tuple(loop), dtype
