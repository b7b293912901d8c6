"""Arrays: their namespace, their device, and the few functions on them that formulas need beyond the standard.

This is the only module that imports ``array_api_compat``. Formulas begin with ``xp = array_namespace(x)``, so the
argument decides which library computes, and on which device.
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
"""Any array of the Python array API standard, directly or through array_api_compat."""


def array_namespace(*arrays: Array) -> Any:
    """The array-API namespace of the arrays, their ``xp``.

    Python scalars and ``None`` are ignored. Raises TypeError if the arrays are from two libraries or if there is no
    array, and for a masked array, because formulas would read the masked values.
    """
    for x in arrays:
        if _is_masked(type(x)):  # pyright: ignore[reportUnknownArgumentType]
            refuse_masked("an argument", x)
    found = _compat.array_namespace(*arrays)
    return _own.get(found, found)


@cache
def _is_masked(kind: type[Any]) -> bool:
    masked = sys.modules.get("numpy.ma")  # a masked array exists only if this module is imported
    return masked is not None and issubclass(kind, masked.MaskedArray)


def refuse_masked(name: str, x: object) -> None:
    """Raise TypeError if ``x`` is a masked array of NumPy; ``name`` is its name in the message."""
    if _is_masked(type(x)):  # pyright: ignore[reportUnknownArgumentType]
        raise TypeError(f"{name} is a masked array, and masks are not supported; drop or fill the masked examples")


_own: dict[Any, Any] = {}


def use_namespace(x: Array, own: Any) -> None:
    """From now on ``array_namespace`` returns ``own`` for all arrays of the library of ``x``."""
    found = _compat.array_namespace(x)
    if found is not own:
        _own[found] = own


def clip(x: Array, low: float, high: float) -> Array:
    """min(max(x, low), high); NaN stays NaN.

    array_api_compat's ``clip`` indexes by a mask on CuPy: the host waits for the GPU to count the selected numbers.
    """
    xp = array_namespace(x)
    return xp.minimum(xp.maximum(x, low), high)


def copy_array(x: Array) -> Array:
    """A copy of ``x`` on its device: what is written into one does not change the other."""
    return array_namespace(x).asarray(x, copy=True)


def device(x: Array) -> Any:
    """The device of ``x``, as an object of its own library."""
    return _compat.device(x)


def is_array(x: object) -> bool:
    """Whether ``x`` is an array of the standard. Lists, Python scalars and DataFrames are not."""
    return bool(_compat.is_array_api_obj(x))


def is_floating(x: Array) -> bool:
    """Whether ``x`` holds real floating-point numbers."""
    return bool(array_namespace(x).isdtype(x.dtype, "real floating"))


def is_integer(x: Array) -> bool:
    """Whether ``x`` holds signed or unsigned integers."""
    return bool(array_namespace(x).isdtype(x.dtype, "integral"))


def is_symbolic(x: Array) -> bool:
    """Whether ``x`` is a symbol: an array without values, with which the planner traces a step."""
    return bool(getattr(x, "symbolic", False))


def largest_column(x: Array) -> Array:
    """The column of the largest number of each row, shape (n,), int32. Of equal numbers it is the first.

    For a row with NaN it is the number of columns. argmax would return 64-bit integers, which some devices do not have.
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
    """The first part of the module of the type of ``x``, such as "numpy": the name of its library."""
    return type(x).__module__.partition(".")[0]
