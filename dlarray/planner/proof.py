"""Whether a program may be believed: it is held against the plain step, and what the user's first data hide is made up.

A plan's failure is not an error but a wrong number. The first step of a program runs plainly too, on the caller's
arrays, and then both run on made-up numbers. Some steps later both run on the caller's arrays again: what a step
captures may have changed, and what was 0 at first counts by now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlarray.planner.agreement import disagreement
from dlarray.planner.program import Program
from dlarray.planner.synthetic import made_up
from dlarray.planner.trees import unflatten

__all__ = ["LATER", "differs_on_made_up", "plainly"]

LATER = frozenset({8, 200})
"""The steps of a program that run plainly too, so many after its first."""

_Step = Callable[[Any, Any], Any]
_Leaves = Sequence[np.ndarray]


def plainly(step: _Step, program: Program, state: _Leaves, batch: _Leaves) -> Any:
    """What the step gives for copies of these leaves."""
    trees = (unflatten(s, iter([x.copy() for x in xs])) for s, xs in zip(program.given, (state, batch), strict=True))
    with np.errstate(all="ignore"):
        return step(*trees)


def differs_on_made_up(step: _Step, program: Program, state: _Leaves, batch: _Leaves) -> str:
    """What differs on made-up numbers like these; nothing where the plain step raises, for then they mean nothing."""
    for within in (False, True):
        leaves = made_up([*state, *batch], within)
        old, new = leaves[: len(state)], leaves[len(state) :]
        try:
            eager = plainly(step, program, old, new)
        except Exception:  # what it refuses, a plan need not do
            continue
        try:
            with np.errstate(all="ignore"):
                planned = program.run([x.copy() for x in old], new)
            why = disagreement(program.plan, eager, planned, old, new)
        except Exception as error:
            why = f"its plan fails: {type(error).__name__}: {error}"
        return f"on made-up numbers {why}" if why else ""
    return ""
