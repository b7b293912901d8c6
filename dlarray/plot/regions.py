"""The decision boundary of a classifier with two inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.core.check import at_least_one
from dlarray.plot.canvas import MARKERS, PALETTE, new_axes
from dlarray.training import Trained

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["decision_boundary"]

WHITE_SHARE = 0.55
"""The share of white in a region where the model is certain: examples must be visible on it."""


def decision_boundary(
    trained: Trained, x: np.ndarray, y: np.ndarray, ax: Axes | None = None, *, points: int = 200
) -> Axes:
    """The plane of two inputs, coloured by the predicted probabilities of the classes, with the examples on it.

    Each point has the mean of the classes' colours, weighted by their probabilities. On black lines two classes are
    equally probable. x (examples, 2) and y (examples,) are host arrays, and the model is evaluated at ``points`` by
    ``points`` points. Raises ValueError if the model does not have two inputs, has more classes than there are colours
    or does not predict one class for each example, and for x and y of other shapes.
    """
    at_least_one("points", points)
    x, labels = np.asarray(x), np.asarray(y).reshape(-1)
    if trained.model.inputs != 2 or x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(
            f"decision_boundary needs two inputs, got a model of {trained.model.inputs} and x of shape {x.shape}; "
            "train on two features"
        )
    if len(labels) != len(x):
        raise ValueError(f"x and y must have the same number of rows, got {len(x)} and {len(labels)}")
    if trained.loss.task != "multiclass" and (trained.loss.task == "regression" or trained.model.outputs > 1):
        raise ValueError(f"{type(trained.loss).__name__} does not predict one class for each example")
    if (classes := max(2, trained.model.outputs)) > len(PALETTE):
        raise ValueError(f"decision_boundary has colours for at most {len(PALETTE)} classes, got {classes}")
    if trained.loss.task == "binary":  # the hinge losses label classes -1 and 1
        labels = (labels > trained.loss.threshold).astype(int)
    first, second = (_side(x[:, i], points) for i in range(2))
    plane = np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2)
    p = _probabilities(trained, plane).reshape(points, points, classes)
    axes: Any = ax or new_axes(6.0, 4.6)
    from matplotlib.colors import to_rgb

    colours = np.array([to_rgb(PALETTE[k]) for k in range(classes)])
    mixture = WHITE_SHARE + (1 - WHITE_SHARE) * np.clip(p @ colours, 0, 1)
    extent = (first[0], first[-1], second[0], second[-1])
    axes.imshow(mixture, origin="lower", extent=extent, aspect="auto", interpolation="bilinear")
    for k in range(1 if classes == 2 else 0, classes):
        ahead = p[..., k] - np.max(np.delete(p, k, axis=-1), axis=-1)
        if ahead.min() < 0 < ahead.max():
            axes.contour(first, second, ahead, levels=[0.0], colors="black", linewidths=1.2)
    for k in range(classes):
        own = x[labels == k]
        style = {"color": PALETTE[k], "marker": MARKERS[k], "label": f"class {k}"}
        axes.scatter(own[:, 0], own[:, 1], s=22, edgecolors="white", linewidths=0.5, **style)
    axes.set(xlabel="first input", ylabel="second input", title="Decision boundary and class probabilities")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, borderaxespad=0)
    return axes


def _side(values: np.ndarray, points: int) -> np.ndarray:
    """Points along an input, from a little below its smallest value to a little above its largest."""
    low, high = float(values.min()), float(values.max())
    margin = 0.08 * ((high - low) or 1.0)
    return np.linspace(low - margin, high + margin, points)


def _probabilities(trained: Trained, x: np.ndarray) -> np.ndarray:
    """Probabilities (examples, classes). A model that predicts scores gives 1 to the class that it chooses."""
    p = np.asarray(trained.predict(x), dtype=np.float64)
    if trained.loss.task == "multiclass":
        return p
    yes = p if trained.loss.threshold == 0.5 else (p > trained.loss.threshold).astype(np.float64)
    return np.concatenate([1 - yes, yes], axis=1)
