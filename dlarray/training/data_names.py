"""Names of features and classes: what a frame's columns and labels are called, kept with the trained model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np

from dlarray.core.array import Array, is_array
from dlarray.core.check import finite
from dlarray.losses import Loss
from dlarray.training.frames import array_of_frame, array_of_series, column_names, is_frame, is_series
from dlarray.training.json_data import items
from dlarray.training.labels import Label, check_classes, class_numbers, find_classes

__all__ = ["DataNames"]


@dataclass(frozen=True)
class DataNames:
    """The columns of x that a model was trained on, and its classes by number; None where x or y had no names.

    ``inputs``, ``targets`` and ``weights`` turn frames, series and labels into arrays; arrays of numbers stay as they
    are.
    """

    features: tuple[str, ...] | None = None
    classes: tuple[Label, ...] | None = None

    @classmethod
    def of(cls, x: Any, y: Any) -> Self:
        """The names in these examples. Raises as ``column_names`` and ``find_classes`` do."""
        return cls(column_names(x) if is_frame(x) else None, find_classes(_single_column(y)))

    def arrays(self, x: Any, y: Any, weight: Any = None) -> tuple[Array, Array, Array | None]:
        """Inputs, targets and weights."""
        return self.inputs(x), self.targets(y), self.weights(weight)

    def inputs(self, x: Any) -> Array:
        """x, or the array of a frame. Raises TypeError or ValueError, which names the column."""
        return _array("x", x, self.features)

    def targets(self, y: Any) -> Array:
        """y, or the array of a frame or series; labels become the numbers of their classes."""
        if self.classes is not None:
            return class_numbers(_single_column(y), self.classes)
        y = _array("y", _single_column(y))
        return np.asarray(y.tolist()) if _is_objects(y) else y

    def weights(self, weight: Any) -> Array | None:
        """weight, or the array of a series."""
        return _array("weight", _single_column(weight))

    def class_weight(self, given: Any) -> Any:
        """Weights of classes, with the number of each class in the place of its label. Raises ValueError."""
        if self.classes is None or not isinstance(given, Mapping):
            return given
        weights = cast("Mapping[Any, Any]", given)
        for label in weights:
            if label not in self.classes:
                raise ValueError(f"class_weight has the class {label!r}, and the classes are {list(self.classes)}")
        return {self.classes.index(label): weight for label, weight in weights.items()}

    def check(self, loss: Loss, outputs: int) -> Self:
        """The names for a model. Raises ValueError if it cannot predict these classes."""
        if self.classes == (False, True) and loss.task == "regression":
            return type(self)(self.features)  # 0 and 1 are numbers
        if self.classes is not None:
            check_classes(self.classes, loss, outputs)
        return self

    def to_data(self) -> dict[str, Any]:
        """The names as data for JSON, without those that are None."""
        return {name: list(value) for name, value in vars(self).items() if value is not None}

    @classmethod
    def from_data(cls, data: Mapping[str, Any], loss: Loss, inputs: int, outputs: int) -> Self:
        """The names that ``to_data`` wrote. Raises ValueError or TypeError for anything else."""
        features, classes = (
            tuple(items(name, data[name])) if name in data else None for name in ("features", "classes")
        )
        if features is not None and (len(features) != inputs or not _distinct(features, str)):
            raise ValueError(f"features must be {inputs} different names")
        if classes is None:
            return cls(features)
        kind = next((kind for kind in (str, bool, int, float) if classes and type(classes[0]) is kind), None)
        if kind is None or not _distinct(classes, kind):
            raise ValueError("classes must be different labels of one type")
        for label in classes if kind is float else ():
            finite("a class", label)
        check_classes(classes, loss, outputs)
        return cls(features, classes)


def _distinct(values: tuple[Any, ...], kind: type) -> bool:
    return all(type(value) is kind for value in values) and len(set(values)) == len(values)


def _single_column(y: Any) -> Any:
    """The column of a frame that has one; any other object unchanged."""
    return y[next(iter(y.columns))] if is_frame(y) and len(y.columns) == 1 else y


def _array(name: str, x: Any, features: tuple[str, ...] | None = None) -> Any:
    """The array of a frame or series; anything else unchanged."""
    if is_array(x):
        return x
    if is_frame(x):
        return array_of_frame(name, x, features)
    return array_of_series(x) if is_series(x) else x


def _is_objects(y: Any) -> bool:
    """Whether y is a vector of Python's objects: numbers, because other labels have become numbers of classes."""
    return type(y) is np.ndarray and y.ndim == 1 and str(y.dtype) == "object"
