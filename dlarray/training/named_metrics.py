"""Metrics by name, and the default metrics of a loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from inspect import signature
from numbers import Real
from typing import Any

from dlarray import metrics as _metrics
from dlarray.core.array import Array, is_array, size
from dlarray.core.check import did_you_mean
from dlarray.core.registry import make, spelling
from dlarray.device import to_numpy
from dlarray.device.backend import Backend
from dlarray.losses import Loss

__all__ = ["Metric", "as_floats", "default_metrics", "named_metrics", "weighted_metrics"]

Metric = Callable[..., Any]
"""metric(targets, predictions) -> a number or a 0-d array; those that weigh examples take ``weight=`` too."""


def default_metrics(loss: Loss, outputs: int) -> tuple[str, ...]:
    """The metrics that are measured by default with this loss: accuracy for one class, R² for numbers."""
    if loss.task == "regression":
        return ("r2",)
    return ("accuracy",) if loss.task == "multiclass" or outputs == 1 else ()


def named_metrics(given: Sequence[str | Metric] | None, loss: Loss, outputs: int) -> dict[str, Metric]:
    """Metrics by name.

    Raises ValueError for an unknown name, with the closest match, and for two functions with the same name; TypeError
    for objects that are not functions.
    """
    if isinstance(given, str):
        raise TypeError(f"metrics must be a list of names or functions, got {given!r}; put it between brackets")
    found: dict[str, Metric] = {}
    for metric in default_metrics(loss, outputs) if given is None else given:
        if isinstance(metric, str):
            name, function = metric, getattr(_metrics, _spelled(metric))
        elif callable(metric):
            name, function = getattr(metric, "__name__", type(metric).__name__), metric
        else:
            raise TypeError(f"a metric is a name or a function of targets and predictions, got {metric!r}")
        if found.setdefault(name, function) is not function:
            raise ValueError(
                f"two metrics have the name {name!r}, and the history has one column for it: rename a function"
            )
    return found


def _spelled(name: str) -> str:
    """The name of the metric itself; that of a loss, such as "mse", is the metric with the loss's formula."""
    known = _metrics.__all__
    if name in known:
        return name
    with suppress(ValueError):  # it is no loss's name either
        if (loss := spelling(type(make(Loss, name)))) in known:
            return loss
    raise ValueError(f"unknown metric {name!r}{did_you_mean(name, known)}; known are {', '.join(known)}")


def weighted_metrics(metrics: Mapping[str, Metric], weight: Array | None) -> Mapping[str, Metric]:
    """Metrics that weight each example. Raises ValueError for one that takes no ``weight``."""
    if weight is None:
        return metrics
    for name, metric in metrics.items():
        if "weight" not in signature(metric).parameters:
            raise ValueError(f"the metric {name!r} takes no weight: give it a keyword argument weight=None")
    return {name: partial(metric, weight=weight) for name, metric in metrics.items()}


def as_floats(measured: Mapping[str, Any], backend: Backend) -> dict[str, float]:
    """What metrics have returned, as numbers. Raises TypeError for what is no number and no array with one number."""
    for name, value in measured.items():
        if not isinstance(value, Real) and not (is_array(value) and size(value.shape) == 1):
            raise TypeError(
                f"the metric {name!r} must return a number or an array with one number, got {type(value).__name__}"
                + (f" of the shape {tuple(value.shape)}" if is_array(value) else "")
            )
    computed = backend.settle({name: value for name, value in measured.items() if not isinstance(value, Real)})
    return {
        name: float(to_numpy(computed[name]).item() if name in computed else value) for name, value in measured.items()
    }
