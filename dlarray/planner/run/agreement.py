"""Whether a plan does what the step does: two results are compared, and rounding is allowed for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlarray.core.trees import flatten
from dlarray.planner.run.rounding import Rounding
from dlarray.planner.schedule.memory import Plan

__all__ = ["copies", "difference", "disagreement"]

CHANGE = {"float32": 1e-4, "float64": 1e-9}
"""Tolerance relative to the changes of the numbers around one: sums are added in other orders."""
AROUND = 64
"""Numbers in a block whose changes are averaged: one vector holds layers of very different gradients."""
ULPS = 16
"""Tolerance relative to the number itself, in ulp."""
NOISE = 4
"""Tolerance as a multiple of what rounding changes in the step itself."""
TRIES = 12
"""How often a step is evaluated with random rounding."""
PART = 2**16
"""The numbers that are compared at once: they stay in a core's cache."""
COARSE = 256
"""How many times larger the rounding is for integers and bools: few depend on rounding, and by chance."""


def difference(
    eager: Any, planned: Any, before: Sequence[np.ndarray] = (), noise: Sequence[np.ndarray] | None = None
) -> str:
    """The first difference between the results of two steps, in words; "" if they agree.

    Each number must be equal within 16 ulp, plus 1e-9 (float64) or 1e-4 (float32) of the root mean square change of the
    64 numbers around it, plus 4 times its ``noise``. Integers and bools must be equal, except those that have
    ``noise``.
    """
    a: list[Any] = []
    b: list[Any] = []
    if flatten(eager, a) != flatten(planned, b):
        return "the plan returns another tree than the step"
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        if x.shape != y.shape or x.dtype != y.dtype:
            return f"output {i} is {y.dtype}{list(y.shape)} in the plan, and {x.dtype}{list(x.shape)} without it"
        old = before[i] if i < len(before) and before[i].shape == x.shape else None
        with np.errstate(all="ignore"):
            off = _off(np.asarray(x), np.asarray(y), old, noise[i] if noise else None)
        if off:
            return f"output {i} of {len(a)}, {x.dtype}{list(x.shape)}, differs from the plan's: {off}"
    return ""


def disagreement(
    plan: Plan, eager: Any, planned: Any, state: Sequence[np.ndarray], batch: Sequence[np.ndarray], products: int = 1
) -> str:
    """``difference``; where that finds one, allow for the step's rounding errors on these arrays, by measurement.

    ``products`` is how many epsilons the operands of matrix products are rounded by. Adam divides a gradient by its
    magnitude, so in its first steps the rounding of a gradient of 1e-7 is as large as the step: no fixed tolerance
    distinguishes that from a mistake.
    """
    why = difference(eager, planned, state)
    if not why:
        return why
    step = Rounding(plan, [*state, *batch], products)
    exact = step.outputs(0)
    noise: list[np.ndarray] = [np.zeros(x.shape, x.dtype if x.dtype.kind == "f" else np.float32) for x in exact]
    coarse = _whole_numbers_differ(eager, planned)
    for seed in range(TRIES):
        moved, far = step.outputs(1, seed), step.outputs(COARSE, seed) if coarse else exact
        with np.errstate(all="ignore"):
            for x, y, z, most in zip(exact, moved, far, noise, strict=True):
                np.maximum(most, _moved(x, y) if x.dtype.kind == "f" else ~_equal(x, z), out=most, casting="same_kind")
        why = difference(eager, planned, state, noise)
        if not why:
            break
    return why


def _whole_numbers_differ(eager: Any, planned: Any) -> bool:
    """Whether the two differ in integers or bools, which only coarse rounding explains."""
    a: list[Any] = []
    b: list[Any] = []
    flatten(eager, a)
    flatten(planned, b)
    return any(x.dtype.kind != "f" and not np.array_equal(x, y) for x, y in zip(a, b, strict=False))


def copies(arrays: Any) -> list[np.ndarray]:
    """C-contiguous copies of a tree's arrays."""
    leaves: list[Any] = []
    flatten(arrays, leaves)
    return [np.array(a, order="C") for a in leaves]


def _equal(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where two arrays are equal; NaN equals NaN."""
    return (x == y) | ((x != x) & (y != y)) if x.dtype.kind in "fc" else x == y


def _moved(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far each number has moved: inf if it has become NaN or infinite, or is not any more."""
    distance = np.abs(x - y)
    if np.all(np.isfinite(distance)):
        return distance
    return np.where(np.isfinite(x) & np.isfinite(y), distance, np.where(_equal(x, y), 0, np.inf).astype(x.dtype))


def _off(x: np.ndarray, y: np.ndarray, old: np.ndarray | None, noise: np.ndarray | None) -> str:
    """The difference of two arrays beyond the tolerance, in words."""
    if x.dtype.name not in CHANGE:
        wrong = ~_equal(x, y)
        if noise is not None:
            wrong &= noise == 0
        return f"{count} of {x.size} numbers" if (count := int(np.sum(wrong))) else ""
    flat = [a if a is None else np.reshape(a, (-1,)) for a in (x, y, old, noise)]
    for i in range(0, x.size, PART):
        if off := _part_off(i, *(a if a is None else a[i : i + PART] for a in flat)):
            return off
    return ""


def _part_off(start: int, x: Any, y: Any, old: np.ndarray | None, noise: np.ndarray | None) -> str:
    ulp = np.finfo(x.dtype).eps
    close = np.abs(x - y) <= ULPS / 2 * ulp * np.abs(x)  # surely; the rest is computed in float64
    at = np.flatnonzero(~close)
    if not at.size:
        return ""
    change = CHANGE[x.dtype.name] * _around(x, old)[at // AROUND] if old is not None else 0.0
    x, y = x[at].astype(np.float64), y[at].astype(np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    allowed = ULPS * ulp * np.abs(x) + change
    if noise is not None:
        allowed += NOISE * noise[at]
    off = np.where(known | _equal(x, y), np.where(known, np.abs(x - y), 0.0), np.inf)
    allowed = np.where(known | (allowed == np.inf), allowed, 0.0)
    over = (off > allowed) & (allowed < np.inf)
    if not np.any(over):
        return ""
    if np.any(over & ~known):
        return "infinities or NaN at other positions"
    worst = int(np.argmax(np.where(over, off - allowed, 0.0)))
    return f"number {start + at[worst]} by {off[worst]:.3g}, allowed {allowed[worst]:.3g}"


def _around(x: np.ndarray, old: np.ndarray) -> np.ndarray:
    """The root mean square of the changes in each block of numbers; a change that is not finite counts as 0."""
    change = x.astype(np.float64) - old
    starts = np.arange(0, x.size, AROUND)
    squares = np.add.reduceat(np.square(change), starts)
    if not np.all(np.isfinite(squares)):
        squares = np.add.reduceat(np.square(np.where(np.isfinite(change), change, 0.0)), starts)
    return np.sqrt(squares / np.minimum(AROUND, x.size - starts))
