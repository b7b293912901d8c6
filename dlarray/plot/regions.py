"""Where a classifier of two inputs draws its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.core.check import at_least_one
from dlarray.plot.canvas import MARKERS, PALETTE, new_axes
from dlarray.training import Trained

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["decision_boundary"]

PALE = 0.55
"""How much of the white is in a region of which the model is certain, so that points are seen on it."""


def decision_boundary(
    trained: Trained, x: np.ndarray, y: np.ndarray, ax: Axes | None = None, *, points: int = 200
) -> Axes:
    """The plane of two inputs in the colours of the classes, by their probabilities, with the examples on it.

    Each place has the mixture of the classes' colours by what the model gives them: where it is unsure, colours blend.
    Black lines are where two classes are equally probable. x (examples, 2) and y (examples,) are host arrays;
    ``points`` is how many places are asked along each input. Raises ValueError where the model has not two inputs, more
    classes than there are colours, or does not choose one class; and for x and y of other shapes.
    """
    at_least_one("points", points)
    x, labels = np.asarray(x), np.asarray(y).reshape(-1)
    if trained.model.inputs != 2 or x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(
            f"a plane is of two inputs, got a model of {trained.model.inputs} and x of shape {x.shape}; "
            "choose two features, or project on two"
        )
    if len(labels) != len(x):
        raise ValueError(f"x and y must have as many rows, got {len(x)} and {len(labels)}")
    if trained.loss.task != "multiclass" and (trained.loss.task == "regression" or trained.model.outputs > 1):
        raise ValueError(f"{type(trained.loss).__name__} does not choose one class for each example")
    if (classes := max(2, trained.model.outputs)) > len(PALETTE):
        raise ValueError(f"at most {len(PALETTE)} classes can be told apart by colour, got {classes}")
    if trained.loss.task == "binary":  # the hinges call no -1
        labels = (labels > trained.loss.threshold).astype(int)
    first, second = (_side(x[:, i], points) for i in range(2))
    plane = np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2)
    p = _probabilities(trained, plane).reshape(points, points, classes)
    axes: Any = ax or new_axes(6.0, 4.6)
    from matplotlib.colors import to_rgb

    colours = np.array([to_rgb(PALETTE[k]) for k in range(classes)])
    mixture = PALE + (1 - PALE) * np.clip(p @ colours, 0, 1)
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
    axes.set(xlabel="first input", ylabel="second input", title="Decision boundary, classes by probability")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, borderaxespad=0)
    return axes


def _side(values: np.ndarray, points: int) -> np.ndarray:
    """Places along an input, from a little below its smallest value to a little above its largest."""
    low, high = float(values.min()), float(values.max())
    margin = 0.08 * ((high - low) or 1.0)
    return np.linspace(low - margin, high + margin, points)


def _probabilities(trained: Trained, x: np.ndarray) -> np.ndarray:
    """(examples, classes): what the model gives each class; of scores, which are none, 1 for the class chosen."""
    p = np.asarray(trained.predict(x), dtype=np.float64)
    if trained.loss.task == "multiclass":
        return p
    yes = p if trained.loss.threshold == 0.5 else (p > trained.loss.threshold).astype(np.float64)
    return np.concatenate([1 - yes, yes], axis=1)
