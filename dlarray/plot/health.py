"""A diagnosis, drawn: gradients, activations, silent units and steps, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dlarray.diagnostics import Diagnosis, LayerStatistics
from dlarray.diagnostics.problems import EXPLODING, TOO_LARGE, TOO_SMALL, VANISHING
from dlarray.plot.canvas import BLUE, GREY, ORANGE, PALETTE, new_axes, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["activation_distributions", "diagnosis", "gradient_flow", "inactive_units", "update_ratios"]


def gradient_flow(diagnosis: Diagnosis, ax: Axes | None = None) -> Axes:
    """The gradient that comes back to each layer with weights, |dL/dz|, and that of its weights, |dL/dW|; a log axis.

    The band is where |dL/dz| is neither vanishing nor exploding, seen from the last layer; a hollow mark at the bottom
    is a gradient of 0. Raises ValueError for a network without weights.
    """
    layers = _weighted(diagnosis)
    axes: Any = ax or new_axes()
    last = layers[-1].gradient
    if math.isfinite(last) and last:
        axes.axhspan(VANISHING * last, EXPLODING * last, color=GREY, alpha=0.15, linewidth=0, label="healthy range")
    own = [f.weights.gradient if f.weights else math.nan for f in layers]
    _log_line(axes, [f.gradient for f in layers], color=BLUE, marker="o", label="outputs, |dL/dz|")
    _log_line(axes, own, color=ORANGE, marker="s", linestyle="--", label="weights, |dL/dW|")
    axes.set(xlabel="layer", ylabel="norm of the gradient", title="Gradient flow")
    _name(axes, layers)
    axes.legend(fontsize=8, framealpha=0.8, edgecolor="none")
    return axes


def activation_distributions(diagnosis: Diagnosis, ax: Axes | None = None) -> Axes:
    """The outputs of each layer: a line from the smallest to the largest, a bar over the middle half, the median."""
    layers = diagnosis.layers
    axes: Any = ax or new_axes()
    for i, f in enumerate(layers):
        y = f.output
        axes.plot([i, i], [y.minimum, y.maximum], color=BLUE, linewidth=1, label="all" if i == 0 else None)
        axes.plot(
            [i, i], [y.lower, y.upper], color=BLUE, linewidth=6, alpha=0.5, label="middle half" if i == 0 else None
        )
    medians = [f.output.median for f in layers]
    axes.plot(range(len(layers)), medians, "_", color="black", markersize=9, label="median")
    sizes = [max(abs(f.output.minimum), abs(f.output.maximum)) for f in layers]
    finite = [size for size in sizes if math.isfinite(size) and size > 0]
    if finite and max(finite) > 100 * min(finite):
        axes.set_yscale("symlog", linthresh=min(finite))
    axes.set(xlabel="layer", ylabel="output y", title="Outputs of each layer")
    _name(axes, layers)
    axes.legend(fontsize=8, framealpha=0.8, edgecolor="none")
    return axes


def inactive_units(diagnosis: Diagnosis, ax: Axes | None = None) -> Axes:
    """What is silent in each layer, in percent: dead units, saturated outputs, outputs of 0, units with a twin."""
    layers = diagnosis.layers
    axes: Any = ax or new_axes()
    shares = {
        "dead units": [f.dead for f in layers],
        "saturated outputs": [f.saturated for f in layers],
        "outputs that are 0": [f.zeros for f in layers],
        "units with a twin": [f.weights.duplicates if f.weights else None for f in layers],
    }
    markers = ("X", "s", ".", "D")
    for k, ((label, values), colour, marker) in enumerate(zip(shares.items(), PALETTE, markers, strict=False)):
        beside = 0.12 * (k - 1.5)  # so that equal shares do not hide one another
        drawn = [
            (i + beside, 100 * share) for i, share in enumerate(values) if share is not None and math.isfinite(share)
        ]
        if drawn:
            axes.plot(*zip(*drawn, strict=True), marker, color=colour, markersize=6, alpha=0.85, label=label)
    axes.set(xlabel="layer", ylabel="share (%)", title="Silent and equal units", ylim=(-4, 150))
    axes.set_yticks(range(0, 101, 20))
    _name(axes, layers)
    axes.legend(fontsize=8, framealpha=0.8, edgecolor="none", loc="upper right")  # above all shares
    return axes


def update_ratios(diagnosis: Diagnosis, ax: Axes | None = None) -> Axes:
    """By which part of themselves the weights of each layer move in one step, |ΔW| / |W|, on a log axis.

    The band is where steps are neither too small nor too large. Raises ValueError for a network without weights.
    """
    layers = _weighted(diagnosis)
    axes: Any = ax or new_axes()
    axes.axhspan(TOO_SMALL, TOO_LARGE, color=GREY, alpha=0.15, linewidth=0, label="healthy range")
    values = [f.weights.update if f.weights else None for f in layers]
    _log_line(axes, [math.nan if v is None else v for v in values], color=BLUE, marker="o", label="|ΔW| / |W|")
    axes.set(xlabel="layer", ylabel="part of its size", title="One step of the weights")
    _name(axes, layers)
    axes.legend(fontsize=8, framealpha=0.8, edgecolor="none")
    return axes


def diagnosis(diagnosis: Diagnosis) -> Figure:
    """All four on one page, under the verdict."""
    figure = pyplot().figure(figsize=(7.5, 7.0), layout="constrained")
    (a, b), (c, d) = figure.subplots(2, 2)
    activation_distributions(diagnosis, a)
    inactive_units(diagnosis, b)
    gradient_flow(diagnosis, c)
    update_ratios(diagnosis, d)
    kinds = ", ".join(trouble.kind for trouble in diagnosis.problems)
    figure.suptitle(f"Verdict: {kinds or diagnosis.verdict}")
    return figure


def _weighted(diagnosis: Diagnosis) -> list[LayerStatistics]:
    layers = [f for f in diagnosis.layers if f.weights]
    if not layers:
        raise ValueError("no layer of this network has weights")
    return layers


def _log_line(axes: Any, values: Sequence[float], *, color: str, marker: str, label: str, linestyle: str = "-") -> None:
    """Values on a log axis; those that are 0 are hollow marks below all others, those that are no number left out."""
    axes.set_yscale("log")
    drawn = [v if math.isfinite(v) and v > 0 else math.nan for v in values]
    axes.plot(range(len(values)), drawn, color=color, marker=marker, linestyle=linestyle, markersize=5, label=label)
    if nothing := [i for i, v in enumerate(values) if v == 0]:
        style = {"color": color, "markersize": 6, "markerfacecolor": "none"}
        axes.plot(nothing, [0.03] * len(nothing), marker, transform=axes.get_xaxis_transform(), **style)


def _name(axes: Any, layers: Sequence[LayerStatistics]) -> None:
    """The layers' names along the axis, at most about a dozen of them, at an angle."""
    every = -(-len(layers) // 12)
    places = range(0, len(layers), every)
    axes.set_xticks(places, [f"{layers[i].name} {layers[i].kind}" for i in places], rotation=45, ha="right", fontsize=8)
    axes.set_xlim(-0.5, len(layers) - 0.5)
