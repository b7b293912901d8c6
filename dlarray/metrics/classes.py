"""Metrics of predicted classes: shares of right ones, and counts."""

from __future__ import annotations

from typing import Literal, get_args

from dlarray.core.array import Array, array_namespace, device, is_floating
from dlarray.core.check import at_least_one, non_negative, one_of, real
from dlarray.metrics.reading import example_weights, floating, mean, one_hots, read

__all__ = ["Average", "accuracy", "confusion_matrix", "f1", "fbeta", "precision", "recall", "top_k_accuracy"]

Average = Literal["binary", "macro", "micro", "weighted"]
"""How the numbers of classes become one."""


def accuracy(y: Array, p: Array, *, threshold: float = 0.5, weight: Array | None = None) -> Array:
    """The share of examples whose predicted class is the true one.

    Examples
    --------
    >>> import numpy as np
    >>> from dlarray.metrics import accuracy
    >>> float(accuracy(np.asarray([0, 1, 1, 0]), np.asarray([0.2, 0.9, 0.4, 0.1])))  # probabilities of class 1
    0.75
    """
    y, chosen, _ = read(y, p, threshold)
    return mean(array_namespace(y).astype(y == chosen, floating(p)), weight)


def top_k_accuracy(y: Array, p: Array, k: int = 5, *, weight: Array | None = None) -> Array:
    """The share of examples whose true class is among the k classes with the highest scores; p is (n, K), 1 <= k <= K.

    Equal scores rank in the order of their classes: k = 1 is ``accuracy``. A true class with the score NaN is not among
    them.
    """
    xp = array_namespace(y, p)
    if p.ndim != 2 or not is_floating(p) or at_least_one("k", k) > p.shape[1]:
        raise ValueError(f"top {k} needs scores of {k} classes or more, (n, classes), got {p.dtype} {tuple(p.shape)}")
    labels, _, _ = read(y, p, 0.5)
    own_class, classes = xp.reshape(labels, (-1, 1)), xp.arange(p.shape[1], dtype=xp.int32, device=device(p))
    own = xp.sum(xp.where(own_class == classes, p, 0.0), axis=1, keepdims=True)
    ahead = ~(p <= own) | ((p == own) & (classes < own_class))
    rank = xp.sum(xp.astype(ahead, p.dtype), axis=1)
    return mean(xp.astype(rank < k, p.dtype), weight)


def confusion_matrix(
    y: Array, p: Array, *, classes: int | None = None, threshold: float = 0.5, weight: Array | None = None
) -> Array:
    """(K, K) whole numbers: how many examples of the row's class were predicted as the column's.

    A product of one-hot matrices, Yᵀ P. ``classes`` is K, by default the number of columns of p or y. In float32 counts
    are exact up to 2²⁴. With ``weight`` they are sums of weights, in the dtype of results. An example with the score
    NaN has no predicted class: no column counts it.

    Examples
    --------
    >>> import numpy as np
    >>> from dlarray.metrics import confusion_matrix
    >>> confusion_matrix(np.asarray([0, 1, 2, 1]), np.asarray([0, 2, 2, 1]), classes=3)
    array([[1, 0, 0],
           [0, 1, 1],
           [0, 0, 1]], dtype=int32)
    """
    truth, chosen = one_hots(y, p, classes, threshold)
    xp = array_namespace(truth)
    w = example_weights(weight, truth.shape[0], truth.dtype)
    if w is None:
        return xp.astype(xp.matrix_transpose(truth) @ chosen, xp.int32)
    return xp.matrix_transpose(truth * xp.reshape(w, (-1, 1))) @ chosen


def precision(
    y: Array,
    p: Array,
    *,
    average: Average | None = "binary",
    classes: int | None = None,
    threshold: float = 0.5,
    zero_division: float = 0.0,
    weight: Array | None = None,
) -> Array:
    """Of the examples predicted as a class, the share that are of it: TP / (TP + FP).

    ``average``: "binary" is class 1 of two; None gives every class, (K,); "macro" their mean over all K; "weighted"
    their mean, weighted by the number of true examples; "micro" counts all classes together. For more than two classes
    K is ``classes``, by default the number of columns of p or y. ``zero_division`` is the number for a class that was
    never predicted; with NaN it is left out of the means.
    Source: scikit-learn's precision_score(labels=range(K)).
    """
    hits, predicted, actual = _counts(y, p, average, classes, threshold, weight)
    return _average(hits, predicted, actual, average, zero_division)


def recall(
    y: Array,
    p: Array,
    *,
    average: Average | None = "binary",
    classes: int | None = None,
    threshold: float = 0.5,
    zero_division: float = 0.0,
    weight: Array | None = None,
) -> Array:
    """Of the examples of a class, the share that were predicted as it: TP / (TP + FN).

    ``average``, ``classes`` and ``zero_division``, here for a class without examples, as in ``precision``. Source:
    scikit-learn's recall_score.
    """
    hits, _, actual = _counts(y, p, average, classes, threshold, weight)
    return _average(hits, actual, actual, average, zero_division)


def f1(
    y: Array,
    p: Array,
    *,
    average: Average | None = "binary",
    classes: int | None = None,
    threshold: float = 0.5,
    zero_division: float = 0.0,
    weight: Array | None = None,
) -> Array:
    """The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN). It is ``fbeta`` with β = 1.

    Source: scikit-learn's f1_score.

    Examples
    --------
    >>> import numpy as np
    >>> from dlarray.metrics import f1
    >>> round(float(f1(np.asarray([0, 1, 1]), np.asarray([0, 1, 0]))), 4)  # precision 1, recall ½
    0.6667
    """
    return fbeta(
        y, p, 1.0, average=average, classes=classes, threshold=threshold, zero_division=zero_division, weight=weight
    )


def fbeta(
    y: Array,
    p: Array,
    beta: float = 2.0,
    *,
    average: Average | None = "binary",
    classes: int | None = None,
    threshold: float = 0.5,
    zero_division: float = 0.0,
    weight: Array | None = None,
) -> Array:
    """(1 + β²) TP / ((1 + β²) TP + FP + β² FN): recall counts β times as much as precision. van Rijsbergen 1979.

    ``average``, ``classes`` and ``zero_division``, here for a class that neither occurs nor was predicted, as in
    ``precision``; "macro" is the mean of the classes' numbers. Raises ValueError if beta is below 0. Source:
    scikit-learn's fbeta_score.
    """
    b = non_negative("beta", beta) ** 2
    hits, predicted, actual = _counts(y, p, average, classes, threshold, weight)
    return _average((1 + b) * hits, predicted + b * actual, actual, average, zero_division)


def _counts(
    y: Array, p: Array, average: Average | None, classes: int | None, threshold: float, weight: Array | None
) -> tuple[Array, Array, Array]:
    """By class: true positives, predicted examples, true examples; only of class 1 if average is "binary"."""
    if average is not None:
        one_of("average", average, get_args(Average))
    truth, chosen = one_hots(y, p, classes, threshold, default=2 if average == "binary" else None)
    xp = array_namespace(truth)
    w = example_weights(weight, truth.shape[0], truth.dtype)
    if average == "binary":
        if truth.shape[1] != 2:
            raise ValueError(f'average="binary" is for two classes, got {truth.shape[1]}; use "macro" or another')
        truth, chosen = truth[:, 1], chosen[:, 1]
    elif w is not None:
        w = xp.reshape(w, (-1, 1))
    both = truth * chosen
    parts = (both, chosen, truth) if w is None else (both * w, chosen * w, truth * w)
    hits, predicted, actual = (xp.sum(part, axis=0) for part in parts)
    return hits, predicted, actual


def _average(part: Array, whole: Array, actual: Array, average: Average | None, zero_division: float) -> Array:
    """Each class's part / whole, ``zero_division`` where whole is 0, averaged as ``average`` says."""
    xp, otherwise = array_namespace(part), real("zero_division", zero_division)
    if average == "micro":
        part, whole = xp.sum(part), xp.sum(whole)
    share = xp.where(whole == 0, otherwise, part / xp.where(whole == 0, 1.0, whole))
    if average in ("macro", "weighted"):
        w = actual if average == "weighted" else xp.ones_like(share)
        w = xp.where(xp.isnan(share), 0.0, w)  # only zero_division is NaN
        total = xp.sum(w)
        found = xp.sum(xp.where(w == 0, 0.0, share) * w) / xp.where(total == 0, 1.0, total)
        return xp.where(total == 0, otherwise, found)
    return share
