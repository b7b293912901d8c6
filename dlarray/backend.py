"""What a backend for another array library is made of: the interface, and what most backends use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from dlarray.device.backend import Backend
from dlarray.device.memory import host_memory

__all__ = [
    "Backend",
    "DefaultDtypes",
    "OneDevice",
    "Overlay",
    "host_memory",
    "isdtype_by_name",
    "renamed",
    "with_numbers",
]


class OneDevice(Backend):
    """A backend whose library has one device, "cpu", in the memory of the host."""

    def devices(self) -> list[str]:
        self.namespace()  # raises ImportError if the library is missing
        return ["cpu"]

    def device_of(self, x: Any) -> str:
        return "cpu"

    def handle(self, device: str) -> Any:
        if device != "cpu":
            raise ValueError(f"{self.name} has the device cpu alone, got {device!r}")
        return device

    def to_device(self, x: Any, handle: Any) -> Any:
        return x

    def memory(self, handle: Any) -> tuple[int, int] | None:
        return host_memory()


class Overlay:
    """A library's namespace with some names replaced or added: ``Overlay(library, sign=own_sign)``.

    The library itself does not change. A name is looked up there when it is first used.
    """

    _library: Any = None

    def __init__(self, library: Any, /, **own: Any) -> None:
        self.__dict__ |= own
        self._library = library

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._library, name)
        self.__dict__[name] = value
        return value

    def __repr__(self) -> str:
        return f"Overlay({self._library!r})"


def renamed(function: Callable[..., Any], /, **names: str | None) -> Callable[..., Any]:
    """The function with the standard's keyword arguments, each with its name in the library.

    None leaves an argument out that the library does not have, such as ``device`` where there is one device:
    ``renamed(paddle.sum, keepdims="keepdim")``, ``renamed(mlx.zeros, device=None)``.
    """

    def call(*args: Any, **given: Any) -> Any:
        own = {new: value for name, value in given.items() if (new := names.get(name, name)) is not None}
        return function(*args, **own)

    return call


def with_numbers(
    function: Callable[..., Any], array: type[Any], constant: Callable[[float, Any], Any]
) -> Callable[..., Any]:
    """The function whose last two arguments are arrays, such as ``maximum`` or ``where``, also with a Python number.

    The number becomes ``constant(number, dtype)`` with the dtype of the other one, or None if both are numbers.
    """

    def call(*args: Any) -> Any:
        *condition, a, b = args
        if not isinstance(a, array):
            a = constant(a, b.dtype if isinstance(b, array) else None)
        return function(*condition, a, b if isinstance(b, array) else constant(b, a.dtype))

    return call


class DefaultDtypes:
    """``__array_namespace_info__`` of a library without it: the default dtypes, which is what dlarray reads there.

    ``Overlay(library, __array_namespace_info__=DefaultDtypes(library.float32, library.int64))``
    """

    def __init__(self, floating: Any, integral: Any) -> None:
        self._dtypes = {"real floating": floating, "integral": integral, "indexing": integral}

    def __call__(self) -> DefaultDtypes:
        return self

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """The dtypes by kind, on every device."""
        return dict(self._dtypes)


def isdtype_by_name(name_of: Callable[[Any], str]) -> Callable[[Any, Any], bool]:
    """The standard's ``isdtype`` for a library without it; ``name_of`` gives NumPy's name of a dtype: "float32"."""

    def isdtype(dtype: Any, kind: Any) -> bool:
        if isinstance(kind, tuple):
            return any(isdtype(dtype, one) for one in cast("tuple[Any, ...]", kind))
        if not isinstance(kind, str):
            return bool(dtype == kind)
        name = name_of(dtype)
        return kind in ("real floating", "numeric") if name == "bfloat16" else np.isdtype(np.dtype(name), kind)

    return isdtype
