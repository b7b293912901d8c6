"""A formula on a column, and beside it on NumPy in float64, from the same rounded numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from dlarray.core.array import Array
from dlarray.core.trees import Tree, map_arrays
from dlarray.testing.check import Deviation, NotApplicable
from dlarray.testing.columns import Column

__all__ = ["beside", "compare", "exact", "largest", "short"]


def largest(parts: Iterable[tuple[str, Callable[[], float | None]]]) -> Deviation:
    """The largest of several deviations, with its name. Raises AssertionError where one cannot be measured."""
    worst = Deviation()
    for name, measure in parts:
        before = f"{name}: " if name else ""
        try:
            ulp = measure() or 0.0
        except NotApplicable:
            raise
        except AssertionError as error:
            raise AssertionError(f"{before}{error}") from error
        except Exception as error:
            raise AssertionError(f"{before}{type(error).__name__}: {error}") from error
        if not ulp <= worst:
            worst = Deviation(ulp, ", ".join(filter(None, (name, getattr(ulp, "where", "")))))
    return worst


def beside(
    column: Column, f: Callable[..., dict[str, Array | None]], *args: Tree, scale: float | None = 1.0
) -> Deviation:
    """The largest deviation in ulp of what ``f(*args)`` returns by name from the same on NumPy in float64.

    ``args`` are trees; each NumPy array in them is rounded to the column's dtype first. A deviation is relative to the
    larger of the expected number and ``scale``; None: of the largest number of the same array.
    """
    found = column.backend.settle(f(*(map_arrays(x, column.array) for x in args)))
    with np.errstate(all="ignore"):
        expected = f(*(map_arrays(x, lambda leaf: exact(column, leaf)) for x in args))
    return compare(column, found, expected, scale)


def compare(
    column: Column, found: dict[str, Array | None], expected: dict[str, Any], scale: float | None = 1.0
) -> Deviation:
    """The largest deviation of arrays by name. Asserts that the names are those that were expected."""
    assert found.keys() == expected.keys(), f"found {', '.join(found)}; expected {', '.join(expected)}"

    def measure(name: str) -> float:
        numbers = np.asarray(expected[name])
        size = scale if scale is not None else float(np.max(np.abs(numbers), initial=0.0)) or 1.0
        return column.ulp(found[name], numbers, size)

    return largest((name, lambda name=name: measure(name)) for name, x in expected.items() if x is not None)


def exact(column: Column, values: np.ndarray) -> np.ndarray:
    """A copy of the values as the column rounds them, in float64."""
    x = column.host(values)
    return x.astype(np.float64) if x.dtype.kind == "f" else x.copy()


def short(thing: Any) -> str:
    """A configuration with those of its fields that differ from their defaults, such as "Focal(gamma=0.5)"."""
    if not is_dataclass(thing):
        return repr(thing)
    given = [
        f"{f.name}={short(value)}"
        for f in fields(thing)
        if f.init and (value := getattr(thing, f.name)) != f.default and f.repr
    ]
    return f"{type(thing).__name__}({', '.join(given)})"
