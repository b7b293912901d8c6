"""Metrics: what a person wants to know of predictions p beside the truth y. 0-d arrays, or one number for each class.

How arrays of classes are read, everywhere here:

- ``y``: integers (n,) or (n, 1) are labels; floats of that shape, beside scores of class 1, are 0 and 1, or
  probabilities, of which those above ½ are a 1; (n, K) are one-hot rows or probabilities.
- ``p``: integers or booleans (n,) or (n, 1) are labels; floats (n,) or (n, 1) are scores of class 1, which is chosen
  above ``threshold`` (½ for probabilities, 0 for logits); (n, K) are scores, of which the first largest is chosen,
  and none where a score is NaN.

Labels lie in [0, K), where K is ``classes``, the number of columns, or 2 beside scores of class 1. Shares are in the
dtype of p where that is floating, else in the library's default. All raise ValueError for shapes that do not match, for
no examples, for the first label outside [0, K) and for the first row of y that is not one-hot or probabilities;
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
    """The share of examples whose chosen class is the true one.

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
    """The share of examples whose true class is among the k classes of highest score; p is (n, K), 1 <= k <= K.

    Equal scores rank in the order of their classes, so that k = 1 is ``accuracy``; NaN is never a hit.
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
    """(K, K) whole numbers: how many examples of the row's class were taken for the column's.

    A product of one-hot matrices, Yᵀ P. ``classes`` is K, and may be left out where p or y has columns to count. In
    float32 counts are exact up to 2²⁴.
    An example whose score is NaN has chosen no class: no column counts it.

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
    """Of the examples taken for a class, the share that are of it: TP / (TP + FP), 0 where none was taken for it.

    ``average``: "binary" is class 1 of two; None gives every class, (K,); "macro" their mean over all K; "weighted"
    their mean by the number of true examples; "micro" counts all classes together. For more than two classes K is
    ``classes``, or what p or y has in columns.
    Source: scikit-learn's precision_score(labels=range(K), zero_division=0).
    """
    hits, taken, actual = _counts(y, p, average, classes, threshold)
    return _average(hits, taken, actual, average)


def recall(
    y: Array, p: Array, *, average: _Average | None = "binary", classes: int | None = None, threshold: float = 0.5
) -> Array:
    """Of the examples of a class, the share that were taken for it: TP / (TP + FN), 0 where there is none.

    ``average`` and ``classes`` as in ``precision``. Source: scikit-learn's recall_score.
    """
    hits, _, actual = _counts(y, p, average, classes, threshold)
    return _average(hits, actual, actual, average)


def f1(
    y: Array, p: Array, *, average: _Average | None = "binary", classes: int | None = None, threshold: float = 0.5
) -> Array:
    """The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN), 0 where that is 0 / 0.

    ``average`` and ``classes`` as in ``precision``; "macro" is the mean of the classes' F1.
    Source: scikit-learn's f1_score.

    Examples
    --------
    >>> import numpy as np
    >>> from dlarray.metrics import f1
    >>> round(float(f1(np.asarray([0, 1, 1]), np.asarray([0, 1, 0]))), 4)  # precision 1, recall ½
    0.6667
    """
    hits, taken, actual = _counts(y, p, average, classes, threshold)
    return _average(2 * hits, taken + actual, actual, average)


def log_loss(y: Array, p: Array) -> Array:
    """The mean of -log p at the true class; p holds probabilities, (n, K), or those of class 1, (n,) or (n, 1).

    Raises ValueError for a p outside [0, 1]: of logits take the softmax or the sigmoid first.

    SparseCategoricalCrossEntropy or BinaryCrossEntropy of probabilities. Source: scikit-learn's log_loss.
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
    """R² = 1 - mean (y - p)² / var y: the share of y's variance that p explains.

    Of several outputs the mean. 1 is perfect, 0 no better than the mean of y, and it may be below 0. Where y is
    constant there is no variance to explain: 1 if p is right exactly, else 0. Source: scikit-learn's r2_score.
    """
    xp, squares = array_namespace(y, p), MeanSquaredError(reduction="none")
    if size(tuple(p.shape)) == 0:
        raise ValueError(f"R² of no examples, predictions of shape {tuple(p.shape)}, is not defined")
    error = xp.mean(squares.forward(p, y)[0], axis=0)
    y = xp.astype(y, p.dtype)
    constant = xp.max(y, axis=0) == xp.min(y, axis=0)  # exact, where the variance is a rounding error
    explained = 1 - error / xp.where(constant, 1.0, xp.var(y, axis=0))
    return xp.mean(xp.where(constant, xp.astype(error == 0, p.dtype), explained))


def _read(
    y: Array, p: Array, threshold: float, classes: int | None = None, default: int | None = None
) -> tuple[Array, Array, int | None]:
    """True labels (n,), chosen labels (n,), and the number of classes.

    That is ``classes``, where given, else what shapes or dtypes tell, else ``default``.
    """
    xp = array_namespace(y, p)  # of one library
    for name, x in (("y", y), ("p", p)):
        if not xp.isdtype(x.dtype, ("bool", "integral", "real floating")):
            raise TypeError(f"{name} must hold numbers, such as labels from 0 on, got {x.dtype}; number the classes")
    columns = [x.shape[1] if x.ndim == 2 else 1 for x in (y, p)]
    if is_floating(y) and columns[0] == 1 and not (is_floating(p) and columns[1] == 1):
        raise ValueError(f"true labels must be integers, got {y.dtype}; convert them with astype")
    told = {k for k in columns if k > 1}
    if not told and (is_floating(p) or is_floating(y)):
        told = {2}
    if y.ndim not in (1, 2) or p.ndim not in (1, 2) or y.shape[0] != p.shape[0] or len(told) > 1:
        raise ValueError(f"truth of shape {tuple(y.shape)} does not match predictions of shape {tuple(p.shape)}")
    if y.shape[0] == 0 or 0 in columns:
        raise ValueError(f"a metric of no examples, truth of shape {tuple(y.shape)}, is not defined")
    count = told.pop() if told else None
    if classes is not None and at_least_one("classes", classes) < (count or 1):
        raise ValueError(f"classes={classes}, but the arrays have {count}")
    known = classes or count or default
    _check("y", y, known)
    if not is_floating(p) and columns[1] == 1:
        _check("p", p, known)
    return _labels(y, 0.5), _labels(p, threshold), known


def _check(name: str, x: Array, classes: int | None) -> None:
    """Raise ValueError where x has a value that is no class: a label outside [0, classes), a row without a sum of 1."""
    if array_namespace(x).isdtype(x.dtype, "bool"):
        return  # True and False are classes
    if x.ndim == 2 and x.shape[1] > 1:
        check_probabilities(name, x, "rows must be one-hot or probabilities, in [0, 1]", "scores are for p alone")
        check_rows(name, x)
    elif is_floating(x):
        check_probabilities(name, x, "targets must be 0, 1 or a probability between them", "labels are integers")
    else:
        remedy = 'number the classes from 0; where a metric takes classes=K, more than two need it and no "binary"'
        check_labels(name, x, classes, remedy)


def _labels(x: Array, threshold: float) -> Array:
    """Integers (n,), whichever way the classes are given."""
    xp = array_namespace(x)
    if not is_floating(x) and not is_integer(x):
        x = xp.astype(x, xp.int32)
    if x.ndim == 2 and x.shape[1] > 1:
        return largest_column(x)
    x = xp.reshape(x, (-1,))
    if not is_floating(x):
        return x
    return xp.where(xp.isnan(x), 2, xp.astype(x > threshold, xp.int32))  # a NaN chooses neither


def _one_hots(
    y: Array, p: Array, classes: int | None, threshold: float, default: int | None = None
) -> tuple[Array, Array]:
    """Both sets of labels as (n, K) of 0 and 1; K is ``default`` where nothing else tells it."""
    truth, chosen, known = _read(y, p, threshold, classes, default)
    if known is None:
        raise ValueError("labels alone do not tell how many classes there are: give classes=K")
    return one_hot(truth, known, _floating(p)), one_hot(chosen, known, _floating(p))


def _counts(
    y: Array, p: Array, average: _Average | None, classes: int | None, threshold: float
) -> tuple[Array, Array, Array]:
    """By class: true positives, examples taken for it, examples of it; of class 1 alone where average is "binary"."""
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
    """Each class's part / whole, 0 where whole is 0, put together as ``average`` says."""
    xp = array_namespace(part)
    if average == "micro":
        part, whole = xp.sum(part), xp.sum(whole)
    share = part / xp.where(whole == 0, 1.0, whole)  # no part without a whole
    if average == "macro":
        return xp.mean(share)
    if average == "weighted":
        return xp.sum(share * actual) / xp.sum(actual)
    return share


def _floating(p: Array) -> Any:
    """The dtype of shares: that of p where it is floating, else the library's default on p's device."""
    if is_floating(p):
        return p.dtype
    return array_namespace(p).__array_namespace_info__().default_dtypes(device=device(p))["real floating"]
