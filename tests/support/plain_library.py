"""A made-up array library that keeps to little of the standard: NumPy in a class without namespace and device.

Its operations are recorded: ``depth`` is the number of recorded operations behind an array. An array that has been
settled, or has come from the host, has the depth 0. Within ``unknown_length(n)`` an axis of length n reads as None, as
in a graph for every batch size.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import array_api_compat.numpy as compat
import numpy as np

from dlarray.backend import OneDevice
from dlarray.core import libraries
from dlarray.core.trees import map_leaves
from dlarray.device import search

BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift")
COMPARED = ("eq", "ne", "lt", "le", "gt", "ge")
UNARY = ("neg", "abs", "invert")


class Array:
    """An array of the library."""

    __hash__ = None  # type: ignore[assignment]
    unknown: int | None = None
    deepest = 0
    """The largest depth of an array that has been read."""

    def __init__(self, value: Any, depth: int = 0) -> None:
        self.value = np.asarray(value)
        self.depth = depth

    @property
    def shape(self) -> list[int | None]:
        """The lengths of its axes, as a list."""
        return [None if n == Array.unknown else n for n in self.value.shape]

    @property
    def dtype(self) -> Any:
        """NumPy's dtype."""
        return self.value.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.value.ndim

    @property
    def T(self) -> Array:
        """The transpose."""
        return Array(self.value.T, self.depth + 1)

    def __getitem__(self, key: Any) -> Array:
        return recorded(lambda x, k: x[k])(self, key)

    def __bool__(self) -> bool:
        return bool(self.read())

    def __int__(self) -> int:
        return int(self.read())

    def __float__(self) -> float:
        return float(self.read())

    def read(self) -> np.ndarray:
        """Its numbers."""
        Array.deepest = max(Array.deepest, self.depth)
        return self.value


def recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of NumPy as one of this library."""

    def call(*arguments: Any, **options: Any) -> Any:
        depths = [0]

        def plain(x: Any) -> Any:
            if isinstance(x, Array):
                depths.append(x.depth)
                return x.value
            assert not isinstance(x, np.ndarray), "an array of NumPy"
            return type(x)(map(plain, x)) if isinstance(x, (list, tuple)) else x

        options.pop("device", None)
        found = function(*map(plain, arguments), **{name: plain(x) for name, x in options.items()})
        return Array(found, max(depths) + 1) if isinstance(found, (np.ndarray, np.generic)) else found

    return call


for name in (*BINARY, *COMPARED):
    function = recorded(getattr(operator, name))
    word = name.rstrip("_")
    setattr(Array, f"__{word}__", function)
    if name in BINARY:
        setattr(Array, f"__r{word}__", lambda x, y, function=function: function(y, x))
for name in UNARY:
    setattr(Array, f"__{name}__", recorded(getattr(operator, name)))


class Namespace:
    """The functions of the library."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(compat, name)
        return recorded(found) if callable(found) and not isinstance(found, type) else found


class PlainBackend(OneDevice):
    """The library's backend."""

    name = "plain"
    array_modules = (__name__.partition(".")[0],)
    standard = False
    lazy = True
    writes_in_place = False

    def namespace(self) -> Any:
        return NAMESPACE

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        return Array(np.array(host))

    def to_numpy(self, x: Array) -> np.ndarray:
        return x.read()

    def settle(self, tree: Any) -> Any:
        return map_leaves(tree, lambda x: Array(x.value) if isinstance(x, Array) else x)


NAMESPACE = Namespace()


@contextmanager
def backend(**members: Any) -> Generator[PlainBackend]:
    """A ``with`` block in which the device "plain" exists; ``members`` replace some of its backend's."""
    found = type("PlainBackend", (PlainBackend,), members)()
    with registered({"plain": found}):
        yield found


@contextmanager
def registered(backends: Mapping[str, Any]) -> Generator[None]:
    """A ``with`` block in which these backends are installed."""
    libraries._loaded.update(backends)
    libraries.forget_types()
    try:
        yield
    finally:
        for name in backends:
            del libraries._loaded[name]
            search._working.pop(name, None)
        libraries.forget_types()


@contextmanager
def unknown_length(n: int) -> Generator[None]:
    """A ``with`` block in which axes of this length read as None."""
    Array.unknown = n
    try:
        yield
    finally:
        Array.unknown = None
