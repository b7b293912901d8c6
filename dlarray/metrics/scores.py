"""Metrics of scores: probabilities of classes, and the order in which scores put examples."""

from __future__ import annotations

from typing import Literal, get_args

from dlarray.core.array import Array, array_namespace, is_floating, one_hot
from dlarray.core.check import one_of
from dlarray.losses import BinaryCrossEntropy, SparseCategoricalCrossEntropy
from dlarray.losses.values import check_probabilities, refuse
from dlarray.metrics.reading import example_weights, read

__all__ = ["log_loss", "roc_auc"]

_Average = Literal["macro", "micro", "weighted"]


def log_loss(y: Array, p: Array, *, weight: Array | None = None) -> Array:
    """The mean of -log p at the true class; p holds probabilities, (n, K), or those of class 1, (n,) or (n, 1).

    It is SparseCategoricalCrossEntropy or BinaryCrossEntropy of probabilities. Raises ValueError for a p outside [0,
    1]: apply softmax or sigmoid to logits first. Source: scikit-learn's log_loss.
    """
    if not is_floating(p):
        raise ValueError(f"log_loss needs probabilities, got {p.dtype}")
    labels, _, classes = read(y, p, 0.5)
    remedy = "logits become probabilities by softmax or sigmoid"
    check_probabilities("log_loss", p, "p must hold probabilities, in [0, 1]", remedy)
    if p.ndim == 2 and p.shape[1] > 1:
        return SparseCategoricalCrossEntropy(from_logits=False).forward(p, labels, weight)[0]
    if classes != 2:
        raise ValueError(f"log_loss of {classes} classes needs all their probabilities, got shape {tuple(p.shape)}")
    return BinaryCrossEntropy(from_logits=False).forward(array_namespace(p).reshape(p, (-1,)), labels, weight)[0]


def roc_auc(y: Array, p: Array, *, average: _Average | None = "macro", weight: Array | None = None) -> Array:
    """The probability that an example of a class has a higher score than one of the others; equal scores count half.

    The area under the curve of the true positive rate over the false positive rate. p are scores of class 1, (n,) or
    (n, 1), or scores of K classes, (n, K): of two columns the second one counts; of more, each class is compared with
    the rest, and ``average`` is "macro", their mean, "weighted" by the true examples, "micro", all pairs of examples
    and classes together, or None, one number for each class. Without examples on both sides it is NaN; means leave such
    classes out. Raises ValueError for a score that is NaN. Source: scikit-learn's roc_auc_score(multi_class="ovr").

    Examples
    --------
    >>> import numpy as np
    >>> from dlarray.metrics import roc_auc
    >>> float(roc_auc(np.asarray([0, 0, 1, 1]), np.asarray([0.1, 0.4, 0.35, 0.8])))  # three of four pairs are in order
    0.75
    """
    if average is not None:
        one_of("average", average, get_args(_Average))
    if not is_floating(p):
        raise ValueError(f"roc_auc needs scores, got {p.dtype}")
    labels, _, classes = read(y, p, 0.5)
    if classes is None:
        raise ValueError("roc_auc needs the scores of two classes or more")
    xp = array_namespace(p)
    refuse("roc_auc", p, xp.isnan(p), "scores must not be NaN", "drop these examples")
    truth = one_hot(labels, classes, p.dtype)
    w = example_weights(weight, p.shape[0], p.dtype)
    w = xp.ones_like(truth[:, 0]) if w is None else w
    if p.ndim == 1 or p.shape[1] <= 2:
        return _area(truth[:, 1], p if p.ndim == 1 else p[:, -1], w)
    if average == "micro":
        each = xp.reshape(xp.broadcast_to(xp.reshape(w, (-1, 1)), tuple(p.shape)), (-1,))
        return _area(xp.reshape(truth, (-1,)), xp.reshape(p, (-1,)), each)
    areas = xp.stack([_area(truth[:, k], p[:, k], w) for k in range(classes)])
    if average is None:
        return areas
    share = xp.sum(truth * xp.reshape(w, (-1, 1)), axis=0) if average == "weighted" else xp.ones_like(areas)
    share = xp.where(xp.isnan(areas), 0.0, share)
    return xp.sum(xp.where(share == 0, 0.0, areas) * share) / xp.sum(share)


def _area(yes: Array, p: Array, w: Array) -> Array:
    """Σ w_i w_j [p_i > p_j] + ½ [p_i = p_j] over the pairs of a yes i and a no j, by Σ w_i Σ w_j."""
    xp = array_namespace(p)
    order = xp.argsort(p)
    p, yes, no = xp.take(p, order), xp.take(yes * w, order), xp.take((1 - yes) * w, order)
    below = xp.concat([xp.zeros_like(no[:1]), xp.cumulative_sum(no)])  # Σ w_j of the first 0, 1, 2, … scores
    less, not_more = (xp.take(below, xp.searchsorted(p, p, side=side)) for side in ("left", "right"))
    pairs = xp.sum(yes) * xp.sum(no)
    return xp.where(pairs == 0, float("nan"), xp.sum(yes * (less + not_more)) / xp.where(pairs == 0, 1.0, 2 * pairs))
