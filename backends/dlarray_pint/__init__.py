"""Pint: NumPy's arrays with a unit.

A network computes with dimensionless quantities. Pint refuses the exponential of a length and the sum of a length and
a number, so a feature in metres that was not scaled is an error, and not a wrong prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from dlarray.backend import OneDevice, Overlay
from dlarray.core.array import Array

__all__ = ["PintBackend", "backend"]


class PintBackend(OneDevice):
    """Quantities of Pint's application registry, with arrays of NumPy as magnitudes."""

    name = "pint"
    array_modules = ("pint", "numpy")  # a comparison of quantities is an array of NumPy
    requirement = "dlarray[pint]"
    standard = False  # a quantity has no __array_namespace__
    bit_operations = False  # a quantity has no & and >>

    def namespace(self) -> Any:
        return _namespace()

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        return _quantity(np.array(host))

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.asarray(_magnitude(x))

    def view(self, x: Array, dtype: str) -> Array:
        return _quantity(_magnitude(x).view(dtype))


@cache
def _namespace() -> Any:
    """NumPy's namespace. Its functions take and return quantities, except these, which are replaced here."""
    import array_api_compat.numpy as xp

    names = "arange asarray astype cumulative_sum full full_like ones ones_like sign take zeros zeros_like"
    return Overlay(xp, **{name: _on_magnitudes(getattr(xp, name)) for name in names.split()})


def _on_magnitudes(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        return _quantity(function(*map(_magnitude, args), **options))

    return call


def _quantity(x: Any) -> Any:
    import pint

    return pint.get_application_registry().Quantity(x, "")


def _magnitude(x: Any) -> Any:
    """The numbers of a dimensionless quantity. Pint raises DimensionalityError for any other."""
    return x.m_as("") if hasattr(x, "m_as") else x


backend = PintBackend()
