"""An array library that is not NumPy, and its backend: arrays that wrap NumPy's, so that a test can break either.

``dlarray.device`` finds the backend as ``own`` while ``installed`` is entered.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

import array_api_compat.numpy as np_xp
import numpy as np

from dlarray.backend import OneDevice
from dlarray.core import libraries


class OwnArray:
    """An array that computes with NumPy."""

    __module__ = "own_library"

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    device = "cpu"
    shape = property(lambda self: self.values.shape)
    ndim = property(lambda self: self.values.ndim)
    dtype = property(lambda self: self.values.dtype)
    T = property(lambda self: OwnArray(self.values.T))

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return namespace

    def __getitem__(self, key: Any) -> OwnArray:
        return OwnArray(self.values[key])

    def __bool__(self) -> bool:
        return bool(self.values)

    def __float__(self) -> float:
        return float(self.values)


def _operator(name: str, turned: bool = False) -> Any:
    compute = getattr(operator, name)

    def method(self: OwnArray, other: Any) -> OwnArray:
        pair = (self.values, unwrap(other))
        return OwnArray(compute(*(reversed(pair) if turned else pair)))

    return method


def _in_place(name: str) -> Any:
    compute = getattr(operator, f"i{name}")

    def method(self: OwnArray, other: Any) -> OwnArray:
        self.values = compute(self.values, unwrap(other))
        return self

    return method


def _unary(name: str) -> Any:
    compute = getattr(operator, name)
    return lambda self: OwnArray(compute(self.values))


for _name in ("add", "sub", "mul", "truediv", "matmul", "pow", "and", "or", "xor", "lshift", "rshift"):
    _known = f"{_name}_" if _name in ("and", "or") else _name
    setattr(OwnArray, f"__{_name}__", _operator(_known))
    setattr(OwnArray, f"__r{_name}__", _operator(_known, turned=True))
    if _name in ("add", "sub", "mul", "truediv"):
        setattr(OwnArray, f"__i{_name}__", _in_place(_name))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(OwnArray, f"__{_name}__", _operator(_name))
for _name in ("neg", "invert"):
    setattr(OwnArray, f"__{_name}__", _unary(_name))
OwnArray.__hash__ = object.__hash__


def unwrap(x: Any) -> Any:
    if isinstance(x, OwnArray):
        return x.values
    return type(x)(map(unwrap, x)) if isinstance(x, (list, tuple)) else x


def wrap(x: Any) -> Any:
    return OwnArray(x) if isinstance(x, (np.ndarray, np.generic)) else x


class Namespace:
    """NumPy's functions on these arrays."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(np_xp, name)
        if not callable(value) or isinstance(value, (type, np.dtype)) or name in ("isdtype", "finfo", "iinfo"):
            return value
        return lambda *args, **kw: wrap(value(*map(unwrap, args), **{k: unwrap(v) for k, v in kw.items()}))


namespace: Any = Namespace()
namespace.__array_namespace_info__ = np_xp.__array_namespace_info__


class OwnBackend(OneDevice):
    """The least that a backend says."""

    name = "own"
    array_modules = ("own_library",)

    def namespace(self) -> Any:
        return namespace

    def asarray(self, host: np.ndarray, handle: Any) -> OwnArray:
        return OwnArray(np.array(host))

    def to_numpy(self, x: OwnArray) -> np.ndarray:
        return x.values

    def version(self) -> str:
        return "1.0"

    def view(self, x: OwnArray, dtype: str) -> OwnArray:
        return OwnArray(x.values.view(dtype))


@contextmanager
def installed(backend: OwnBackend) -> Iterator[OwnBackend]:
    """A ``with`` block in which this backend is found by its name."""
    module = ModuleType(f"dlarray_{backend.name}")
    module.backend = backend
    with (
        patch.dict(sys.modules, {module.__name__: module}),
        patch.dict(libraries._loaded),
        patch.dict(libraries._library_of, clear=True),
        patch.dict(libraries.NAMESPACES, clear=True),
        patch.dict("dlarray.device.search._working"),
        patch.dict("dlarray.device.search._made"),
    ):
        yield backend
