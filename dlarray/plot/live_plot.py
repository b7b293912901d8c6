"""A picture of the figures that grows with the walk. Needs matplotlib: ``pip install "dlarray[plot]"``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from dlarray.core.check import at_least_one, did_you_mean
from dlarray.core.files import replacing
from dlarray.plot.canvas import PALETTE, pyplot
from dlarray.training.callback import Callback, Run

__all__ = ["LivePlot"]


@dataclass(frozen=True)
class LivePlot(Callback):
    """Draw the figures by epoch, in a notebook below its cell or else to the file ``path``, every so many epochs.

    Losses are on the left, everything else on the right. ``metrics`` are their names, by default all. Raises
    ImportError with the remedy where matplotlib is missing; ValueError where every is below 1, and before the first
    step for a figure that is not measured and where there is neither a notebook nor a path.
    """

    metrics: Sequence[str] = ()
    every: int = 1
    path: str | PathLike[str] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        at_least_one("every", self.every)
        if isinstance(self.metrics, str):
            raise TypeError(f"metrics must be a list of names, got {self.metrics!r}; put it between brackets")

    def on_start(self, run: Run) -> None:
        for name in self.metrics:
            if name not in run.names:
                hint = did_you_mean(name, run.names)
                raise ValueError(f"LivePlot draws {name!r}{hint}; measured are {', '.join(run.names)}")
        if self.path is None and _notebook() is None:
            raise ValueError("LivePlot draws in a notebook, and this is none: give path=, a file for the picture")
        pyplot()

    def on_epoch(self, run: Run) -> None:
        if run.epoch % self.every == 0 or run.epoch == run.epochs or run.stopped:
            self._draw(run)

    def _draw(self, run: Run) -> None:
        plt = pyplot()
        names = list(self.metrics or run.names)
        halves = [half for half in (_losses(names, True), _losses(names, False)) if half]
        figure, axes = plt.subplots(
            1, len(halves), figsize=(5.5 * len(halves), 3.8), layout="constrained", squeeze=False
        )
        for ax, half in zip(axes[0], halves, strict=True):
            for colour, name in zip(PALETTE * len(half), half, strict=False):
                values = run.history[name]
                ax.plot(
                    range(1, len(values) + 1), values, color=colour, label=name, marker="." if len(values) < 30 else ""
                )
            ax.set(xlabel="epoch")
            ax.legend(frameon=False)
        if self.path is not None:
            with replacing(self.path) as file:
                figure.savefig(file, dpi=110, format=Path(self.path).suffix[1:] or "png")
        if (display := _notebook()) is not None:
            mine = run.memory(self)
            if "_handle" in mine:
                mine["_handle"].update(figure)
            else:
                mine["_handle"] = display(figure, display_id=True)
        plt.close(figure)


def _losses(names: Sequence[str], wanted: bool) -> list[str]:
    return [name for name in names if name.endswith("loss") == wanted]


def _notebook() -> Any:
    """IPython's ``display`` where this runs in a notebook's kernel, else None. Whoever has one has IPython loaded."""
    ipython: Any = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
        return None
    return ipython.display.display
