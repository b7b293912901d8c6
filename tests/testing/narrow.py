"""A library whose float64 is computed in 32 bits: NumPy, with the result of every operation rounded to float32."""

from __future__ import annotations

from typing import Any

import array_api_compat.numpy as xnp
import numpy as np

from dlarray.backend import OneDevice, Overlay
from dlarray.core.trees import map_leaves


def round_down(x: Any) -> Any:
    """The same dtype, with fewer digits."""
    if not isinstance(x, (np.ndarray, np.floating)):
        return x
    x = np.asarray(x)
    with np.errstate(all="ignore"):
        return (x.astype(np.float32).astype(x.dtype) if x.dtype == np.float64 else x).view(Narrow)


def plain(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, Narrow) else x


class Narrow(np.ndarray):
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        found = round_down(getattr(ufunc, method)(*map(plain, inputs), **options))
        if out is None:
            return found
        plain(out[0])[...] = found
        return out[0]

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return map_leaves(function(*map_leaves(args, plain), **map_leaves(options, plain)), round_down)


Narrow.__module__ = "narrow_library"


def made(name: str) -> Any:
    """A function of the namespace that makes arrays, or that array_api_compat writes itself."""

    def make(*args: Any, **options: Any) -> Any:
        options.pop("device", None)
        found = getattr(xnp, name)(*map_leaves(args, plain), **map_leaves(options, plain))
        return found.view(Narrow)

    return make


MAKERS = ("arange", "asarray", "astype", "full", "full_like", "ones", "ones_like", "zeros", "zeros_like")


class NarrowBackend(OneDevice):
    name = "narrow"
    array_modules = ("narrow_library",)
    standard = False
    exact_float64 = True  # it says so, and the kit must see that it is not
    writes_in_place = False  # a reshaped array is a rounded copy
    space = Overlay(xnp, **{name: made(name) for name in MAKERS})

    def namespace(self) -> Any:
        return self.space

    def asarray(self, host: np.ndarray, handle: Any) -> Any:
        return np.array(host).view(Narrow)

    def to_numpy(self, x: Any) -> np.ndarray:
        return np.asarray(x).view(np.ndarray)

    def version(self) -> str:
        return "1"


backend = NarrowBackend()
