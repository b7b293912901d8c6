"""How native code is called from Python, and how it reads arrays: CPython's and NumPy's own structures.

A function of native code becomes a built-in method of a NumPy array, the step's table: a call takes 5 ns. Where things
are in a structure is fixed by the binary interfaces of CPython and NumPy, and tried on an array before it is used.
"""

from __future__ import annotations

import ctypes
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

__all__ = ["ARRAY", "FASTCALL", "MANY", "NOARGS", "SYMBOLS", "is_understood", "method"]

ARRAY = {"type": 8, "data": 16, "ndim": 24, "shape": 32, "dtype": 56, "flags": 64}
"""The offset of each field of an array, in bytes."""

NOARGS, FASTCALL = 0x0004, 0x0080
"""The calling conventions ``f(self, NULL)`` and ``f(self, arguments, count)``."""

MANY = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
"""The arguments of several steps: table, number of steps, order, first example, losses."""

SYMBOLS = ("PyEval_SaveThread", "PyEval_RestoreThread", "Py_IncRef")
"""The functions of CPython that native code calls."""


class _MethodDefinition(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


def method(address: int, convention: int, table: np.ndarray, owner: Any) -> Callable[..., Any]:
    """The function at an address as a method of a table. It keeps the table and the owner of the code alive."""
    definition = _MethodDefinition(b"step", address, convention, None)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
    # The third argument becomes __module__, which can be any object: it lives as long as the method.
    return make(ctypes.addressof(definition), table, (owner, definition))


@cache
def is_understood() -> bool:
    """Whether this Python and this NumPy have the structures that native code expects."""
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED") or sys.maxsize < 2**32:
        return False
    array = np.zeros((3, 5), np.float32)

    def field(kind: Any, offset: int) -> Any:
        return kind.from_address(id(array) + offset).value

    shape = (ctypes.c_int64 * 2).from_address(field(ctypes.c_int64, ARRAY["shape"]))
    found = {name: field(ctypes.c_int64, ARRAY[name]) for name in ("type", "data", "dtype")}
    expected = {"type": id(np.ndarray), "data": array.ctypes.data, "dtype": id(array.dtype)}
    flags = field(ctypes.c_int, ARRAY["flags"])
    return (
        found == expected
        and (*shape,) == array.shape
        and field(ctypes.c_int, ARRAY["ndim"]) == 2
        and flags == array.flags.num
    )
