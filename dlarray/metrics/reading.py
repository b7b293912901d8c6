"""How metrics of classes read their arrays: labels, scores, one-hot rows or probabilities, and weights."""

from __future__ import annotations

from typing import Any

from dlarray.core.array import Array, array_namespace, device, is_floating, is_integer, largest_column, one_hot
from dlarray.core.check import at_least_one
from dlarray.losses.values import check_labels, check_probabilities, check_rows, refuse
from dlarray.losses.weights import shares

__all__ = ["example_weights", "floating", "mean", "one_hots", "read"]


def read(
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


def one_hots(
    y: Array, p: Array, classes: int | None, threshold: float, default: int | None = None
) -> tuple[Array, Array]:
    """True and predicted labels as one-hot rows (n, K); K is ``default`` if nothing else gives it."""
    truth, chosen, known = read(y, p, threshold, classes, default)
    if known is None:
        raise ValueError("the number of classes is unknown from labels: give classes=K")
    return one_hot(truth, known, floating(p)), one_hot(chosen, known, floating(p))


def floating(p: Array) -> Any:
    """The dtype of results: that of p if it is floating, else the library's default on p's device."""
    if is_floating(p):
        return p.dtype
    return array_namespace(p).__array_namespace_info__().default_dtypes(device=device(p))["real floating"]


def example_weights(weight: Array | None, n: int, dtype: Any) -> Array | None:
    """The weights of n examples in this dtype, or None. Raises ValueError for another shape, a negative one, only 0."""
    if weight is None:
        return None
    if tuple(weight.shape) != (n,):
        raise ValueError(f"weight must hold one number per example, shape ({n},), got {tuple(weight.shape)}")
    refuse("weight", weight, weight < 0, "weights must be at least 0", "leave out weight for equal ones")
    nothing = array_namespace(weight).all(weight == 0) & (weight == 0)
    refuse("weight", weight, nothing, "weights must not be 0 everywhere", "give an example a weight above 0")
    return array_namespace(weight).astype(weight, dtype, copy=False)


def mean(x: Array, weight: Array | None) -> Array:
    """The mean over the examples, (n,) or (n, K), or Σ w x / Σ w."""
    xp = array_namespace(x)
    w = example_weights(weight, x.shape[0], x.dtype)
    if w is None:
        return xp.mean(x, axis=0)
    return xp.sum(x * xp.reshape(shares(w, x.shape[0]), (-1, *[1] * (x.ndim - 1))), axis=0)
