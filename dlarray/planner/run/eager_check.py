"""Whether a program may be believed: it is held against the plain step, and what the user's first data hide is made up.

A plan's failure is not an error but a wrong number. The first step of a program runs plainly too, on the caller's
arrays, and then both run on made-up numbers. Some steps later both run on the caller's arrays again: what a step
captures may have changed, and what was 0 at first counts by now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from dlarray.core.trees import unflatten
from dlarray.planner.run.agreement import copies, disagreement
from dlarray.planner.run.program import Program
from dlarray.planner.run.synthetic import synthetic_like
from dlarray.planner.schedule.memory import Plan

__all__ = ["LATER_STEPS", "SLOW_STEP", "FirstStep", "differs_on_synthetic", "run_eagerly"]

LATER_STEPS = frozenset({8, 200})
"""The steps of a program that run plainly too, so many after its first."""

SLOW_STEP = 0.1
"""Programs of steps that take longer, in seconds, are not compared on synthetic numbers, except for the first one."""

_Step = Callable[[Any, Any], Any]
_Leaves = Sequence[np.ndarray]
_Run = Callable[[list[np.ndarray]], Any]


class FirstStep:
    """The first step of a program by the plan, on copies of the arguments. Made just before the eager step."""

    def __init__(self, step: _Step, program: Program, state: Any, batch: Any, is_first: bool) -> None:
        self._step, self._program, self._is_first = step, program, is_first
        self._before = copies(state), copies(batch)
        self._captured = program.plan.graph.captured.values()
        self.planned: Any = None
        self._start = perf_counter()

    def disagreement(self, eager: Any) -> str:
        """Why the program must not be used, given what the eager step has returned; "" if it can be used."""
        seconds = perf_counter() - self._start
        program, before = self._program, self._before
        if program.plan.graph.captured.values() != self._captured:
            return "it writes into an array that it closes over: let it be part of the state"
        try:
            self.planned = program.run(*([a.copy() for a in leaves] for leaves in before))
            why = disagreement(program.plan, eager, self.planned, *before)
            if not why and (seconds < SLOW_STEP or self._is_first):
                why = _step_differs_on_synthetic(self._step, program, *before)
        except Exception as error:
            why = f"its plan fails: {type(error).__name__}: {error}"
        return why


def run_eagerly(step: _Step, program: Program, state: _Leaves, batch: _Leaves) -> Any:
    """What the step gives for copies of these leaves."""
    trees = (
        unflatten(s, iter([x.copy() for x in xs]))
        for s, xs in zip(program.input_structures, (state, batch), strict=True)
    )
    with np.errstate(all="ignore"):
        return step(*trees)


def differs_on_synthetic(plain: _Run, planned: _Run, plan: Plan, arrays: _Leaves, state_count: int) -> str:
    """What differs on made-up numbers like these; nothing where the plain one raises, for then they mean nothing.

    From number ``moving`` on the arrays are no state. What they give is the caller's to write.
    """
    for within in (False, True):
        leaves = synthetic_like(arrays, within)
        with np.errstate(all="ignore"):
            try:
                eager = plain([x.copy() for x in leaves])
            except Exception:  # what it refuses, a plan need not do
                continue
            try:
                found = planned([x.copy() for x in leaves])
                why = disagreement(plan, eager, found, leaves[:state_count], leaves[state_count:])
            except Exception as error:
                why = f"its plan fails: {type(error).__name__}: {error}"
        return f"on made-up numbers {why}" if why else ""
    return ""


def _step_differs_on_synthetic(step: _Step, program: Program, state: _Leaves, batch: _Leaves) -> str:
    """``differs_on_made_up`` for a step and its program, on leaves like these."""
    n = len(state)

    def plain(leaves: list[np.ndarray]) -> Any:
        return run_eagerly(step, program, leaves[:n], leaves[n:])

    def planned(leaves: list[np.ndarray]) -> Any:
        return program.run(leaves[:n], leaves[n:])

    return differs_on_synthetic(plain, planned, program.plan, [*state, *batch], n)
