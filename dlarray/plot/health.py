"""Pictures of a diagnosis: outputs, inactive units, gradients and weight updates of each layer."""

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
    """The gradients |dL/dz| and |dL/dW| of each layer with weights, on a log axis.

    In the grey band |dL/dz| is neither vanishing nor exploding, relative to the last layer. A hollow marker at the
    bottom is a gradient of 0. Raises ValueError for a network without weights.
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
    _label_layers(axes, layers)
    axes.legend(fontsize=8, framealpha=0.8, edgecolor="none")
    return axes


def activation_distributions(diagnosis: Diagnosis, ax: Axes | None = None) -> Axes:
    """The outputs of each layer: a line from minimum to maximum, a bar between the quartiles, and the median."""
    layers = diagnosis.layers
    axes: Any = ax or new_axes()
    for i, f in enumerate(layers):
        y = f.output
        axes.plot(
            [i, i], [y.minimum, y.maximum], color=BLUE, linewidth=1, label="minimum to maximum" if i == 0 else None
        )
        axes.plot([i, i], [y.lower, y.upper], color=BLUE, linewidth=6, alpha=0.5, label="quartiles" if i == 0 else None)
    medians = [f.output.median for f in layers]
    axes.plot(range(len(layers)), medians, "_", color="black", markersize=9, label="median")
    sizes = [max(abs(f.output.minimum), abs(f.output.maximum)) for f in layers]
    finite = [size for size in sizes if math.isfinite(size) and size > 0]
    if finite and max(finite) > 100 * min(finite):
        axes.set_yscale("symlog", linthresh=min(finite))
    axes.set(xlabel="layer", ylabel="output y", title="Outputs of each layer")
    _label_layers(axes, layers)
    axes.legend(fontsize=8, framealpha=0.8, edgecolor="none")
    return axes


def inactive_units(diagnosis: Diagnosis, ax: Axes | None = None) -> Axes:
    """Dead units, saturated outputs, outputs of 0 and duplicate units of each layer, in percent."""
    layers = diagnosis.layers
    axes: Any = ax or new_axes()
    shares = {
        "dead units": [f.dead for f in layers],
        "saturated outputs": [f.saturated for f in layers],
        "outputs that are 0": [f.zeros for f in layers],
        "duplicate units": [f.weights.duplicates if f.weights else None for f in layers],
    }
    markers = ("X", "s", ".", "D")
    for k, ((label, values), colour, marker) in enumerate(zip(shares.items(), PALETTE, markers, strict=False)):
        offset = 0.12 * (k - 1.5)  # equal shares must not hide each other
        drawn = [
            (i + offset, 100 * share) for i, share in enumerate(values) if share is not None and math.isfinite(share)
        ]
        if drawn:
            axes.plot(*zip(*drawn, strict=True), marker, color=colour, markersize=6, alpha=0.85, label=label)
    axes.set(xlabel="layer", ylabel="share (%)", title="Inactive and duplicate units", ylim=(-4, 150))
    axes.set_yticks(range(0, 101, 20))
    _label_layers(axes, layers)
    axes.legend(fontsize=8, framealpha=0.8, edgecolor="none", loc="upper right")  # above all markers
    return axes


def update_ratios(diagnosis: Diagnosis, ax: Axes | None = None) -> Axes:
    """The relative weight update |ΔW| / |W| of each layer in one step, on a log axis.

    In the grey band, steps are neither too small nor too large. Raises ValueError for a network without weights.
    """
    layers = _weighted(diagnosis)
    axes: Any = ax or new_axes()
    axes.axhspan(TOO_SMALL, TOO_LARGE, color=GREY, alpha=0.15, linewidth=0, label="healthy range")
    values = [f.weights.update if f.weights else None for f in layers]
    _log_line(axes, [math.nan if v is None else v for v in values], color=BLUE, marker="o", label="|ΔW| / |W|")
    axes.set(xlabel="layer", ylabel="relative update", title="Weight update of one step")
    _label_layers(axes, layers)
    axes.legend(fontsize=8, framealpha=0.8, edgecolor="none")
    return axes


def diagnosis(diagnosis: Diagnosis) -> Figure:
    """The four pictures of a diagnosis on one page, with the verdict as title."""
    figure = pyplot().figure(figsize=(7.5, 7.0), layout="constrained")
    (a, b), (c, d) = figure.subplots(2, 2)
    activation_distributions(diagnosis, a)
    inactive_units(diagnosis, b)
    gradient_flow(diagnosis, c)
    update_ratios(diagnosis, d)
    kinds = ", ".join(problem.kind for problem in diagnosis.problems)
    figure.suptitle(f"Verdict: {kinds or diagnosis.verdict}")
    return figure


def _weighted(diagnosis: Diagnosis) -> list[LayerStatistics]:
    layers = [f for f in diagnosis.layers if f.weights]
    if not layers:
        raise ValueError("this picture needs a layer with weights, and the network has none")
    return layers


def _log_line(axes: Any, values: Sequence[float], *, color: str, marker: str, label: str, linestyle: str = "-") -> None:
    """Values on a log axis. Zeros are hollow markers at the bottom; infinity and NaN are left out."""
    axes.set_yscale("log")
    drawn = [v if math.isfinite(v) and v > 0 else math.nan for v in values]
    axes.plot(range(len(values)), drawn, color=color, marker=marker, linestyle=linestyle, markersize=5, label=label)
    if zeros := [i for i, v in enumerate(values) if v == 0]:
        style = {"color": color, "markersize": 6, "markerfacecolor": "none"}
        axes.plot(zeros, [0.03] * len(zeros), marker, transform=axes.get_xaxis_transform(), **style)


def _label_layers(axes: Any, layers: Sequence[LayerStatistics]) -> None:
    """Label the axis with the layers' names, about a dozen at most, at an angle."""
    every = -(-len(layers) // 12)
    ticks = range(0, len(layers), every)
    axes.set_xticks(ticks, [f"{layers[i].name} {layers[i].kind}" for i in ticks], rotation=45, ha="right", fontsize=8)
    axes.set_xlim(-0.5, len(layers) - 0.5)
