"""Options for targets that are classes: their weights, and the threshold between two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dlarray.core.check import did_you_mean, non_negative
from dlarray.tables.targets import ClassificationTarget, Target

__all__ = ["weights_by_class", "with_threshold"]


def with_threshold(target: Target, threshold: float) -> Target:
    """The target with a threshold. Raises ValueError for a number."""
    if not isinstance(target, ClassificationTarget):
        raise ValueError(f"a threshold is for two classes, and the target {target.name!r} is a number")
    return replace(target, threshold=threshold)


def weights_by_class(
    given: str | Mapping[Any, float] | None, target: Target, explicit: bool
) -> str | Mapping[int, float] | None:
    """Weights by the number of the class. Raises ValueError for an unknown class, and for weights of numbers."""
    if not isinstance(target, ClassificationTarget):
        if explicit:
            raise ValueError(f"class_weight is for classes, and the target {target.name!r} is a number")
        return None
    if given is None:
        return None
    if isinstance(given, str):
        if given != "balanced":
            raise ValueError(f"class_weight must be 'balanced' or a weight for each class, got {given!r}")
        return given
    weights: dict[int, float] = {}
    for label, weight in given.items():
        if str(label) not in target.names:
            hint = did_you_mean(str(label), target.names)
            known = ", ".join(target.names[:10])
            raise ValueError(
                f"class_weight has the class {label!r}, which {target.name!r} has not{hint}; it has {known}"
            )
        weights[target.names.index(str(label))] = non_negative(f"the weight of {label!r}", weight)
    return weights
