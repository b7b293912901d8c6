"""Checks of values, which losses, metrics and ``fit`` share: of targets, and of class weights."""

from __future__ import annotations

from collections.abc import Iterable

from dlarray.core.array import Array, array_namespace, device, is_floating, is_integer, is_symbolic, size
from dlarray.core.check import non_negative

__all__ = ["check_labels", "check_probabilities", "check_rows", "plain_weights", "refuse"]


def refuse(who: str, x: Array, bad: Array, expected: str, remedy: str) -> None:
    """Raise ValueError with the first of the numbers of x that are marked in ``bad``, if there is one.

    While a step is traced, by JAX or by the planner, arrays have no numbers yet, and nothing is found.
    """
    if is_symbolic(x):
        return
    xp = array_namespace(x)
    try:
        found = bool(xp.any(bad))
    except TypeError:  # what JAX's tracers raise that are asked for a number
        return
    if found:
        n = size(tuple(x.shape))
        place = int(xp.min(xp.where(xp.reshape(bad, (n,)), xp.arange(n, device=device(x)), n)))
        number, row = xp.reshape(x, (n,))[place], place // size(tuple(x.shape[1:]))
        value = int(number) if is_integer(x) else float(number)
        raise ValueError(f"{who}: {expected}, got {value} in row {row}; {remedy}")


def check_labels(who: str, labels: Array, classes: int | None, remedy: str) -> None:
    """Raise ValueError with the first of integer labels outside [0, classes); where these are None, below 0."""
    bad = labels < 0 if classes is None else (labels < 0) | (labels >= classes)
    refuse(
        who,
        labels,
        bad,
        "labels must be 0 or more" if classes is None else f"labels must lie in [0, {classes})",
        remedy,
    )


def check_probabilities(who: str, p: Array, expected: str, remedy: str) -> None:
    """Raise ValueError with the first number outside [0, 1]."""
    refuse(who, p, (p < 0) | (p > 1), expected, remedy)


def check_rows(who: str, p: Array) -> None:
    """Raise ValueError with the first row of probabilities, (n, classes), whose sum is not 1.

    It may differ by 1e-4, and in types of 16 bits by 8 times their rounding.
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
    """``class_weight`` as a tuple of Python's own floats, where they are at least 0 and not all 0."""
    if isinstance(weights, str) or not isinstance(weights, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"class_weight must hold one number for each class, got {weights!r}")
    plain = tuple(non_negative("class_weight", w) for w in weights)
    if not any(plain):
        raise ValueError(f"class_weight must have a weight above 0, got {plain!r}")
    return plain
