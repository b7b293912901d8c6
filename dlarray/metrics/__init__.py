"""Metrics of predictions p, given the true targets y. Each is a 0-d array, or one number for each class.

All metrics of classes read arrays in the same way:

- ``y``: integers (n,) or (n, 1) are labels; floats of that shape, if p holds scores of class 1, are 0 and 1 or
  probabilities, and class 1 where they are above ½; (n, K) are one-hot rows or probabilities.
- ``p``: integers or booleans (n,) or (n, 1) are labels; floats (n,) or (n, 1) are scores of class 1, which is predicted
  above ``threshold`` (½ for probabilities, 0 for logits); (n, K) are scores: the class of the largest is predicted, the
  first of equals, and no class if a score is NaN.

Labels are in [0, K). K is ``classes``, the number of columns, or 2 if p holds scores of class 1. Results are in the
dtype of p if that is floating, else in the library's default. ``weight`` holds one number per example, (n,), by which
means and counts are weighted. All raise ValueError if shapes do not match or there are no examples, for the first label
outside [0, K) and for the first row of y that is neither one-hot nor probabilities; TypeError for masked arrays. While
a function is traced, as by ``jax.jit``, there are no values to check.
"""

from dlarray.metrics.classes import accuracy, confusion_matrix, f1, fbeta, precision, recall, top_k_accuracy
from dlarray.metrics.numbers import (
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    r2,
    root_mean_squared_error,
)
from dlarray.metrics.scores import log_loss, roc_auc

__all__ = [
    "accuracy",
    "confusion_matrix",
    "f1",
    "fbeta",
    "log_loss",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "precision",
    "r2",
    "recall",
    "roc_auc",
    "root_mean_squared_error",
    "top_k_accuracy",
]
