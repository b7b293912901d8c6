"""Whether a plan does what the step does: two results held against each other, and what rounding explains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlarray.planner.trees import flatten, unflatten

__all__ = ["copies", "difference", "rounding_noise"]

CHANGE = {"float32": 1e-3, "float64": 1e-9}
"""What may differ of the largest change of an array: sums are added up in other orders."""
ULPS = 16
"""And of its largest number."""
NOISE = 4
"""How much further off than the step itself under rounding a plan may be."""
COARSE = 256
"""How many times as hard numbers are shaken to learn which whole numbers hang on rounding: few do, and by chance."""


def difference(
    eager: Any, planned: Any, before: Sequence[np.ndarray] = (), noise: Sequence[float] | None = None
) -> str:
    """What differs first between the results of two steps, in words; nothing where they agree.

    Each array must be equal within 16 ulp of its largest number, plus 1e-9 (float64) or 1e-3 (float32) of its largest
    change in the step, plus 4 times its ``noise``. Of whole numbers and truths, 4 times as many may differ as ``noise``
    says.
    """
    a: list[Any] = []
    b: list[Any] = []
    if flatten(eager, a) != flatten(planned, b):
        return "the plan gives another tree than the step"
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        if x.shape != y.shape or x.dtype != y.dtype:
            return f"output {i} is {y.dtype}{list(y.shape)} in the plan, and {x.dtype}{list(x.shape)} without it"
        old = before[i] if i < len(before) and before[i].shape == x.shape else np.zeros_like(x)
        with np.errstate(all="ignore"):
            off = _off(np.asarray(x), np.asarray(y), old, NOISE * noise[i] if noise else 0.0)
        if off:
            return f"output {i} of {len(a)}, {x.dtype}{list(x.shape)}, differs from the plan's: {off}"
    return ""


def rounding_noise(
    step: Callable[[Any, Any], Any],
    given: tuple[Any, Any],
    before: tuple[list[Any], list[Any]],
    result: Any,
    times: int = 1,
) -> list[float] | None:
    """How far each output moves when every number that the step is given is rounded anew, or how many numbers of it.

    ``times`` as hard, where products are computed in a type that rounds so many times as hard.

    How many is said of whole numbers and truths, such as what a number that is rounded at random is coded as, and of a
    rounding 256 times as coarse.
    None for a step that is no function of what it is given: two calls with the same numbers differ. Adam divides a
    gradient by its own size, so in its first steps the rounding of a gradient of 1e-7 is as large as the step: no fixed
    tolerance could tell that from a mistake.
    """
    again, moved, far = (_outputs(step, given, before, shaken) for shaken in (0, times, times * COARSE))
    expected: list[Any] = []
    flatten(result, expected)
    if not all(np.array_equal(x, y, equal_nan=x.dtype.kind in "fc") for x, y in zip(expected, again, strict=True)):
        return None
    with np.errstate(all="ignore"):
        return [
            float(np.max(np.abs(x - y), initial=0)) if x.dtype.kind == "f" else float(np.sum(x != z))
            for x, y, z in zip(again, moved, far, strict=True)
        ]


def copies(arrays: Any) -> list[np.ndarray]:
    """Copies of a tree's arrays, in rows."""
    leaves: list[Any] = []
    flatten(arrays, leaves)
    return [np.array(a, order="C") for a in leaves]


def _outputs(step: Any, given: tuple[Any, Any], before: tuple[list[Any], list[Any]], shaken: int) -> list[Any]:
    r = np.random.default_rng(0)
    state, batch = (
        unflatten(structure, iter([_shaken(a, shaken, r) for a in arrays]))
        for structure, arrays in zip(given, before, strict=True)
    )
    leaves: list[Any] = []
    flatten(step(state, batch), leaves)
    return [np.asarray(a) for a in leaves]


def _shaken(x: np.ndarray, times: int, r: np.random.Generator) -> np.ndarray:
    """A copy, every number times 1, or 1 plus or minus so many times its type's epsilon."""
    if x.dtype.kind != "f" or not times:
        return x.copy()
    return (x * (1 + times * np.finfo(x.dtype).eps * r.integers(-1, 2, x.shape).astype(x.dtype))).astype(x.dtype)


def _off(x: np.ndarray, y: np.ndarray, old: np.ndarray, noise: float) -> str:
    """By how much two arrays differ more than they may, in words."""
    if x.size == 0 or np.array_equal(x, y, equal_nan=x.dtype.kind in "fc"):
        return ""
    if x.dtype.name not in CHANGE:
        return f"{count} of {x.size} numbers" if (count := int(np.sum(x != y))) > noise else ""
    known = np.isfinite(x)
    if not np.array_equal(x[~known], y[~known], equal_nan=True):
        return "infinities or NaN at other places"
    change = np.max(np.abs(x[known] - old[known])) if np.all(np.isfinite(old)) else np.max(np.abs(x[known]))
    allowed = ULPS * np.finfo(x.dtype).eps * np.max(np.abs(x[known])) + CHANGE[x.dtype.name] * change + noise
    worst = np.max(np.abs(x[known] - y[known]))
    return "" if worst <= allowed else f"by {worst:.3g}, allowed {allowed:.3g}"
