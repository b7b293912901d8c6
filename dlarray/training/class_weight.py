"""Class weights: a weight for each example by its class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, cast

import numpy as np

from dlarray.core.array import Array, one_hot
from dlarray.core.check import non_negative
from dlarray.device import device_of, to_numpy
from dlarray.losses import Loss
from dlarray.losses.values import plain_weights
from dlarray.training.data import Examples

__all__ = ["apply_class_weight", "class_totals", "class_weights", "weigh_classes"]


def apply_class_weight(examples: Examples, class_weight: Any, loss: Loss, outputs: int, dtype: str) -> Examples:
    """The examples with the weights w_i c_(class of i). w_i is the weight of the example, or 1 without weights.

    ``class_weight`` is a mapping (missing classes have the weight 1), a sequence with a number for each class, or
    "balanced": Σ w / (K Σ_c w), with Σ_c w over the examples of class c and K the number of classes with examples. A
    weight of 3 counts as three examples, as in scikit-learn. An example with probabilities t has the weight Σ t c.
    Raises ValueError for a regression loss, for a binary loss with several outputs, and for weights that are negative,
    too few or for an unknown class; TypeError for other objects.
    """
    found = class_weights(class_weight, class_totals(examples.t, examples.weight, loss, outputs))
    if not np.any(_shares(examples.t, loss, outputs) @ found > 0):
        raise ValueError(f"class_weight {class_weight!r} gives every example the weight 0")
    return weigh_classes(examples, found, loss, outputs, dtype)


def weigh_classes(examples: Examples, weights: np.ndarray, loss: Loss, outputs: int, dtype: str) -> Examples:
    """The examples with their weights multiplied by those of their classes, (classes,)."""
    of_classes = _shares(examples.t, loss, outputs) @ weights
    return replace(
        examples, weight=device_of(examples.t).asarray(_own(examples.t, examples.weight) * of_classes, dtype)
    )


def class_totals(t: Array, weight: Array | None, loss: Loss, outputs: int) -> np.ndarray:
    """Σ w over the examples of each class, (classes,). Raises ValueError for a loss without such classes."""
    shares = _shares(t, loss, outputs)
    return _own(t, weight) @ shares


def _own(t: Array, weight: Array | None) -> np.ndarray:
    return np.ones(int(t.shape[0])) if weight is None else to_numpy(weight).astype(np.float64)


def _shares(targets: Array, loss: Loss, outputs: int) -> np.ndarray:
    """(n, classes): 1 at each example's class, 0 elsewhere, or its probabilities."""
    t = to_numpy(targets)
    if loss.task == "multiclass":
        return one_hot(t, outputs, np.float64) if loss.targets_are_labels else t.astype(np.float64)
    if loss.task == "binary" and outputs == 1:
        return one_hot((t.reshape(-1) > loss.threshold).astype(np.int32), 2, np.float64)
    if loss.task == "binary":
        raise ValueError(
            f"class_weight needs one class for each example, and {type(loss).__name__} has {outputs} outputs: "
            f"use weight=, or the class_weight of the loss if it has one"
        )
    raise ValueError(f"class_weight needs classes, and {type(loss).__name__} trains numbers: use weight=")


def class_weights(given: Any, count: np.ndarray) -> np.ndarray:
    """The weight of each class, (classes,); ``count`` is Σ w over the examples of each class.

    Takes and raises the same as ``apply_class_weight``.
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
                raise ValueError(f"class_weight has the class {label!r}, and the classes are 0 to {classes - 1}")
            found[int(label)] = non_negative("class_weight", weight)
        return np.asarray(plain_weights(found))
    if isinstance(given, (Sequence, np.ndarray)):
        numbers = [non_negative("class_weight", weight) for weight in cast("Sequence[Any]", given)]
        if len(numbers) != classes:
            raise ValueError(f"class_weight has {len(numbers)} weights for {classes} classes")
        return np.asarray(plain_weights(numbers))
    raise TypeError(f"class_weight must be 'balanced', a mapping or a sequence, got {given!r}")
