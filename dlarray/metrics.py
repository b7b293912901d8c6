"""Metrics of predictions p, given the true targets y. Each is a 0-d array, or one number for each class.

All metrics of classes read arrays in the same way:

- ``y``: integers (n,) or (n, 1) are labels; floats of that shape, if p holds scores of class 1, are 0 and 1 or
  probabilities, and class 1 where they are above ½; (n, K) are one-hot rows or probabilities.
- ``p``: integers or booleans (n,) or (n, 1) are labels; floats (n,) or (n, 1) are scores of class 1, which is predicted
  above ``threshold`` (½ for probabilities, 0 for logits); (n, K) are scores: the class of the largest is predicted, the
  first of equals, and no class if a score is NaN.

Labels are in [0, K). K is ``classes``, the number of columns, or 2 if p holds scores of class 1. Results are in the
dtype of p if that is floating, else in the library's default. All raise ValueError if shapes do not match or there are
no examples, for the first label outside [0, K) and for the first row of y that is neither one-hot nor probabilities;
TypeError for masked arrays. While a function is traced, as by ``jax.jit``, there are no values to check.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from dlarray.core.array import Array, array_namespace, device, is_floating, is_integer, largest_column, one_hot, size
from dlarray.core.check import at_least_one, one_of
from dlarray.losses import (
    BinaryCrossEntropy,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
    SparseCategoricalCrossEntropy,
)
from dlarray.losses.values import check_labels, check_probabilities, check_rows

__all__ = [
    "accuracy",
    "confusion_matrix",
    "f1",
    "log_loss",
    "mean_absolute_error",
    "mean_squared_error",
    "precision",
    "r2",
    "recall",
    "root_mean_squared_error",
    "top_k_accuracy",
]

_Average = Literal["binary", "macro", "micro", "weighted"]


def accuracy(y: Array, p: Array, *, threshold: float = 0.5) -> Array:
    """The share of examples whose predicted class is the true one.

    Examples
    --------
    >>> import numpy as np
    >>> from dlarray.metrics import accuracy
    >>> float(accuracy(np.asarray([0, 1, 1, 0]), np.asarray([0.2, 0.9, 0.4, 0.1])))  # probabilities of class 1
    0.75
    """
    y, chosen, _ = _read(y, p, threshold)
    xp = array_namespace(y)
    return xp.mean(xp.astype(y == chosen, _floating(p)))


def top_k_accuracy(y: Array, p: Array, k: int = 5) -> Array:
    """The share of examples whose true class is among the k classes with the highest scores; p is (n, K), 1 <= k <= K.

    Equal scores rank in the order of their classes: k = 1 is ``accuracy``. A true class with the score NaN is not among
    them.
    """
    xp = array_namespace(y, p)
    if p.ndim != 2 or not is_floating(p) or at_least_one("k", k) > p.shape[1]:
        raise ValueError(f"top {k} needs scores of {k} classes or more, (n, classes), got {p.dtype} {tuple(p.shape)}")
    labels, _, _ = _read(y, p, 0.5)
    own_class, classes = xp.reshape(labels, (-1, 1)), xp.arange(p.shape[1], device=device(p))
    own = xp.sum(xp.where(own_class == classes, p, 0.0), axis=1, keepdims=True)
    ahead = ~(p <= own) | ((p == own) & (classes < own_class))
    rank = xp.sum(xp.astype(ahead, p.dtype), axis=1)
    return xp.mean(xp.astype(rank < k, p.dtype))


def confusion_matrix(y: Array, p: Array, *, classes: int | None = None, threshold: float = 0.5) -> Array:
    """(K, K) whole numbers: how many examples of the row's class were predicted as the column's.

    A product of one-hot matrices, Yᵀ P. ``classes`` is K, by default the number of columns of p or y. In float32 counts
    are exact up to 2²⁴. An example with the score NaN has no predicted class: no column counts it.

    Examples
    --------
    >>> import numpy as np
    >>> from dlarray.metrics import confusion_matrix
    >>> confusion_matrix(np.asarray([0, 1, 2, 1]), np.asarray([0, 2, 2, 1]), classes=3)
    array([[1, 0, 0],
           [0, 1, 1],
           [0, 0, 1]], dtype=int32)
    """
    truth, chosen = _one_hots(y, p, classes, threshold)
    xp = array_namespace(truth)
    return xp.astype(xp.matrix_transpose(truth) @ chosen, xp.int32)


def precision(
    y: Array, p: Array, *, average: _Average | None = "binary", classes: int | None = None, threshold: float = 0.5
) -> Array:
    """Of the examples predicted as a class, the share that are of it: TP / (TP + FP), 0 if none was predicted as it.

    ``average``: "binary" is class 1 of two; None gives every class, (K,); "macro" their mean over all K; "weighted"
    their mean, weighted by the number of true examples; "micro" counts all classes together. For more than two classes
    K is ``classes``, by default the number of columns of p or y.
    Source: scikit-learn's precision_score(labels=range(K), zero_division=0).
    """
    hits, predicted, actual = _counts(y, p, average, classes, threshold)
    return _average(hits, predicted, actual, average)


def recall(
    y: Array, p: Array, *, average: _Average | None = "binary", classes: int | None = None, threshold: float = 0.5
) -> Array:
    """Of the examples of a class, the share that were predicted as it: TP / (TP + FN), 0 if it has no examples.

    ``average`` and ``classes`` as in ``precision``. Source: scikit-learn's recall_score.
    """
    hits, _, actual = _counts(y, p, average, classes, threshold)
    return _average(hits, actual, actual, average)


def f1(
    y: Array, p: Array, *, average: _Average | None = "binary", classes: int | None = None, threshold: float = 0.5
) -> Array:
    """The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN), 0 for 0 / 0.

    ``average`` and ``classes`` as in ``precision``; "macro" is the mean of the classes' F1.
    Source: scikit-learn's f1_score.

    Examples
    --------
    >>> import numpy as np
    >>> from dlarray.metrics import f1
    >>> round(float(f1(np.asarray([0, 1, 1]), np.asarray([0, 1, 0]))), 4)  # precision 1, recall ½
    0.6667
    """
    hits, predicted, actual = _counts(y, p, average, classes, threshold)
    return _average(2 * hits, predicted + actual, actual, average)


def log_loss(y: Array, p: Array) -> Array:
    """The mean of -log p at the true class; p holds probabilities, (n, K), or those of class 1, (n,) or (n, 1).

    It is SparseCategoricalCrossEntropy or BinaryCrossEntropy of probabilities. Raises ValueError for a p outside [0,
    1]: apply softmax or sigmoid to logits first. Source: scikit-learn's log_loss.
    """
    if not is_floating(p):
        raise ValueError(f"log_loss needs probabilities, got {p.dtype}")
    labels, _, classes = _read(y, p, 0.5)
    remedy = "logits become probabilities by softmax or sigmoid"
    check_probabilities("log_loss", p, "p must hold probabilities, in [0, 1]", remedy)
    if p.ndim == 2 and p.shape[1] > 1:
        return SparseCategoricalCrossEntropy(from_logits=False).forward(p, labels)[0]
    if classes != 2:
        raise ValueError(f"log_loss of {classes} classes needs all their probabilities, got shape {tuple(p.shape)}")
    return BinaryCrossEntropy(from_logits=False).forward(array_namespace(p).reshape(p, (-1,)), labels)[0]


def mean_squared_error(y: Array, p: Array) -> Array:
    """The mean of (p - y)², over examples and outputs."""
    return MeanSquaredError().forward(p, y)[0]


def mean_absolute_error(y: Array, p: Array) -> Array:
    """The mean of |p - y|, over examples and outputs."""
    return MeanAbsoluteError().forward(p, y)[0]


def root_mean_squared_error(y: Array, p: Array) -> Array:
    """The root of the mean of (p - y)², over examples and outputs."""
    return RootMeanSquaredError().forward(p, y)[0]


def r2(y: Array, p: Array) -> Array:
    """R² = 1 - mean (y - p)² / var y: the share of y's variance that p explains; of several outputs the mean.

    1 is perfect, 0 as good as the mean of y, and R² may be below 0. For a constant y, which has no variance, it is 1 if
    p is exactly right, else 0. Source: scikit-learn's r2_score.
    """
    xp, squares = array_namespace(y, p), MeanSquaredError(reduction="none")
    if size(tuple(p.shape)) == 0:
        raise ValueError(f"R² of no examples, predictions of shape {tuple(p.shape)}, is not defined")
    error = xp.mean(squares.forward(p, y)[0], axis=0)
    y = xp.astype(y, p.dtype)
    constant = xp.max(y, axis=0) == xp.min(y, axis=0)  # exact, unlike a comparison of the variance with 0
    explained = 1 - error / xp.where(constant, 1.0, xp.var(y, axis=0))
    return xp.mean(xp.where(constant, xp.astype(error == 0, p.dtype), explained))


def _read(
    y: Array, p: Array, threshold: float, classes: int | None = None, default: int | None = None
) -> tuple[Array, Array, int | None]:
    """True labels (n,), predicted labels (n,), and the number of classes.

    The number is ``classes``, else by shapes and dtypes, else ``default``.
    """
    xp = array_namespace(y, p)  # of one library
    for name, x in (("y", y), ("p", p)):
        if not xp.isdtype(x.dtype, ("bool", "integral", "real floating")):
            raise TypeError(f"{name} must hold numbers, such as labels from 0 on, got {x.dtype}; number the classes")
    columns = [x.shape[1] if x.ndim == 2 else 1 for x in (y, p)]
    if is_floating(y) and columns[0] == 1 and not (is_floating(p) and columns[1] == 1):
        raise ValueError(f"true labels must be integers, got {y.dtype}; convert them with astype")
    counts = {k for k in columns if k > 1}
    if not counts and (is_floating(p) or is_floating(y)):
        counts = {2}
    if y.ndim not in (1, 2) or p.ndim not in (1, 2) or y.shape[0] != p.shape[0] or len(counts) > 1:
        raise ValueError(f"targets of shape {tuple(y.shape)} do not match predictions of shape {tuple(p.shape)}")
    if y.shape[0] == 0 or 0 in columns:
        raise ValueError(f"a metric of no examples, targets of shape {tuple(y.shape)}, is not defined")
    count = counts.pop() if counts else None
    if classes is not None and at_least_one("classes", classes) < (count or 1):
        raise ValueError(f"classes={classes}, but the arrays have {count}")
    known = classes or count or default
    _check("y", y, known)
    if not is_floating(p) and columns[1] == 1:
        _check("p", p, known)
    return _labels(y, 0.5), _labels(p, threshold), known


def _check(name: str, x: Array, classes: int | None) -> None:
    """Raise ValueError if x has a value that is no class: a label outside [0, classes), a row whose sum is not 1."""
    if array_namespace(x).isdtype(x.dtype, "bool"):
        return  # True and False are classes
    if x.ndim == 2 and x.shape[1] > 1:
        check_probabilities(name, x, "rows must be one-hot or probabilities, in [0, 1]", "only p may hold scores")
        check_rows(name, x)
    elif is_floating(x):
        check_probabilities(name, x, "targets must be 0, 1 or a probability between them", "labels are integers")
    else:
        remedy = 'number the classes from 0; with more than two, give classes=K and an average other than "binary"'
        check_labels(name, x, classes, remedy)


def _labels(x: Array, threshold: float) -> Array:
    """Classes as integers (n,), from labels, scores or rows."""
    xp = array_namespace(x)
    if not is_floating(x) and not is_integer(x):
        x = xp.astype(x, xp.int32)
    if x.ndim == 2 and x.shape[1] > 1:
        return largest_column(x)
    x = xp.reshape(x, (-1,))
    if not is_floating(x):
        return x
    return xp.where(xp.isnan(x), 2, xp.astype(x > threshold, xp.int32))  # of NaN neither class


def _one_hots(
    y: Array, p: Array, classes: int | None, threshold: float, default: int | None = None
) -> tuple[Array, Array]:
    """True and predicted labels as one-hot rows (n, K); K is ``default`` if nothing else gives it."""
    truth, chosen, known = _read(y, p, threshold, classes, default)
    if known is None:
        raise ValueError("the number of classes is unknown from labels: give classes=K")
    return one_hot(truth, known, _floating(p)), one_hot(chosen, known, _floating(p))


def _counts(
    y: Array, p: Array, average: _Average | None, classes: int | None, threshold: float
) -> tuple[Array, Array, Array]:
    """By class: true positives, predicted examples, true examples; only of class 1 if average is "binary"."""
    if average is not None:
        one_of("average", average, get_args(_Average))
    truth, chosen = _one_hots(y, p, classes, threshold, default=2 if average == "binary" else None)
    if average == "binary":
        if truth.shape[1] != 2:
            raise ValueError(f'average="binary" is for two classes, got {truth.shape[1]}; use "macro" or another')
        truth, chosen = truth[:, 1], chosen[:, 1]
    xp = array_namespace(truth)
    return xp.sum(truth * chosen, axis=0), xp.sum(chosen, axis=0), xp.sum(truth, axis=0)


def _average(part: Array, whole: Array, actual: Array, average: _Average | None) -> Array:
    """Each class's part / whole, 0 where whole is 0, averaged as ``average`` says."""
    xp = array_namespace(part)
    if average == "micro":
        part, whole = xp.sum(part), xp.sum(whole)
    share = part / xp.where(whole == 0, 1.0, whole)  # part is 0 where whole is 0
    if average == "macro":
        return xp.mean(share)
    if average == "weighted":
        return xp.sum(share * actual) / xp.sum(actual)
    return share


def _floating(p: Array) -> Any:
    """The dtype of results: that of p if it is floating, else the library's default on p's device."""
    if is_floating(p):
        return p.dtype
    return array_namespace(p).__array_namespace_info__().default_dtypes(device=device(p))["real floating"]
