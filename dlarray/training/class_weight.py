"""Examples weighed by their class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, cast

import numpy as np

from dlarray.core.array import one_hot
from dlarray.core.check import non_negative
from dlarray.device import device_of, to_numpy
from dlarray.losses import Loss
from dlarray.losses.values import plain_weights
from dlarray.training.data import Examples

__all__ = ["apply_class_weight", "class_weights"]


def apply_class_weight(examples: Examples, class_weight: Any, loss: Loss, outputs: int, dtype: str) -> Examples:
    """The examples with w_i c_(class of i) for their weights, w_i the weight that they have, or 1.

    ``class_weight`` is a mapping (classes that it leaves out weigh 1), a sequence with a number for each class, or
    "balanced": Σ w / (K Σ_c w), Σ_c w over the examples of class c and K the classes that there are, so that a weight
    of 3 is three examples (scikit-learn's). A row of probabilities weighs Σ t c. Raises ValueError where the loss
    trains no classes, or several answers at once, and for weights that are negative, too few or for a class that does
    not exist; TypeError for anything else.
    """
    shares = _shares(examples, loss, outputs)
    own = np.ones(len(shares)) if examples.weight is None else to_numpy(examples.weight).astype(np.float64)
    weights = shares @ class_weights(class_weight, own @ shares)
    if not np.any(weights > 0):
        raise ValueError(f"class_weight {class_weight!r} gives every example the weight 0")
    return replace(examples, weight=device_of(examples.t).asarray(own * weights, dtype))


def _shares(examples: Examples, loss: Loss, outputs: int) -> np.ndarray:
    """(n, classes): 1 at each example's class, 0 elsewhere, or its probabilities."""
    t = to_numpy(examples.t)
    if loss.task == "multiclass":
        return one_hot(t, outputs, np.float64) if loss.targets_are_labels else t.astype(np.float64)
    if loss.task == "binary" and outputs == 1:
        return one_hot((t.reshape(-1) > loss.threshold).astype(np.int32), 2, np.float64)
    if loss.task == "binary":
        raise ValueError(
            f"class_weight needs one class for each example, and {type(loss).__name__} gives {outputs} answers: "
            f"use weight=, or the loss's own class_weight where it has one"
        )
    raise ValueError(f"class_weight needs classes, and {type(loss).__name__} trains numbers: use weight=")


def class_weights(given: Any, count: np.ndarray) -> np.ndarray:
    """The weight of each class, (classes,), from what ``weighted`` takes; ``count`` is Σ w of each class's examples.

    Raises as ``weighted`` does.
    """
    classes = len(count)
    if isinstance(given, str):
        if given != "balanced":
            raise ValueError(f"class_weight must be 'balanced', a mapping or a sequence, got {given!r}")
        return np.where(count > 0, count.sum() / (np.sum(count > 0) * np.where(count > 0, count, 1)), 1.0)
    if isinstance(given, Mapping):
        found = np.ones(classes)
        for label, weight in cast("Mapping[Any, Any]", given).items():
            if not isinstance(label, Integral) or not 0 <= int(label) < classes:
                raise ValueError(
                    f"class_weight names the class {label!r}, and there are the classes 0 to {classes - 1}"
                )
            found[int(label)] = non_negative("class_weight", weight)
        return np.asarray(plain_weights(found))
    if isinstance(given, (Sequence, np.ndarray)):
        numbers = [non_negative("class_weight", weight) for weight in cast("Sequence[Any]", given)]
        if len(numbers) != classes:
            raise ValueError(f"class_weight has {len(numbers)} weights for {classes} classes")
        return np.asarray(plain_weights(numbers))
    raise TypeError(f"class_weight must be 'balanced', a mapping or a sequence, got {given!r}")
