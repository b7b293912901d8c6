"""Frames and series of pandas, polars and similar libraries as arrays: known by their methods, not imported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np

from dlarray.core.array import is_array
from dlarray.core.check import did_you_mean

__all__ = ["array_of_frame", "array_of_series", "column_names", "is_frame", "is_series"]

NUMBERS = "fiub"  # NumPy's kinds: floating-point, integers with and without a sign, booleans


def is_frame(x: Any) -> bool:
    """Whether x is a table with named columns, such as a DataFrame of pandas or polars."""
    return not is_array(x) and hasattr(x, "to_numpy") and hasattr(x, "columns")


def is_series(x: Any) -> bool:
    """Whether x is one column, such as a Series, an Index or a Categorical."""
    return not is_array(x) and (hasattr(x, "to_numpy") or hasattr(x, "codes")) and not hasattr(x, "columns")


def column_names(x: Any) -> tuple[str, ...] | None:
    """The names of a frame's columns; None if they are not all strings. Raises ValueError if a name occurs twice."""
    names = list(cast("Iterable[Any]", x.columns))
    if twice := next((name for i, name in enumerate(names) if name in names[:i]), None):
        raise ValueError(f"x has two columns with the name {twice!r}: rename one of them")
    return tuple(names) if all(isinstance(name, str) for name in names) else None


def array_of_frame(name: str, x: Any, features: Sequence[str] | None = None) -> np.ndarray:
    """The columns of a frame as an array (n, columns): those named in ``features``, in this order; None: all.

    Raises TypeError for a column that holds no numbers; ValueError for a missing column, and for a number that is
    missing, NaN or infinite, with its row and its column.
    """
    names = list(cast("Iterable[Any]", x.columns))
    if features is not None and names != list(features):
        for feature in features:
            if feature not in names:
                near = did_you_mean(feature, map(str, names)) or f"; it has {', '.join(map(str, names))}"
                raise ValueError(f"{name} has no column {feature!r}, and the model was trained on it{near}")
        names, x = list(features), x[list(features)]
    found: np.ndarray = x.to_numpy()
    if found.dtype.kind not in NUMBERS or _has_times(x):  # such as booleans beside numbers
        columns = [_numbers(name, str(column), x[column]) for column in names]
        found = np.stack(columns, axis=1) if columns else found
    if found.dtype.kind == "f" and not np.all(finite := np.isfinite(found)):
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(
            f"{name} must be finite, got {found[row, column]} in row {row} of the column {names[column]!r}; "
            "drop or fill these examples"
        )
    return found


def array_of_series(x: Any) -> np.ndarray:
    """The values of a series, (n,). Missing numbers are NaN; what holds no numbers is an array of objects."""
    found = np.asarray(x.to_numpy() if hasattr(x, "to_numpy") else x)
    if found.dtype.kind == "O" and getattr(x.dtype, "kind", "O") in NUMBERS:  # nullable numbers of pandas
        return np.asarray(x.to_numpy(dtype="float64", na_value=np.nan))
    return found


def _has_times(x: Any) -> bool:
    """Whether a frame of polars has dates, times or durations: ``to_numpy`` makes numbers of them."""
    return any(hasattr(dtype, "is_temporal") and dtype.is_temporal() for dtype in x.dtypes)


def _numbers(name: str, column: str, x: Any) -> np.ndarray:
    found = array_of_series(x)
    if found.dtype.kind not in NUMBERS:
        raise TypeError(
            f"{name} must hold numbers, and the column {column!r} is of type {x.dtype}: leave it out or encode it; "
            "dlarray.tables trains on frames with text and dates"
        )
    return found
