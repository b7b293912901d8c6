"""Columns of the matrix: a device with a dtype, and how arrays get there and back."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import dlarray.device as dd
from dlarray.core.array import Array
from dlarray.core.libraries import root_module
from dlarray.device.backend import Backend
from dlarray.device.search import cause_of, tested

__all__ = ["DTYPES", "Column", "columns"]

DTYPES = ("float64", "float32")


@dataclass(frozen=True)
class Column:
    """A device and a dtype of its floating-point numbers."""

    name: str
    device: str
    dtype: str = "float64"

    @property
    def target(self) -> dd.Device:
        """The device. Raises DeviceError for an unknown name, and the library's error for a device that fails."""
        return tested(self.device, f"device={self.device!r}")

    @property
    def backend(self) -> Backend:
        """The backend of the device."""
        return self.target.backend

    @property
    def library(self) -> str:
        """The name of the backend and the version of its library, such as "torch 2.13.0"."""
        try:
            return f"{self.backend.name} {self.backend.version()}"
        except Exception:  # a backend that cannot say it; a check has the reason
            return self.device

    @property
    def xp(self) -> Any:
        """The namespace that the backend states."""
        return self.backend.namespace()

    @property
    def eps(self) -> float:
        """One ulp, relative: the distance from 1 to the next number of the dtype.

        It is that of float32 where the backend states that float64 is computed in fewer bits.
        """
        return float(np.finfo(self.dtype if self.backend.exact_float64 else "float32").eps)

    @contextmanager
    def context(self) -> Generator[None]:
        """The ``with`` block in which a check of this column runs: its device, with its dtype allowed."""
        with self.backend.allowing(self.dtype), self.target.entered():
            yield

    def host(self, values: Any) -> np.ndarray:
        """The values as on this device: floats in its dtype, integers in 32 bits."""
        x = np.asarray(values)
        return x.astype({"f": self.dtype, "i": "int32", "u": "int32", "b": "bool"}[x.dtype.kind])

    def array(self, values: Any) -> Array:
        """The values on the device, as ``host`` has them."""
        return self.target.asarray(self.host(values))

    def numpy(self, x: Array) -> np.ndarray:
        """The numbers of an array of the device on the host.

        Asserts that it is an array of the backend's library. One whose arrays are a subclass of NumPy's may return
        arrays and scalars of NumPy.
        """
        modules = self.backend.array_modules
        if root_module(x) not in modules:
            kind: type[Any] = x.__class__
            allowed = issubclass(kind, (np.ndarray, np.generic)) and isinstance(self.array(0.0), np.ndarray)
            given, expected = f"{kind.__module__}.{kind.__qualname__}", f"{' or '.join(modules)} (array_modules)"
            assert allowed, f"returned {given}, expected an array of {expected}"
        return dd.to_numpy(x)

    def ulp(self, actual: Array, expected: Any, scale: float = 1.0) -> float:
        """The largest deviation, in ulp of the larger of |expected| and ``scale``.

        Asserts that the shape is that of ``expected``, that floats have the column's dtype, that NaN and infinities
        are at the same positions, and that integers and booleans are equal.
        """
        found, expected = self.numpy(actual), np.asarray(expected)
        assert found.shape == expected.shape, f"the result has the shape {found.shape}, expected {expected.shape}"
        if expected.dtype.kind != "f":
            assert found.dtype.kind == expected.dtype.kind, (
                f"the result has the dtype {found.dtype}, expected {expected.dtype}"
            )
            wrong = np.flatnonzero(found != expected)
            assert not wrong.size, _at(wrong[0], found, expected)
            return 0.0
        assert found.dtype == self.dtype, f"the result has the dtype {found.dtype}, the input has {self.dtype}"
        expected = expected.astype(np.float64)
        known = np.isfinite(expected)
        wrong = np.flatnonzero(~known & ~((found == expected) | (np.isnan(found) & np.isnan(expected))))
        wrong = wrong if wrong.size else np.flatnonzero(known & ~np.isfinite(found))
        assert not wrong.size, _at(wrong[0], found, expected)
        error = np.abs(found[known].astype(np.float64) - expected[known])
        return float(np.max(error / np.maximum(np.abs(expected[known]), scale), initial=0.0)) / self.eps

    def missing(self) -> str | None:
        """Why this column cannot be run here, in one line; None if it can."""
        try:
            with self.context():
                self.array(np.ones((1, 1)))
        except Exception as error:
            return cause_of(error)
        return None


def columns(device: str, dtypes: Sequence[str] = DTYPES) -> list[Column]:
    """The columns of a device, one for each dtype, such as "mine-float64" and "mine-float32"."""
    return [Column(f"{device}-{dtype}", device, dtype) for dtype in dtypes]


def _at(index: int, found: np.ndarray, expected: np.ndarray) -> str:
    """The first wrong element, in words."""
    place = np.unravel_index(index, expected.shape)
    return f"at {tuple(map(int, place))} it is {found[place]}, expected {expected[place]}"
