"""A small network as units and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.core.array import Array
from dlarray.core.layer import Activation, Layer
from dlarray.core.layout import Theta
from dlarray.device import to_numpy
from dlarray.layers import Chain, Dense, Residual
from dlarray.model import MLP
from dlarray.plot.canvas import BLUE, GREY, ORANGE, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["network"]

MAX_UNITS = 16
MAX_WIDTH = 4.0


def network(model: MLP, theta: Theta, ax: Axes | None = None) -> Axes:
    """The network as in the textbook: a circle for each unit, and a line for each weight, as wide as |weight|.

    Blue lines are positive weights, dashed orange lines negative ones. The circle's outline shows the unit's bias in
    the same way. Raises ValueError if a layer has more than 16 units, and for layers that are not a simple sequence of
    units (Residual, Embedding).
    """
    columns, matrices, biases = _columns(model, model.parameters(theta))
    axes: Any = ax or new_axes(6.0, 4.2)
    from matplotlib.collections import LineCollection

    largest = max(float(np.max(np.abs(W))) for W in matrices) or 1.0
    top_bias = max(float(np.max(np.abs(b))) for b in biases) or 1.0
    for k, W in enumerate(matrices):
        for sign, colour, style in ((1, BLUE, "-"), (-1, ORANGE, (0, (3, 1)))):
            drawn = [(i, j) for i, j in np.ndindex(*W.shape) if sign * W[i, j] > 0]
            ends = [((k, _height(i, W.shape[0])), (k + 1, _height(j, W.shape[1]))) for i, j in drawn]
            widths = [MAX_WIDTH * abs(W[i, j]) / largest for i, j in drawn]
            axes.add_collection(LineCollection(ends, colors=colour, linewidths=widths, linestyles=[style], zorder=1))
    for k, (count, _) in enumerate(columns):
        for i in range(count):
            bias = float(biases[k - 1][i]) if k else 0.0
            outline = {"edgecolors": GREY, "linewidths": 1.0}
            if bias:
                outline = {"edgecolors": BLUE if bias > 0 else ORANGE, "linewidths": 1 + 2.5 * abs(bias) / top_bias}
            axes.scatter(k, _height(i, count), s=320 if count <= 8 else 110, c="white", zorder=2, **outline)
            if (k == 0 or k == len(columns) - 1) and count <= 8:
                word = f"$x_{{{i + 1}}}$" if k == 0 else f"$\\hat{{y}}_{{{i + 1}}}$"
                axes.text(k, _height(i, count), word, ha="center", va="center", fontsize=9, zorder=3)
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], color=BLUE, linewidth=MAX_WIDTH, label=f"weight of {largest:.2g}"),
        Line2D([], [], color=ORANGE, linewidth=MAX_WIDTH, linestyle=(0, (3, 1)), label=f"weight of {-largest:.2g}"),
    ]
    axes.legend(handles=entries, loc="lower center", ncols=2, frameon=False, handlelength=4)
    axes.set_xticks(range(len(columns)), [label for _, label in columns])
    axes.set_yticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set(xlim=(-0.35, len(columns) - 0.65), ylim=(-0.78, 0.58), xlabel="layer", ylabel="unit")
    axes.set_title(f"Network of {model.layout.count} parameters; outlines show biases")
    return axes


def _height(i: int, count: int) -> float:
    """The height of unit i in a column: columns are centred, and a full column goes from -0.5 to 0.5."""
    return ((count - 1) / 2 - i) * min(0.2, 1 / max(1, count - 1))


def _columns(
    model: MLP, parameters: dict[str, Array]
) -> tuple[list[tuple[int, str]], list[np.ndarray], list[np.ndarray]]:
    """The number of units and the label of each column; the weights and the biases between the columns."""
    columns = [(model.inputs, f"{model.inputs} inputs")]
    matrices: list[np.ndarray] = []
    biases: list[np.ndarray] = []
    for name, f in _leaves(model.chain):
        if isinstance(f, Dense):
            matrices.append(np.asarray(to_numpy(parameters[f"{name}.W"]), dtype=np.float64))
            b = parameters.get(f"{name}.b")
            biases.append(np.zeros(f.units) if b is None else np.asarray(to_numpy(b), dtype=np.float64))
            columns.append((f.units, f"{name}: Dense"))
        elif f.integers or (f.shapes(2) and not isinstance(f, Activation) and f.width(2) != 2):
            raise ValueError(f"network draws Dense layers and element-wise layers between them, got {type(f).__name__}")
        else:
            count, label = columns[-1]
            columns[-1] = (count, f"{label}\n{type(f).__name__}")
    if not matrices:
        raise ValueError("network needs at least one Dense layer, and this model has no Dense layer")
    if (most := max(count for count, _ in columns)) > MAX_UNITS:
        remedy = "use plot.weights or plot.weight_histograms"
        raise ValueError(f"network draws at most {MAX_UNITS} units in a layer, got {most}; {remedy}")
    return columns, matrices, biases


def _leaves(chain: Chain, before: str = "") -> list[tuple[str, Layer]]:
    if isinstance(chain, Residual):
        raise ValueError("network draws a simple sequence of layers, got a Residual")
    found: list[tuple[str, Layer]] = []
    for i, f in enumerate(chain.layers):
        found += _leaves(f, f"{before}{i}.") if isinstance(f, Chain) else [(f"{before}{i}", f)]
    return found
