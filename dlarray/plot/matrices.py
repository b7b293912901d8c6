"""The weights: their distribution in each layer, and the first layer's weights as images and by feature."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dlarray.core.array import Array
from dlarray.core.check import at_least_one
from dlarray.device import to_numpy
from dlarray.plot.canvas import BLUE, GREY, diverging, new_axes
from dlarray.training import Trained

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["feature_weights", "weight_histograms", "weights"]

LONGEST = 40
"""Characters of a feature's name in a picture."""
_Parameters = Trained | Mapping[str, Array]
"""A trained model, or parameters by name: ``model.parameters(theta)``."""


def weight_histograms(parameters: _Parameters, ax: Axes | None = None, *, bins: int = 50) -> Axes:
    """A histogram of each layer's weights, the first layer at the top, with its standard deviation σ.

    Each histogram is scaled to its fullest bin. Raises ValueError if there is no weight matrix, or if a weight is not
    finite.
    """
    matrices = _matrices(parameters)
    at_least_one("bins", bins)
    top = max(float(np.max(np.abs(W))) for W in matrices.values()) or 1.0
    edges = np.linspace(-top, top, bins + 1)
    axes: Any = ax or new_axes(6.0, max(2.6, 0.8 * len(matrices) + 1.2))
    axes.axvline(0, color=GREY, linewidth=0.8)
    for i, W in enumerate(matrices.values()):
        counts, _ = np.histogram(W, edges)
        floor = len(matrices) - 1 - i
        height = 0.85 * counts / counts.max()
        axes.stairs(floor + height, edges, baseline=floor, fill=True, color=BLUE, alpha=0.35)
        axes.stairs(floor + height, edges, baseline=floor, color=BLUE, linewidth=1.2)
        axes.text(top, floor + 0.5, f"σ = {W.std():.2g}", ha="right", va="center", fontsize=9)
    axes.set_yticks(np.arange(len(matrices))[::-1], list(matrices))
    axes.set(xlabel="weight", ylabel="parameter", title="Weights of each layer", ylim=(-0.1, len(matrices)))
    return axes


def weights(
    parameters: _Parameters,
    ax: Axes | None = None,
    *,
    shape: tuple[int, int] | None = None,
    units: int = 64,
) -> Axes:
    """The weights of each unit in the first layer as an image: blue is positive, orange negative.

    ``shape`` is (height, width) of an image, by default a square. At most ``units`` are drawn, those with the largest
    weight norms. Raises ValueError if the number of inputs is not height × width.
    """
    name, W = next(iter(_matrices(parameters).items()))
    side = math.isqrt(len(W))
    height, width = shape or (side, side)
    if height * width != len(W):
        remedy = "give shape=(height, width)" if shape is None else "their product must be the number of inputs"
        raise ValueError(f"{len(W)} inputs do not fill an image of {height} by {width}; {remedy}")
    count = min(at_least_one("units", units), W.shape[1])
    chosen = np.sort(np.argsort(-np.sum(W * W, axis=0), kind="stable")[:count])
    columns = math.ceil(math.sqrt(count * height / width))
    lines = -(-count // columns)
    page = np.full((lines * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for i, unit in enumerate(chosen):
        y, x = (i // columns) * (height + 1), (i % columns) * (width + 1)
        page[y : y + height, x : x + width] = W[:, unit].reshape(height, width)
    axes: Any = ax or new_axes(6.0, 5.2)
    top = float(np.nanmax(np.abs(page))) or 1.0
    image = axes.imshow(page, cmap=diverging(), vmin=-top, vmax=top, interpolation="nearest")
    axes.figure.colorbar(image, ax=axes, label="weight", shrink=0.8)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set(
        xlabel=f"{count} of {W.shape[1]} units, {height} by {width} inputs each", title=f"First layer's weights, {name}"
    )
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def feature_weights(
    parameters: _Parameters,
    features: Sequence[str],
    ax: Axes | None = None,
    *,
    count: int = 40,
    units: int = 32,
) -> Axes:
    """The first layer's weights with the names of the features: a row for each, a column for each unit.

    At most ``count`` features are drawn, the one with the largest weight norm at the top, and at most ``units``, those
    with the largest norms. Weights of features with the same scale can be compared. Raises ValueError if the names
    are not as many as the inputs.
    """
    name, W = next(iter(_matrices(parameters).items()))
    if len(features) != len(W):
        raise ValueError(f"features must name the {len(W)} inputs of {name}, got {len(features)} names")
    norms = np.sqrt(np.sum(W * W, axis=1))
    rows = np.argsort(-norms, kind="stable")[: at_least_one("count", count)]
    columns = np.argsort(-np.sum(W * W, axis=0), kind="stable")[: at_least_one("units", units)]
    page = W[np.ix_(rows, columns)]
    axes: Any = ax or new_axes(6.0, max(2.4, 0.22 * len(rows) + 1.4))
    top = float(np.max(np.abs(page))) or 1.0
    image = axes.imshow(page, cmap=diverging(), vmin=-top, vmax=top, interpolation="nearest", aspect="auto")
    axes.figure.colorbar(image, ax=axes, label="weight", shrink=0.8)
    names = [features[int(i)] for i in rows]
    labels = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names]
    axes.set_yticks(np.arange(len(rows)), labels, fontsize=8, parse_math=False)
    axes.set_xticks([])
    shown = "" if len(rows) == len(W) else f", {len(rows)} of {len(W)} features"
    axes.set(xlabel=f"{len(columns)} of {W.shape[1]} units{shown}", title=f"First layer's weights, {name}")
    return axes


def _matrices(parameters: _Parameters) -> dict[str, np.ndarray]:
    named = parameters.parameters if isinstance(parameters, Trained) else parameters
    if not isinstance(named, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        given = type(cast("Any", named)).__name__
        raise TypeError(
            f"parameters must be a trained model, or a mapping such as model.parameters(theta), got {given}"
        )
    found = {name: np.asarray(to_numpy(p), dtype=np.float64) for name, p in named.items() if p.ndim == 2}
    if not found:
        raise ValueError(f"parameters must hold a weight matrix, got {list(named)}, none of which is a matrix")
    if strange := [name for name, W in found.items() if not np.all(np.isfinite(W))]:
        raise ValueError(f"weights must be finite, but {strange[0]} holds infinity or NaN")
    return found
