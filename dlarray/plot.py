"""Pictures. Needs matplotlib: ``pip install "dlarray[plot]"``. Functions draw on the Axes given and return it.

Colours are those of Okabe and Ito, which people see apart whatever their colour vision.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.training import History, RateSearch, Trained

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["confusion", "learning_curves", "misread", "pyplot", "rate_search", "save", "training_report"]

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"


def learning_curves(history: History, ax: Axes | None = None) -> Axes:
    """The loss by step, thin, and by epoch; with the validation loss where there is one. On a log axis where it can be.

    Raises ValueError for a history of no epochs, such as that of a model from a file.
    """
    if not history.epochs:
        raise ValueError("there is no epoch in this history: a model from a file does not bring its history along")
    axes: Any = ax or _new_axes()
    steps = np.arange(1, len(history.steps) + 1)
    per_epoch = len(steps) / max(1, len(history.epochs))
    ends = per_epoch * np.arange(1, len(history.epochs) + 1)
    axes.plot(steps, history.steps, color=BLUE, alpha=0.25, linewidth=0.6, label="training, each step")
    axes.plot(ends, history["loss"], color=BLUE, linewidth=2, label="training, mean of an epoch")
    if "validation_loss" in history.names:
        axes.plot(ends, history["validation_loss"], color=ORANGE, linewidth=2, label="validation")
    if all(value > 0 for name in history.names if name.endswith("loss") for value in history.steps + history[name]):
        axes.set_yscale("log")
    axes.set(xlabel="step", ylabel="loss", title="Learning curves")
    axes.legend(frameon=False)
    return axes


def rate_search(found: RateSearch, ax: Axes | None = None) -> Axes:
    """The loss against the learning rate, on a log axis: each step thin, smoothed thick, with the suggestion marked."""
    axes: Any = ax or _new_axes()
    end = found.end
    rates, losses, smoothed = found.rates[:end], found.losses[:end], found.smoothed[:end]
    axes.plot(rates, losses, color=BLUE, alpha=0.25, linewidth=0.6, label="each step")
    axes.plot(rates, smoothed, color=BLUE, linewidth=2, label="smoothed")
    try:
        best = found.suggestion
    except ValueError:  # it falls nowhere, as the picture shows
        best = None
    if best is not None:
        height = smoothed[int(np.argmin(np.abs(rates - best)))]
        axes.plot([best], [height], "o", color=ORANGE, markersize=8, label=f"steepest at {best:.2g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", title="How the loss takes a growing rate")
    axes.legend(frameon=False)
    return axes


def confusion(matrix: np.ndarray, ax: Axes | None = None) -> Axes:
    """A confusion matrix: rows are true classes, columns predicted ones; the diagonal is what went right.

    Mistakes are shaded by their own scale, or the diagonal would drown them.
    """
    axes: Any = ax or _new_axes()
    classes = len(matrix)
    wrong = np.where(np.eye(classes, dtype=bool), 0, matrix)
    top = max(1, int(wrong.max()))
    axes.imshow(wrong, cmap="Oranges", vmin=0, vmax=2 * top)
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            axes.text(
                column, row, str(count), ha="center", va="center", fontsize=9, color=BLUE if row == column else "black"
            )
    right = int(np.trace(matrix))
    axes.set(
        xlabel="predicted class", ylabel="true class", title=f"Confusion matrix: {right} of {int(matrix.sum())} right"
    )
    axes.set_xticks(range(classes))
    axes.set_yticks(range(classes))
    return axes


def misread(images: np.ndarray, true: np.ndarray, predicted: np.ndarray, axes: Any) -> None:
    """Images with what they are and what they were taken for, one on each of the axes; axes left over stay empty."""
    for ax in axes:
        ax.set_axis_off()
    for ax, image, t, p in zip(axes, images, true, predicted, strict=False):
        ax.imshow(image, cmap="gray_r")
        ax.set_title(f"{t} read as {p}", fontsize=9)


def training_report(
    trained: Trained, x: np.ndarray, y: np.ndarray, images: np.ndarray | None = None, title: str = ""
) -> Figure:
    """One picture of a trained classifier: its learning curves, its confusion matrix and the images that it misreads.

    x (examples, inputs) and y (examples,) are examples that it was not trained on, host arrays; images, where given,
    (examples, height, width), is what they look like. Raises ValueError where the model does not choose one class.
    """
    plt = pyplot()
    predicted = np.asarray(trained.classify(x))
    if predicted.ndim != 1:
        raise ValueError(f"the report is of one class for each example, got answers of shape {predicted.shape}")
    true = np.asarray(y).reshape(-1)
    if trained.loss.chooses == "each":  # the hinges call no -1
        true = (true > trained.loss.boundary).astype(int)
    classes = max(2, trained.model.outputs)
    matrix = np.zeros((classes, classes), dtype=int)
    np.add.at(matrix, (true, predicted), 1)
    wrong = np.flatnonzero(predicted != true)
    figure = plt.figure(figsize=(12, 7.6 if images is not None else 5.4), layout="constrained")
    parts = figure.subfigures(2 if images is not None else 1, 1, height_ratios=[3, 1] if images is not None else [1])
    upper = parts[0] if images is not None else parts
    left, right = upper.subplots(1, 2, width_ratios=[1.25, 1])
    learning_curves(trained.history, left)
    confusion(matrix, right)
    if images is not None:
        parts[1].suptitle(
            f"Wrongly read: {len(wrong)} of {len(predicted)}" + (", the first 10" if len(wrong) > 10 else "")
        )
        row = np.atleast_1d(parts[1].subplots(1, 10))
        misread(images[wrong], true[wrong], predicted[wrong], row)
    if title:
        figure.suptitle(title)
    return figure


def save(figure: Any, path: str | PathLike[str]) -> None:
    """Write a figure to a file, by its ending, and let go of it."""
    figure.savefig(path, dpi=120)
    pyplot().close(figure)


def _new_axes() -> Any:
    return pyplot().subplots(layout="constrained")[1]


def pyplot() -> Any:
    """matplotlib.pyplot. Raises ImportError with the remedy where it is not installed."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('pictures are drawn by matplotlib: pip install "dlarray[plot]"') from error
    return plt
