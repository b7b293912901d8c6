"""The loss and the metrics during training, by step and by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.core.check import did_you_mean
from dlarray.plot.canvas import BLUE, MARKERS, ORANGE, PALETTE, new_axes
from dlarray.training import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["learning_curves", "metric_curves"]


def learning_curves(history: History, ax: Axes | None = None) -> Axes:
    """The loss by step (thin line) and by epoch, and the validation loss if there is one.

    The axis is logarithmic if all losses are positive. If there are more than 8,192 steps, means of neighbouring steps
    are drawn. Raises ValueError for a history without epochs, such as that of a file from before files had histories.
    """
    _check(history)
    axes: Any = ax or new_axes()
    each, losses = history.downsampled()
    steps = np.minimum(each * np.arange(len(losses)) + (each + 1) / 2, len(history.steps))
    per_epoch = len(history.steps) / max(1, len(history.epochs))
    ends = per_epoch * np.arange(1, len(history.epochs) + 1)
    label = "training, each step" if each == 1 else f"training, mean of {each} steps"
    axes.plot(steps, losses, color=BLUE, alpha=0.25, linewidth=0.6, label=label)
    axes.plot(ends, history["loss"], color=BLUE, linewidth=2, label="training, mean of an epoch")
    if "validation_loss" in history.names:
        axes.plot(ends, history["validation_loss"], color=ORANGE, linewidth=2, linestyle="--", label="validation")
    if all(value > 0 for name in history.names if name.endswith("loss") for value in losses + history[name]):
        axes.set_yscale("log")
    axes.set(xlabel="step", ylabel="loss", title="Learning curves")
    axes.legend(frameon=False)
    return axes


def metric_curves(history: History, names: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """The metrics by epoch: those in ``names``, by default all except losses.

    Raises ValueError for a history without epochs or without metrics, and for an unknown name, with the closest match;
    TypeError if names is one string.
    """
    _check(history)
    if isinstance(names, str):
        raise TypeError(f"names must be a list of metrics, got {names!r}; write [{names!r}]")
    chosen = [name for name in history.names if not name.endswith("loss")] if names is None else list(names)
    for name in chosen:
        if name not in history.names:
            known = ", ".join(history.names)
            raise ValueError(f"no metric is named {name!r}{did_you_mean(name, history.names)}; there are {known}")
    if not chosen:
        raise ValueError("this history has no metrics: train with fit(…, metrics=[…])")
    axes: Any = ax or new_axes()
    epochs = np.arange(1, len(history.epochs) + 1)
    for i, name in enumerate(chosen):
        style = {"color": PALETTE[i % len(PALETTE)], "marker": MARKERS[i % len(MARKERS)], "markersize": 4}
        axes.plot(epochs, history[name], linewidth=2, markevery=max(1, len(epochs) // 10), label=_label(name), **style)
    axes.set(xlabel="epoch", ylabel=_label(chosen[0]) if len(chosen) == 1 else "metric", title="Metrics by epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)
    return axes


def _check(history: History) -> None:
    if not history.epochs:
        raise ValueError(
            "this history has no epochs: the model was not trained, or its file is from before files had histories"
        )


def _label(name: str) -> str:
    return name.replace("_", " ")
