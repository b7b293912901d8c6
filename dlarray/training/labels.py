"""Class labels of any kind: strings, booleans and categories as the numbers of classes, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, cast

import numpy as np

from dlarray.core.errors import RowError
from dlarray.losses import Loss
from dlarray.training.frames import array_of_series, is_series

__all__ = ["Label", "check_classes", "class_numbers", "find_classes"]

Label = str | bool | int | float

SHOWN = 5
"""The classes that a message lists."""


def find_classes(y: Any) -> tuple[Label, ...] | None:
    """The classes of these labels, in order; None if y holds numbers, which need no classes.

    Strings and objects are sorted, booleans are (False, True), and categories of pandas keep their order, including
    those without examples. Raises ValueError for a missing label; TypeError for labels of several types.
    """
    if (categories := _categories(y)) is not None:
        return tuple(_label(category) for category in categories)
    values = _values(y)
    if values is None or values.ndim != 1 or values.dtype.kind not in "bUOT":
        return None
    if values.dtype.kind == "b":
        return False, True
    labels = {_label(value, row) for row, value in enumerate(values.tolist())}
    kinds = sorted({type(label).__name__ for label in labels})
    if kinds in (["float"], ["int"], ["float", "int"]):
        return None
    if len(kinds) > 1:
        raise TypeError(f"y must hold labels of one type, got {' and '.join(kinds)}")
    return tuple(sorted(labels))  # pyright: ignore[reportArgumentType] - they are of one type


def class_numbers(y: Any, classes: Sequence[Label]) -> np.ndarray:
    """The number of the class of each label, (n,), int32. Raises ValueError for a label that is no class."""
    values = _values(y)
    if values is None:
        raise TypeError(f"y must hold labels such as {_listed(classes)} on the host, got {type(y).__name__}")
    known = {label: number for number, label in enumerate(classes)}
    shape, values = values.shape, values.reshape(-1)
    if values.dtype.kind == "O":
        words = [_label(value, row) for row, value in enumerate(values.tolist())]
        found, which = list(dict.fromkeys(words)), None
        places = {word: i for i, word in enumerate(found)}
        which = np.asarray([places[word] for word in words], dtype=np.intp)
    else:
        unique, which = np.unique(values, return_inverse=True)
        found = unique.tolist()
    for i, label in enumerate(found):
        if label not in known:
            row = int(np.argmax(which == i))
            raise RowError(f"y has the label {label!r} in", row, f", and the classes are {_listed(classes)}")
    numbers = np.asarray([known[label] for label in found], dtype=np.int32)
    return numbers[which].reshape(shape)


def check_classes(classes: Sequence[Label], loss: Loss, outputs: int) -> None:
    """Raise ValueError if a model with this loss and so many outputs cannot predict these classes."""
    name, count = type(loss).__name__, len(classes)
    if not count:
        raise ValueError("y has no examples: give at least one for each class")
    given = f"y has {count} {'class' if count == 1 else 'classes'}, {_listed(classes)}"
    if loss.task == "regression":
        raise ValueError(f"{given}, and {name} trains numbers: leave out loss=, or give numbers")
    if loss.task == "binary" and (outputs != 1 or count != 2):
        remedy = f"; give a model with {count} outputs and leave out loss=" if count > 2 else ""
        raise ValueError(f"{given}, and {name} with {outputs} outputs needs one output and two classes{remedy}")
    if loss.task == "multiclass" and count != outputs:
        raise ValueError(f"{given}, and the model has {outputs} outputs: it needs one for each class")


def _categories(y: Any) -> list[Any] | None:
    """The categories of a series or of a Categorical of pandas."""
    found = getattr(getattr(y, "dtype", None), "categories", None)
    return found.tolist() if found is not None and hasattr(found, "tolist") else None


def _values(y: Any) -> np.ndarray | None:
    """The labels as a NumPy array; None for arrays of other libraries and for what is no array."""
    if isinstance(y, np.ndarray):
        return cast("np.ndarray", y)
    return array_of_series(y) if is_series(y) else None


def _label(value: object, row: int | None = None) -> Label:
    """A label as a plain value of Python. Raises ValueError if it is missing, TypeError if it is of another type."""
    if (
        value is None
        or (isinstance(value, Real) and math.isnan(value))
        or type(value).__name__ in ("NAType", "NaTType")
    ):
        if row is None:
            raise ValueError(f"y has no value, got {value}: drop these examples")
        raise RowError("y has no value in", row, f", got {value}: drop these examples")
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    raise TypeError(
        f"labels must be strings, booleans or numbers, got {value!r}{'' if row is None else f' in row {row}'}"
    )


def _listed(classes: Sequence[Label]) -> str:
    more = f" and {len(classes) - SHOWN} more" if len(classes) > SHOWN else ""
    return ", ".join(map(repr, classes[:SHOWN])) + more
