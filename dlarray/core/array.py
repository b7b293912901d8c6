"""Arrays: their namespace, their device, and the few functions on them that formulas need beyond the standard.

Formulas begin with ``xp = array_namespace(x)``, so the argument decides which library computes, and on which device. If
a backend names the library of an array, it is asked, see ``core.libraries``. This is the only module that imports
``array_api_compat``.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import array_api_compat as _compat

from dlarray.core.libraries import NAMESPACES, library_of, root_module

__all__ = [
    "Array",
    "array_namespace",
    "clip",
    "copy_array",
    "device",
    "element_count",
    "example_count",
    "fits",
    "is_array",
    "is_floating",
    "is_integer",
    "is_known",
    "is_symbolic",
    "largest_column",
    "number",
    "one_hot",
    "refuse_masked",
    "same_library",
    "size",
]

Array = Any
"""Any array of the Python array API standard, directly or through array_api_compat."""


def array_namespace(x: Array, /, *others: Array) -> Any:
    """The array-API namespace of the arrays, their ``xp``: that of their backend, or what the arrays themselves give.

    Python scalars and ``None`` are ignored. Raises TypeError if the arrays are from two libraries or if there is no
    array, and for a masked array, because formulas would read the masked values.
    """
    if not others:
        try:
            return NAMESPACES[type(x)]  # pyright: ignore[reportUnknownArgumentType]
        except KeyError:
            pass
    arrays = [a for a in (x, *others) if a is not None and type(a) not in _NUMBERS]
    if not arrays:
        raise TypeError(f"expected an array, got {x!r}")
    found = [_namespace_of(a) for a in arrays]
    if any(xp is not found[0] for xp in found):
        given = " and ".join(dict.fromkeys(root_module(a) for a in arrays))
        raise TypeError(f"expected arrays of one library, got {given}; dlarray.to_device moves arrays")
    return found[0]


_NUMBERS = {bool, int, float, complex}


def _namespace_of(x: Array) -> Any:
    if (known := NAMESPACES.get(type(x))) is not None:  # pyright: ignore[reportUnknownArgumentType]
        return known
    refuse_masked("an argument", x)
    if (library := library_of(x)) is None or not is_array(x):
        return _compat.array_namespace(x)
    found = NAMESPACES[type(x)] = library.namespace()
    return found


@cache
def _is_masked(kind: type[Any]) -> bool:
    masked = sys.modules.get("numpy.ma")  # a masked array exists only if this module is imported
    return masked is not None and issubclass(kind, masked.MaskedArray)


def refuse_masked(name: str, x: object) -> None:
    """Raise TypeError if ``x`` is a masked array of NumPy; ``name`` is its name in the message."""
    if _is_masked(type(x)):  # pyright: ignore[reportUnknownArgumentType]
        raise TypeError(f"{name} is a masked array, and masks are not supported; drop or fill the masked examples")


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
    library = library_of(x)
    if library is None or library.standard:
        return _compat.device(x)
    return library.handle(library.device_of(x))


def is_array(x: object) -> bool:
    """Whether ``x`` is an array of the standard or of a backend. Lists, Python scalars and DataFrames are not."""
    if type(x) in NAMESPACES:
        return True
    library = library_of(x)
    if library is None or library.standard:
        return bool(_compat.is_array_api_obj(x))
    return hasattr(x, "shape") and hasattr(x, "dtype")


def same_library(x: Array, y: Array) -> bool:
    """Whether formulas can use two arrays together: they are of one backend, or of one namespace."""
    library = library_of(x)
    if library is not None and library is library_of(y):
        return True
    return array_namespace(x) is array_namespace(y)


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


def number(x: Array) -> bool | int | float:
    """The number in an array of one element, as Python's, read from its device.

    A library whose arrays are not of the standard is asked through its backend: they may have no ``__float__``.
    """
    library = library_of(x)
    if library is not None and not library.standard:
        return library.to_numpy(x).item()
    kind = bool if array_namespace(x).isdtype(x.dtype, "bool") else int if is_integer(x) else float
    return kind(x)


def one_hot(labels: Array, classes: int, dtype: Any) -> Array:
    """(n, classes): 1 at each label's class, 0 elsewhere; labels are integers, (n,)."""
    xp = array_namespace(labels)
    columns = xp.arange(classes, dtype=xp.int32, device=device(labels))
    return xp.astype(xp.reshape(labels, (-1, 1)) == columns, dtype)


def element_count(x: Array) -> Array | int:
    """The number of elements of x. Where a length is unknown it is a 0-d array of x's dtype, a sum of ones.

    A graph that serves every batch size has such lengths: they are None, or symbols.
    """
    shape = tuple(x.shape)
    if is_known(shape):
        return size(shape)
    ones = array_namespace(x).ones_like(x[tuple(slice(1) if isinstance(n, int) else slice(None) for n in shape)])
    return array_namespace(x).sum(ones) * size(tuple(n for n in shape if isinstance(n, int)))


def example_count(x: Array) -> Array | int:
    """The number of examples in x, the product of all lengths but the last, as ``element_count``."""
    shape = tuple(x.shape)[:-1]
    return size(shape) if is_known(shape) else element_count(x[..., :1])


def is_known(shape: tuple[Any, ...]) -> bool:
    """Whether every length of this shape is a number."""
    return all(isinstance(n, int) for n in shape)


def fits(shape: tuple[Any, ...], expected: tuple[Any, ...]) -> bool:
    """Whether two shapes can be equal: an unknown length may be any."""
    if shape == expected:
        return True
    pairs = zip(shape, expected, strict=False)
    return len(shape) == len(expected) and all(m == n or not is_known((m, n)) for m, n in pairs)


def size(shape: tuple[int, ...]) -> int:
    """The number of elements of an array of this shape."""
    n = 1
    for length in shape:
        n *= length
    return n
