"""What an array is: its namespace, its device, and the few questions that formulas ask of it.

The only module that imports ``array_api_compat``. Formulas begin with ``xp = array_namespace(x)``, so the array that
comes in decides where the computing happens.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import array_api_compat as _compat

__all__ = [
    "Array",
    "array_namespace",
    "clip",
    "copy_array",
    "device",
    "is_array",
    "is_floating",
    "is_integer",
    "is_symbolic",
    "largest_column",
    "one_hot",
    "refuse_masked",
    "root_module",
    "size",
    "use_namespace",
]

Array = Any
"""Any array that keeps the Python array API standard, as it is or through array_api_compat."""


def array_namespace(*arrays: Array) -> Any:
    """The array-API namespace of the arrays, their ``xp``.

    Python scalars and ``None`` are passed over. Raises TypeError where the arrays belong to two libraries, where none
    of them is an array, and for a masked array: formulas would read what is masked.
    """
    for x in arrays:
        if _is_masked(type(x)):  # pyright: ignore[reportUnknownArgumentType]
            refuse_masked("an argument", x)
    found = _compat.array_namespace(*arrays)
    return _own.get(found, found)


@cache
def _is_masked(kind: type[Any]) -> bool:
    masked = sys.modules.get("numpy.ma")  # who has such an array has imported it
    return masked is not None and issubclass(kind, masked.MaskedArray)


def refuse_masked(name: str, x: object) -> None:
    """Raise TypeError where ``x`` is a masked array of NumPy."""
    if _is_masked(type(x)):  # pyright: ignore[reportUnknownArgumentType]
        raise TypeError(f"{name} is a masked array, and masks are not read; drop or fill the examples that are masked")


_own: dict[Any, Any] = {}


def use_namespace(x: Array, own: Any) -> None:
    """From now on give formulas ``own`` for all arrays of the library of x: the namespace that its backend names."""
    found = _compat.array_namespace(x)
    if found is not own:
        _own[found] = own


def clip(x: Array, low: float, high: float) -> Array:
    """min(max(x, low), high); NaN stays NaN.

    The standard's function of this name is an index by a mask for CuPy, in array_api_compat: the host waits for the GPU
    to learn how many numbers there are.
    """
    xp = array_namespace(x)
    return xp.minimum(xp.maximum(x, low), high)


def copy_array(x: Array) -> Array:
    """A copy of ``x`` on its device: what is written into one does not change the other."""
    return array_namespace(x).asarray(x, copy=True)


def device(x: Array) -> Any:
    """The device on which ``x`` lies, as its own library names it."""
    return _compat.device(x)


def is_array(x: object) -> bool:
    """Whether ``x`` is an array of a library that keeps the standard (a list, a scalar or a DataFrame is none)."""
    return bool(_compat.is_array_api_obj(x))


def is_floating(x: Array) -> bool:
    """Whether ``x`` holds real floating-point numbers."""
    return bool(array_namespace(x).isdtype(x.dtype, "real floating"))


def is_integer(x: Array) -> bool:
    """Whether ``x`` holds signed or unsigned integers."""
    return bool(array_namespace(x).isdtype(x.dtype, "integral"))


def is_symbolic(x: Array) -> bool:
    """Whether x stands for an array without numbers, because the planner traces a step."""
    return bool(getattr(x, "symbolic", False))


def largest_column(x: Array) -> Array:
    """The column of each row's largest number, (n,), the first of equals; the number of columns for a row with NaN.

    As argmax, in the device's own integers: argmax gives 64-bit ones even where a device has none.
    """
    xp = array_namespace(x)
    columns = xp.arange(x.shape[1], dtype=xp.int32, device=device(x))
    return xp.min(xp.where(x == xp.max(x, axis=1, keepdims=True), columns, x.shape[1]), axis=1)


def one_hot(labels: Array, classes: int, dtype: Any) -> Array:
    """(n, classes): 1 at each label's class, 0 elsewhere; labels are integers, (n,)."""
    xp = array_namespace(labels)
    columns = xp.arange(classes, dtype=xp.int32, device=device(labels))
    return xp.astype(xp.reshape(labels, (-1, 1)) == columns, dtype)


def size(shape: tuple[int, ...]) -> int:
    """The number of elements of an array of this shape."""
    n = 1
    for length in shape:
        n *= length
    return n


def root_module(x: object) -> str:
    """The name of the library that ``x`` comes from: the first part of its type's module."""
    return type(x).__module__.partition(".")[0]
