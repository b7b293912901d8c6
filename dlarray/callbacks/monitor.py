"""The base class of callbacks that monitor a metric, and whether the metric has improved."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from dlarray.core.check import did_you_mean, non_negative, one_of, plain_numbers
from dlarray.training.callback import Callback, Run

__all__ = ["Monitored", "check_monitor", "direction", "is_better"]

SMALLER_IS_BETTER = ("loss", "error", "divergence", "deviance", "perplexity")
LARGER_IS_BETTER = ("accuracy", "f1", "fbeta", "precision", "r2", "recall", "score", "auc")


@dataclass(frozen=True)
class Monitored(Callback):
    """A callback that monitors one metric of the epochs.

    ``monitor`` is its name; by default "validation_loss", or "loss" without validation. ``mode`` is "min" if smaller is
    better, "max" if larger is. The default depends on the name: "min" for a loss or an error, "max" for an accuracy.
    A change of ``min_delta`` or less is no improvement; NaN never is. Raises ValueError for an unknown mode, for a
    min_delta below 0, and at the start of training for a metric that is not measured, or whose name does not show which
    mode it needs.
    """

    abstract: ClassVar[bool] = True
    monitor: str | None = None
    mode: str | None = field(default=None, kw_only=True)
    min_delta: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        plain_numbers(self)
        check_monitor(self.monitor, self.mode)
        non_negative("min_delta", self.min_delta)

    def metric(self, run: Run) -> str:
        """The name of the monitored metric in this run."""
        if self.monitor is None:
            return "validation_loss" if "validation_loss" in run.names else "loss"
        if self.monitor not in run.names:
            hint = did_you_mean(self.monitor, run.names)
            lack = "" if "validation_loss" in run.names else "; validation= adds metrics"
            raise ValueError(
                f"{type(self).__name__} monitors {self.monitor!r}{hint}; measured are {', '.join(run.names)}{lack}"
            )
        return self.monitor

    def sign(self, run: Run) -> int:
        """1 if larger is better, -1 if smaller is."""
        return direction(self.metric(run), self.mode)


def check_monitor(monitor: object, mode: str | None) -> None:
    """Raise TypeError or ValueError if these are not the name of a metric and a mode."""
    if monitor is not None and not isinstance(monitor, str):
        raise TypeError(f"monitor must be the name of a metric, such as 'validation_loss', got {monitor!r}")
    if mode is not None:
        one_of("mode", mode, ("min", "max"))


def direction(name: str, mode: str | None) -> int:
    """1 if a larger metric is better, -1 if a smaller one is. Raises ValueError if the name does not show it."""
    if mode is not None:
        return 1 if mode == "max" else -1
    if any(word in name for word in SMALLER_IS_BETTER):
        return -1
    if any(word in name for word in LARGER_IS_BETTER):
        return 1
    raise ValueError(f"the name {name!r} does not show whether smaller or larger is better: give mode='min' or 'max'")


def is_better(value: float, best: float | None, sign: int, min_delta: float = 0.0) -> bool:
    """Whether a value is better than the best so far by more than min_delta; NaN is not."""
    return not math.isnan(value) and (best is None or sign * (value - best) > min_delta)
