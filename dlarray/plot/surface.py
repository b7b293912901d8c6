"""The loss around θ, with the path of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.diagnostics import Landscape
from dlarray.plot.canvas import AMBER, LIGHT_GREY, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["loss_landscape"]

LEVELS = 24


def loss_landscape(landscape: Landscape, ax: Axes | None = None) -> Axes:
    """The loss as a contour map, with θ as a cross and the path of training, which starts at a circle.

    Levels have equal ratios if the largest loss is at least ten times the smallest, else equal differences. Axes are in
    units of |θ|. Raises ValueError if no loss of the landscape is finite.
    """
    loss = np.asarray(landscape.loss, dtype=np.float64)
    known = loss[np.isfinite(loss)]
    if not known.size or loss.shape[0] < 2:
        remedy = "compute it with a smaller reach or more points"
        raise ValueError(f"loss_landscape needs at least 2 × 2 points and a finite loss; {remedy}")
    axes: Any = ax or new_axes(6.0, 4.8)
    low, high = float(known.min()), float(known.max())
    if high <= low:
        high = low + (abs(low) or 1.0)
    even = low <= 0 or high < 10 * low
    levels = np.linspace(low, high, LEVELS) if even else np.geomspace(low, high, LEVELS)
    norm = None if even else _log_norm(low, high)
    drawn = axes.contourf(landscape.a, landscape.b, loss, levels=levels, cmap="viridis", norm=norm)
    axes.contour(landscape.a, landscape.b, loss, levels=levels[::3], colors="white", linewidths=0.4, alpha=0.7)
    ticks = np.linspace(0, LEVELS - 1, 6).round().astype(int)
    bar = axes.figure.colorbar(drawn, ax=axes, label="loss", ticks=levels[ticks])
    bar.ax.minorticks_off()
    bar.ax.set_yticklabels([f"{level:.3g}" for level in levels[ticks]])
    if landscape.path is not None:
        a, b = landscape.path.T
        axes.plot(a, b, color="black", linewidth=3.2)
        axes.plot(a, b, ".-", color="white", linewidth=1.4, markersize=5, label="path")
        axes.plot(
            a[0], b[0], "o", color="white", markeredgecolor="black", markersize=8, label="start", linestyle="none"
        )
    axes.plot(0, 0, "X", color=AMBER, markeredgecolor="black", markersize=11, label="θ", linestyle="none")
    first, second = ("first random direction, in |θ|", "second random direction, in |θ|")
    if landscape.shares is not None:
        first, second = (
            f"{order} principal direction of the path ({share:.0%}), in |θ|"
            for order, share in zip(("first", "second"), landscape.shares, strict=True)
        )
    axes.set(xlabel=first, ylabel=second, title="Loss landscape")
    axes.legend(loc="upper right", fontsize=8, framealpha=0.85, facecolor=LIGHT_GREY)
    return axes


def _log_norm(low: float, high: float) -> Any:
    from matplotlib.colors import LogNorm

    return LogNorm(low, high)
