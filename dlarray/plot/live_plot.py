"""Curves of the metrics that are redrawn during training. Needs matplotlib: ``pip install "dlarray[plot]"``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from dlarray.core.check import at_least_one, did_you_mean
from dlarray.plot.canvas import PALETTE, pyplot, save
from dlarray.training.callback import Callback, Run

__all__ = ["LivePlot"]


@dataclass(frozen=True)
class LivePlot(Callback):
    """Draw the metrics by epoch, after every ``every`` epochs: below a notebook cell, or to the file ``path``.

    Losses are on the left, all other metrics on the right. ``metrics`` are the names to draw, by default all. Raises
    ValueError if ``every`` is below 1. Before the first step it raises ImportError, with the remedy, if matplotlib is
    missing, and ValueError for an unknown metric, and if there is neither a notebook nor a path.
    """

    metrics: Sequence[str] = ()
    every: int = 1
    path: str | PathLike[str] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        at_least_one("every", self.every)
        if isinstance(self.metrics, str):
            raise TypeError(f"metrics must be a list of names, got {self.metrics!r}; write [{self.metrics!r}]")

    def on_start(self, run: Run) -> None:
        for name in self.metrics:
            if name not in run.names:
                hint = did_you_mean(name, run.names)
                raise ValueError(f"LivePlot draws {name!r}{hint}; this run has {', '.join(run.names)}")
        if run.writes and self.path is None and _notebook() is None:
            raise ValueError("LivePlot draws in a notebook, but this is not one: give path=, a file for the picture")
        pyplot()

    def on_epoch(self, run: Run) -> None:
        if run.writes and (run.epoch % self.every == 0 or run.epoch == run.epochs or run.stopped):
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
            save(figure, self.path)
        if (display := _notebook()) is not None:
            memory = run.memory(self)
            if "_handle" in memory:
                memory["_handle"].update(figure)
            else:
                memory["_handle"] = display(figure, display_id=True)
        plt.close(figure)


def _losses(names: Sequence[str], wanted: bool) -> list[str]:
    """The names that are losses, or those that are not."""
    return [name for name in names if name.endswith("loss") == wanted]


def _notebook() -> Any:
    """IPython's ``display`` if this runs in a notebook's kernel, which has imported IPython, else None."""
    ipython: Any = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
        return None
    return ipython.display.display
