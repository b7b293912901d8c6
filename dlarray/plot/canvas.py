"""What all pictures share: matplotlib, new Axes, the colours, and saving."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from dlarray.core.files import replacing

__all__ = [
    "AMBER",
    "BLUE",
    "GREEN",
    "GREY",
    "MARKERS",
    "ORANGE",
    "PALETTE",
    "PINK",
    "SKY",
    "diverging",
    "new_axes",
    "pyplot",
    "save",
]

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
AMBER, SKY, BLACK, YELLOW = "#E69F00", "#56B4E9", "#000000", "#F0E442"
GREY, LIGHT_GREY, WHITE = "#777777", "#CCCCCC", "#FFFFFF"

PALETTE = (BLUE, ORANGE, GREEN, PINK, AMBER, SKY, BLACK, YELLOW)
"""The colours of Okabe and Ito 2008, in the order in which lines and classes use them."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""One marker for each colour of the palette, for pictures that are printed without colour."""


def pyplot() -> Any:
    """matplotlib.pyplot. Raises ImportError, with the remedy, if matplotlib is not installed."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('pictures are drawn by matplotlib: pip install "dlarray[plot]"') from error
    return plt


def new_axes(width: float = 6.0, height: float = 4.0) -> Any:
    """The Axes of a new figure of this size in inches. The default is as wide as a page of text."""
    return pyplot().subplots(figsize=(width, height), layout="constrained")[1]


def diverging() -> Any:
    """A colour map for signed numbers: negative orange, 0 white, positive blue."""
    pyplot()
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("orange to blue", [ORANGE, WHITE, BLUE])


def save(figure: Any, path: str | PathLike[str]) -> None:
    """Write a figure to a file in the format of its suffix (PNG without one), and close the figure.

    The file is written completely or not at all.
    """
    with replacing(path) as file:
        figure.savefig(file, dpi=120, format=Path(path).suffix[1:] or "png")
    pyplot().close(figure)
