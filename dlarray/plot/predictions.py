"""Predictions beside the truth: the confusion matrix, misclassified images, and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.plot.canvas import BLUE, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["confusion", "confusion_percent", "misclassified", "truth_and_prediction"]

MIN_FONT = 5.0


def confusion(matrix: np.ndarray, ax: Axes | None = None, *, names: Sequence[str] | None = None) -> Axes:
    """A confusion matrix: rows are true classes, columns are predicted classes.

    Only mistakes are shaded, so that the large counts of the diagonal do not hide them. ``names`` are the classes'
    names, by default their numbers. Raises ValueError if the matrix is not square, or holds anything but counts.
    """
    counts = _checked(matrix)
    axes = _table(counts, [[f"{n:.0f}" if n else "" for n in row] for row in counts], names, ax)
    axes.set_title(f"Confusion matrix: {np.trace(counts):.0f} of {np.sum(counts):.0f} correct")
    return axes


def confusion_percent(matrix: np.ndarray, ax: Axes | None = None, *, names: Sequence[str] | None = None) -> Axes:
    """The confusion matrix in percent of each true class: rows add up to 100, and the diagonal is the recall.

    A class without examples has an empty row. Raises ValueError as ``confusion`` does.
    """
    counts = _checked(matrix)
    totals = np.sum(counts, axis=1, keepdims=True)
    shares = 100 * counts / np.where(totals == 0, 1, totals)
    axes = _table(shares, [[_percent(share) for share in row] for row in shares], names, ax)
    recall = np.mean(np.diagonal(shares)[totals[:, 0] > 0]) if np.any(totals) else 0.0
    axes.set_title(f"Confusion in % of each true class, mean recall {recall:.1f} %")
    return axes


def misclassified(images: np.ndarray, true: np.ndarray, predicted: np.ndarray, axes: Any) -> None:
    """Images with their true and their predicted class, one on each of the axes; further axes stay empty."""
    for ax in axes:
        ax.set_axis_off()
    for ax, image, t, p in zip(axes, images, true, predicted, strict=False):
        ax.imshow(image, cmap="gray_r")
        ax.set_title(f"true {t}\npredicted {p}", fontsize=9)


def truth_and_prediction(truth: np.ndarray, predicted: np.ndarray, ax: Axes | None = None, *, name: str = "") -> Axes:
    """Predicted numbers over true numbers, both (n,), of the quantity ``name``; on the line they are equal.

    The axes cover what lies between the quantiles 0.001 and 0.999, so that one wild value hides no other. Raises
    ValueError if the two do not have the same length, or nothing is finite.
    """
    t, y = (np.asarray(x, dtype=np.float64).reshape(-1) for x in (truth, predicted))
    if len(t) != len(y):
        raise ValueError(f"truth and prediction must have the same length, got {len(t)} and {len(y)}")
    both = np.concatenate([t, y])
    both = both[np.isfinite(both)]
    if not len(both):
        raise ValueError("truth and prediction have no finite number")
    low, high = np.quantile(both, [0.001, 0.999])
    margin = 0.03 * (high - low) or 1.0
    axes: Any = ax or new_axes(6.0, 5.6)
    axes.scatter(t, y, s=8, alpha=min(1.0, max(0.05, 300 / len(t))), color=BLUE, linewidths=0)
    ends = (low - margin, high + margin)
    axes.plot(ends, ends, color="black", linewidth=0.8)
    axes.set(xlim=ends, ylim=ends, xlabel=f"true {name}".rstrip(), ylabel=f"predicted {name}".rstrip())
    axes.set_title("Prediction and truth")
    return axes


def _checked(matrix: np.ndarray) -> np.ndarray:
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        remedy = "use dlarray.metrics.confusion_matrix"
        raise ValueError(f"a confusion matrix must be square, (classes, classes), got shape {counts.shape}; {remedy}")
    if counts.dtype.kind not in "iuf" or not np.all(np.isfinite(counts)) or np.any(counts < 0):
        raise ValueError(f"a confusion matrix must hold counts, numbers of at least 0, got {counts.tolist()}")
    return counts


def _table(values: np.ndarray, texts: list[list[str]], names: Sequence[str] | None, ax: Axes | None) -> Any:
    """The texts as a table of classes by classes, with mistakes shaded."""
    classes = len(values)
    labels = [str(i) for i in range(classes)] if names is None else [str(name) for name in names]
    if len(labels) != classes:
        raise ValueError(f"names must hold {classes} names, one for each class, got {len(labels)}")
    axes: Any = ax or new_axes(6.0, 5.2)
    wrong = np.where(np.eye(classes, dtype=bool), 0, values)
    axes.imshow(wrong, cmap="Oranges", vmin=0, vmax=2 * max(1, np.max(wrong)))
    size = max(MIN_FONT, min(9.0, 130 / classes))
    for row in range(classes):
        for column, text in enumerate(texts[row]):
            colour = BLUE if row == column else "black"
            if text:
                axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
    axes.set(xlabel="predicted class", ylabel="true class")
    long = max(map(len, labels)) > 3
    axes.set_xticks(
        range(classes), labels, parse_math=False, rotation=45 if long else 0, ha="right" if long else "center"
    )
    axes.set_yticks(range(classes), labels, parse_math=False)
    return axes


def _percent(share: float) -> str:
    """Empty for 0; a share that would round to 0 or 100 keeps one digit."""
    if share == 0:
        return ""
    return f"{share:.0f}" if 1 <= share <= 99 or share == 100 else f"{share:.1f}"
