"""What a classifier answers: which classes it takes for which, and what it misreads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.plot.canvas import BLUE, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["confusion", "confusion_percent", "misclassified"]

LEAST_FONT = 5.0


def confusion(matrix: np.ndarray, ax: Axes | None = None, *, names: Sequence[str] | None = None) -> Axes:
    """A confusion matrix: rows are true classes, columns predicted ones; the diagonal is what went right.

    Mistakes are shaded by their own scale, or the diagonal would drown them. ``names`` are the classes' words, by
    default their numbers. Raises ValueError where the matrix is not square, or holds a number that is no count.
    """
    counts = _checked(matrix)
    axes = _table(counts, [[f"{n:.0f}" if n else "" for n in row] for row in counts], names, ax)
    axes.set_title(f"Confusion matrix: {np.trace(counts):.0f} of {np.sum(counts):.0f} right")
    return axes


def confusion_percent(matrix: np.ndarray, ax: Axes | None = None, *, names: Sequence[str] | None = None) -> Axes:
    """The same counts as shares of each true class, in percent: every row adds up to 100, the diagonal is the recall.

    A row of no examples stays empty. Raises ValueError as ``confusion`` does.
    """
    counts = _checked(matrix)
    totals = np.sum(counts, axis=1, keepdims=True)
    shares = 100 * counts / np.where(totals == 0, 1, totals)
    axes = _table(shares, [[_percent(share) for share in row] for row in shares], names, ax)
    recall = np.mean(np.diagonal(shares)[totals[:, 0] > 0]) if np.any(totals) else 0.0
    axes.set_title(f"Share of each true class (%): {recall:.1f} right on average")
    return axes


def misclassified(images: np.ndarray, true: np.ndarray, predicted: np.ndarray, axes: Any) -> None:
    """Images with what they are and what they were taken for, one on each of the axes; axes left over stay empty."""
    for ax in axes:
        ax.set_axis_off()
    for ax, image, t, p in zip(axes, images, true, predicted, strict=False):
        ax.imshow(image, cmap="gray_r")
        ax.set_title(f"{t} read as {p}", fontsize=9)


def _checked(matrix: np.ndarray) -> np.ndarray:
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        remedy = "dlarray.metrics.confusion_matrix makes one"
        raise ValueError(f"a confusion matrix is square, classes by classes, got shape {counts.shape}; {remedy}")
    if counts.dtype.kind not in "iuf" or not np.all(np.isfinite(counts)) or np.any(counts < 0):
        raise ValueError(f"a confusion matrix holds counts, numbers of at least 0, got {counts.tolist()}")
    return counts


def _table(values: np.ndarray, words: list[list[str]], names: Sequence[str] | None, ax: Axes | None) -> Any:
    """Words in a table of classes by classes, mistakes shaded."""
    classes = len(values)
    labels = [str(i) for i in range(classes)] if names is None else [str(name) for name in names]
    if len(labels) != classes:
        raise ValueError(f"names must hold {classes} words, one for each class, got {len(labels)}")
    axes: Any = ax or new_axes(6.0, 5.2)
    wrong = np.where(np.eye(classes, dtype=bool), 0, values)
    axes.imshow(wrong, cmap="Oranges", vmin=0, vmax=2 * max(1, np.max(wrong)))
    size = max(LEAST_FONT, min(9.0, 130 / classes))
    for row in range(classes):
        for column, word in enumerate(words[row]):
            colour = BLUE if row == column else "black"
            if word:
                axes.text(column, row, word, ha="center", va="center", fontsize=size, color=colour)
    axes.set(xlabel="predicted class", ylabel="true class")
    long = max(map(len, labels)) > 3
    axes.set_xticks(range(classes), labels, rotation=45 if long else 0, ha="right" if long else "center")
    axes.set_yticks(range(classes), labels)
    return axes


def _percent(share: float) -> str:
    """0 is left out, and what rounds to 0 or to 100 without being it keeps a digit."""
    if share == 0:
        return ""
    return f"{share:.0f}" if 1 <= share <= 99 or share == 100 else f"{share:.1f}"
