"""What all pictures share: matplotlib where it is there, new Axes, and the colours."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from dlarray.core.files import replacing

__all__ = ["PALETTE", "diverging", "new_axes", "pyplot", "save"]

BLUE, ORANGE, GREEN, SKY, GREY = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#777777"

PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", SKY, "#000000", "#F0E442")
"""Okabe and Ito 2008, the darkest first: for things that are told apart by colour."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""As many marks beside the colours, for a picture that is printed without any."""


def pyplot() -> Any:
    """matplotlib.pyplot. Raises ImportError with the remedy where it is not installed."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('pictures are drawn by matplotlib: pip install "dlarray[plot]"') from error
    return plt


def new_axes(width: float = 6.0, height: float = 4.0) -> Any:
    """The Axes of a new figure of that many inches: as wide as a page of text."""
    return pyplot().subplots(figsize=(width, height), layout="constrained")[1]


def diverging() -> Any:
    """A colour map for numbers with a sign: negative orange, 0 white, positive blue."""
    pyplot()
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("orange to blue", [ORANGE, "#FFFFFF", BLUE])


def save(figure: Any, path: str | PathLike[str]) -> None:
    """Write a figure to a file, whole or not at all, by its ending (PNG where it has none), and let go of it."""
    with replacing(path) as file:
        figure.savefig(file, dpi=120, format=Path(path).suffix[1:] or "png")
    pyplot().close(figure)
