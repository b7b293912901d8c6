"""The time of a planned step and of each of its units, measured within the step.

A kernel that is repeated alone finds its arrays in the cache; within the step it may not. So the units run in their
order, with a clock reading after each. An empty unit measures the cost of a clock reading. The state is restored before
each burst, because a step that has fitted its one batch computes with tiny numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from dlarray.core.trees import flatten, unflatten
from dlarray.device.description import Names
from dlarray.device.timing import Timings, low
from dlarray.planner.run.agreement import copies
from dlarray.planner.run.compiled import Compiled, compile, plan  # noqa: A004 - the field's word
from dlarray.planner.run.sequence import in_sequence

__all__ = ["measure_in_turns", "profile", "profiled"]

MAX_STEPS = 1000
"""The most steps of a burst: later gradients would be subnormal numbers, which are slow."""

_Run = Callable[[], Any]


def profile(
    step: Callable[[Any, Any], Any], state: Any, batch: Any, names: Names, executor: str, bursts: int, seconds: float
) -> Timings:
    """The times of a step on copies of these NumPy arrays. Raises ValueError if the step has no plan.

    ``step`` can be compiled already. ``bursts`` is how often units and whole step are measured in turn, ``seconds`` how
    long each turn is.
    """
    compiled = compile(step.step if isinstance(step, Compiled) else step, executor)
    leaves = copies((state, batch))
    state, batch = unflatten(flatten((state, batch), []), iter(leaves))
    return profiled(compiled, lambda: compiled(state, batch), state, batch, names, bursts, seconds)


def profiled(
    compiled: Compiled, whole: _Run, state: Any, batch: Any, names: Names, bursts: int, seconds: float
) -> Timings:
    """The times of a compiled step. ``whole`` runs it once, on this state and batch of NumPy arrays.

    The state is restored afterwards. Raises ValueError if the step runs eagerly, or over ranks.
    """
    _refuse_ranks(compiled.step, state, batch)
    arrays: list[np.ndarray] = []
    flatten(state, arrays)
    saved = [array.copy() for array in arrays]

    def restore() -> None:
        for array, old in zip(arrays, saved, strict=True):
            np.copyto(array, old)

    whole()  # makes the plan, and compares it with the eager step
    whole()  # binds it to these arrays
    program = compiled.latest()
    try:
        first, *units, last = compiled.pieces(batch)
        nothing = in_sequence(())
        (_, *works, _, reading), step = measure_in_turns(
            [first, *units, last, nothing], whole, restore, bursts, seconds
        )
    finally:
        restore()
    plan = program.describe(names)
    times = [max(t - reading, 0.0) if work.nbytes else 0.0 for work, t in zip(plan.works, works, strict=True)]
    return Timings(plan, tuple(times), step, "cpu")


def _refuse_ranks(step: Callable[[Any, Any], Any], state: Any, batch: Any) -> None:
    """Raise ValueError if the step has a plan that communicates."""
    try:
        found = plan(step, state, batch)
    except ValueError:
        return  # its first step says why it has none
    if found.communicates:
        raise ValueError(
            "the step exchanges numbers with other ranks, so its time depends on the other ranks: "
            "profile the same step without ranks"
        )


def measure_in_turns(
    parts: Sequence[_Run],
    whole: _Run,
    restore: _Run,
    bursts: int,
    seconds: float,
    clock: Callable[[], float] = perf_counter,
) -> tuple[list[float], float]:
    """The seconds of each part, run in order with a clock reading after each, and of the whole, in turn.

    Each is the 10th percentile of the bursts' means. ``restore`` is called before each burst and is not measured.
    """
    whole()
    start = clock()
    whole()
    once = max(clock() - start, 1e-7)
    times = min(max(1, round(seconds / once)), MAX_STEPS)
    means: list[list[float]] = []
    wholes: list[float] = []
    for _ in range(bursts):
        restore()
        for part in parts:  # fill the caches again after restoring
            part()
        means.append(_mean_seconds(parts, times, clock))
        restore()
        whole()
        start = clock()
        for _ in range(times):
            whole()
        wholes.append((clock() - start) / times)
    return [low(own) for own in zip(*means, strict=True)], low(wholes)


def _mean_seconds(parts: Sequence[_Run], times: int, clock: Callable[[], float]) -> list[float]:
    """The mean seconds of each part over so many passes."""
    total = [0.0] * len(parts)
    numbered = list(enumerate(parts))
    before = clock()
    for _ in range(times):
        for i, part in numbered:
            part()
            now = clock()
            total[i] += now - before
            before = now
    return [t / times for t in total]
