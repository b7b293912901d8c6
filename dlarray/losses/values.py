"""Checks of targets and of class weights, for losses, metrics and ``fit``."""

from __future__ import annotations

from collections.abc import Iterable

from dlarray.core.array import Array, array_namespace, device, fits, is_floating, is_integer, is_symbolic, number, size
from dlarray.core.check import non_negative
from dlarray.core.errors import RowError

__all__ = ["check_label_shape", "check_labels", "check_probabilities", "check_rows", "plain_weights", "refuse"]


def refuse(who: str, x: Array, bad: Array, expected: str, remedy: str) -> None:
    """Raise ValueError that names the first number of x where ``bad`` is True, if there is one.

    While a step is traced, by JAX or by the planner, arrays have no values, and nothing is raised.
    """
    if is_symbolic(x):
        return
    xp = array_namespace(x)
    try:
        found = number(xp.any(bad))
    except TypeError:  # raised by JAX's tracers, which have no values
        return
    if found:
        n = size(tuple(x.shape))
        first = int(number(xp.min(xp.where(xp.reshape(bad, (n,)), xp.arange(n, device=device(x)), n))))
        value, row = number(xp.reshape(x, (n,))[first]), first // size(tuple(x.shape[1:]))
        raise RowError(f"{who}: {expected}, got {value} in", row, f"; {remedy}")


def check_label_shape(who: str, outputs: tuple[int, ...], t: Array) -> None:
    """Raise ValueError if t holds no integer labels, (n,), for outputs (n, K) of this shape."""
    given = tuple(t.shape)
    if given == outputs:
        raise ValueError(
            f"{who}: targets must be integer labels of shape {outputs[:1]}, got rows of shape {given}; "
            f"for one-hot rows or probabilities use CategoricalCrossEntropy, for numbers MeanSquaredError"
        )
    if not fits(given, outputs[:1]):
        remedy = f"; reshape the targets to {outputs[:1]}" if given == (outputs[0], 1) else ""
        raise ValueError(f"{who}: labels of shape {given} do not match outputs of shape {outputs}{remedy}")
    if not is_integer(t):
        raise ValueError(f"{who}: class labels must be integers, got {t.dtype}; convert them with astype")


def check_labels(who: str, labels: Array, classes: int | None, remedy: str) -> None:
    """Raise ValueError that names the first label outside [0, classes), or below 0 if ``classes`` is None."""
    bad = labels < 0 if classes is None else (labels < 0) | (labels >= classes)
    refuse(
        who,
        labels,
        bad,
        "labels must be 0 or more" if classes is None else f"labels must lie in [0, {classes})",
        remedy,
    )


def check_probabilities(who: str, p: Array, expected: str, remedy: str) -> None:
    """Raise ValueError that names the first number outside [0, 1]."""
    refuse(who, p, (p < 0) | (p > 1), expected, remedy)


def check_rows(who: str, p: Array) -> None:
    """Raise ValueError that names the first row of probabilities, (n, classes), whose sum is not 1.

    The sum may differ from 1 by 1e-4, and in 16-bit dtypes by 8 times their machine epsilon.
    """
    xp = array_namespace(p)
    if is_floating(p):
        total, allowed = xp.sum(p, axis=-1), max(1e-4, 8 * float(xp.finfo(p.dtype).eps))
    else:
        p = xp.astype(p, xp.int32)
        total, allowed = xp.sum(p, axis=-1, dtype=xp.int32), 0
    remedy = "divide each row by its sum, or use BinaryCrossEntropy where several classes may be right"
    refuse(who, total, xp.abs(total - 1) > allowed, "each row of targets must sum to 1", remedy)


def plain_weights(weights: Iterable[float]) -> tuple[float, ...]:
    """``class_weight`` as a tuple of Python's floats.

    Raises ValueError for a weight below 0 and if all are 0; TypeError for what holds no numbers.
    """
    if isinstance(weights, str) or not isinstance(weights, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"class_weight must hold one number for each class, got {weights!r}")
    plain = tuple(non_negative("class_weight", w) for w in weights)
    if not any(plain):
        raise ValueError(f"class_weight must have a weight above 0, got {plain!r}")
    return plain
