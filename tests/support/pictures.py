"""Models and examples for pictures, and functions that read a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

import dlarray as dl

rng = np.random.default_rng(0)
PLANE = rng.normal(size=(80, 2))
THREE = rng.integers(0, 3, 80)
SMALL = dl.mlp(2, 5, 3, activation="tanh")


def fitted(model: dl.MLP, y: np.ndarray, **options: Any) -> dl.Trained:
    return dl.fit(model, PLANE, y, epochs=5, compile=False, progress=False, **options)


def lines(ax: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The curves of a picture by their labels."""
    return {line.get_label(): (np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in ax.get_lines()}


def overlapping(figure: Any) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes overlap."""
    import matplotlib.text

    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    unseen = _outside(figure)
    texts = [t for t in figure.findobj(matplotlib.text.Text) if t.get_text() and t.get_visible() and t not in unseen]
    texts = [t for t in texts if not t.get_text().startswith("$")]  # minor marks of a log axis
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts if not t.get_rotation() % 90]
    return [
        (a, b)
        for i, (a, one) in enumerate(boxes)
        for b, other in boxes[i + 1 :]
        if one.width
        and other.width
        and one.shrunk(0.9, 0.9).overlaps(other.shrunk(0.9, 0.9))
        and one.bounds != other.bounds
    ]


def _outside(figure: Any) -> set[Any]:
    """The texts of ticks beyond the ends of their axis, which are not drawn."""
    found: set[Any] = set()
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        found |= {word for t in ticks if not low <= t.get_loc() <= high for word in (t.label1, t.label2)}
    return found
