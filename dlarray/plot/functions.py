"""Activations and their derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.core.check import positive
from dlarray.core.layer import Activation
from dlarray.core.registry import classes, make
from dlarray.model import MLP
from dlarray.plot.canvas import BLUE, GREY, ORANGE, new_axes, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["activation", "activations"]

COLUMNS = 4


def activation(f: str | Activation, ax: Axes | None = None, *, reach: float = 4.0) -> Axes:
    """An activation a = f(z) and its derivative da/dz, for z from -reach to reach. ``f`` is a name or an object.

    For an activation of whole rows, such as softmax, the first output of the row (z, 0) is drawn. Trainable parameters
    have their initial values. Raises ValueError for an unknown name, with the closest match.
    """
    f = make(Activation, f)
    z = np.linspace(-1.0, 1.0, 801) * positive("reach", reach)
    rows = np.stack([z, np.zeros_like(z)], axis=1)
    model = MLP(2, [f])  # the model supplies the activation's parameters
    p = model.parameters(model.init(device="cpu", dtype="float64"))
    a, saved = model.chain.forward(rows, **p)
    first = np.stack([np.ones_like(z), np.zeros_like(z)], axis=1)
    derivative = model.chain.backward(saved, first, **p)
    axes: Any = ax or new_axes(6.0, 3.6)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.plot(z, a[:, 0], color=BLUE, linewidth=2, label="a = f(z)")
    axes.plot(z, derivative[:, 0], color=ORANGE, linewidth=2, linestyle="--", label="derivative da/dz")
    axes.set(xlabel="z", ylabel="a, da/dz", title=type(f).__name__)
    axes.legend(frameon=False, loc="best")
    return axes


def activations(names: Sequence[str | Activation] | None = None) -> Figure:
    """A page of ``activation`` for these activations, by default for all, including custom ones.

    Raises ValueError if names is empty or one string.
    """
    chosen = list(classes(Activation)) if names is None else list(names)
    if not chosen or isinstance(names, str):
        raise ValueError(f"names must be a list of activations, got {names!r}")
    lines = -(-len(chosen) // COLUMNS)
    figure = pyplot().figure(figsize=(7.5, 1.75 * lines + 0.5), layout="constrained")
    grid = figure.subplots(lines, COLUMNS, sharex=True, sharey=True, squeeze=False)
    for ax in grid.flat[len(chosen) :]:
        ax.set_axis_off()
    for i, (ax, f) in enumerate(zip(grid.flat, chosen, strict=False)):
        activation(f, ax)
        ax.get_legend().remove()
        ax.set_ylabel("")
        ax.set(ylim=(-2.2, 2.6))
        ax.set_title(ax.get_title(), fontsize=10)
        if i + COLUMNS < len(chosen):
            ax.set_xlabel("")
        else:
            ax.tick_params(labelbottom=True)
    lines_drawn, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(lines_drawn, labels, loc="outside upper center", ncols=2, frameon=False)
    return figure
