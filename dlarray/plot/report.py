"""A page about a trained classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dlarray.metrics import confusion_matrix
from dlarray.plot.canvas import pyplot
from dlarray.plot.curves import learning_curves
from dlarray.plot.predictions import confusion, misclassified
from dlarray.training import Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["training_report"]


def training_report(
    trained: Trained, x: np.ndarray, y: np.ndarray, images: np.ndarray | None = None, title: str = ""
) -> Figure:
    """A page about a trained classifier: learning curves, confusion matrix, and misclassified images.

    x (examples, inputs) and y (examples,) are host arrays of examples that were not used for training. ``images``,
    (examples, height, width), show these examples. Raises ValueError if the model does not predict one class
    for each example.
    """
    plt = pyplot()
    predicted = np.asarray(trained.classify(x))
    if predicted.ndim != 1:
        raise ValueError(
            f"training_report needs one class for each example, got predictions of shape {predicted.shape}"
        )
    true = np.asarray(y).reshape(-1)
    if trained.loss.task == "binary":  # the hinge losses label classes -1 and 1
        true = (true > trained.loss.threshold).astype(int)
    matrix = np.asarray(confusion_matrix(true, predicted, classes=max(2, trained.model.outputs)))
    wrong = np.flatnonzero(predicted != true)
    figure = plt.figure(figsize=(10, 6.6 if images is not None else 4.8), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)  # inches between the parts and the edge
    parts = figure.subfigures(2 if images is not None else 1, 1, height_ratios=[3, 1] if images is not None else [1])
    upper = parts[0] if images is not None else parts
    left, right = upper.subplots(1, 2, width_ratios=[1.25, 1])
    learning_curves(trained.history, left)
    confusion(matrix, right)
    if images is not None:
        parts[1].suptitle(
            f"Misclassified: {len(wrong)} of {len(predicted)}" + (", the first 10" if len(wrong) > 10 else "")
        )
        row = np.atleast_1d(parts[1].subplots(1, min(10, len(wrong)) or 1))
        misclassified(images[wrong], true[wrong], predicted[wrong], row)
    if title:
        figure.suptitle(title)
    return figure
