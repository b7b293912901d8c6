"""The loss as the learning rate grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.plot.canvas import BLUE, ORANGE, new_axes
from dlarray.training import LRFinderResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["lr_finder"]


def lr_finder(result: LRFinderResult, ax: Axes | None = None) -> Axes:
    """The loss of each step (thin) and smoothed (thick) by learning rate, on a log axis; the suggestion is marked."""
    axes: Any = ax or new_axes()
    end = result.end
    rates, losses, smoothed = result.rates[:end], result.losses[:end], result.smoothed[:end]
    axes.plot(rates, losses, color=BLUE, alpha=0.25, linewidth=0.6, label="each step")
    axes.plot(rates, smoothed, color=BLUE, linewidth=2, label="smoothed")
    try:
        best = result.suggestion
    except ValueError:  # the loss falls nowhere
        best = None
    if best is not None:
        height = smoothed[int(np.argmin(np.abs(rates - best)))]
        axes.plot([best], [height], "o", color=ORANGE, markersize=8, label=f"falls fastest at {best:.2g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", title="Loss as the learning rate grows")
    axes.legend(frameon=False)
    return axes
