"""The check of a program against the eager step, on the caller's arrays and on synthetic numbers.

A wrong plan does not fail: it computes wrong numbers. So the first step of a program runs eagerly too, on the caller's
arrays, and then both run on synthetic numbers, because first data can hide an error. At two later steps both run on the
caller's arrays again: captured values can have changed, and values that were 0 at first matter by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from dlarray.core.trees import unflatten
from dlarray.planner.run.agreement import copies, disagreement
from dlarray.planner.run.program import Program
from dlarray.planner.run.programs import Refusal
from dlarray.planner.run.signature import Key
from dlarray.planner.run.synthetic import synthetic_like
from dlarray.planner.schedule.memory import Plan

__all__ = [
    "LATER_STEPS",
    "SLOW_STEP",
    "FirstStep",
    "checked_silently",
    "differs_on_synthetic",
    "run_eagerly",
    "silent_difference",
]

LATER_STEPS = (8, 200)
"""The steps of a program that run eagerly too, counted from its first."""

SLOW_STEP = 0.1
"""Programs of steps that take longer, in seconds, are not compared on synthetic numbers, except for the first one."""

_Step = Callable[[Any, Any], Any]
_Leaves = Sequence[np.ndarray]
_Run = Callable[[list[np.ndarray]], Any]


class FirstStep:
    """The first step of a program by the plan, on copies of the arguments. Made just before the eager step.

    The plan is bound, so perhaps compiled, before the eager step too: after that BLAS's threads wait actively for more.
    """

    def __init__(self, step: _Step, program: Program, state: Any, batch: Any, is_first: bool) -> None:
        _keep_freed_memory()
        self._step, self._program, self._is_first = step, program, is_first
        self.before = copies(state), copies(batch)
        self._captured = program.plan.graph.captured.values()
        self._planned: _Planned | Exception
        try:
            self._planned = _Planned(program, *self.before)
        except Exception as error:
            self._planned = error
        self.planned: Any = None
        self._start = perf_counter()

    def disagreement(self, eager: Any) -> str:
        """Why the program must not be used, given what the eager step has returned; "" if it can be used."""
        seconds = perf_counter() - self._start
        program, before, run = self._program, self.before, self._planned
        if program.plan.graph.captured.values() != self._captured:
            return "it writes into an array that it closes over: make it part of the state"
        if isinstance(run, Exception):
            return _failure(run)
        try:
            hidden = ""
            if seconds < SLOW_STEP or self._is_first:  # before the step, whose result is in the same arrays
                hidden = _step_differs_on_synthetic(self._step, run, *before)
            self.planned = run(*before)
            return disagreement(program.plan, eager, self.planned, *before) or hidden
        except Exception as error:
            return _failure(error)


def checked_silently(
    step: _Step, key: Key, program: Program, state: Any, batch: Any, is_first: bool
) -> Program | Refusal:
    """A program that communicates, checked before its first step, or why it must not be used.

    Plan and eager step are compared on copies, without communication: other ranks take no part in this rank's check.
    """
    program.steps, program.next_check = -1, LATER_STEPS[0]  # its first step is still to come
    with program.silent():
        first = FirstStep(step, program, state, batch, is_first)
        try:
            why = first.disagreement(run_eagerly(step, program, *first.before))
        except Exception as error:  # the eager step's
            why = f"it cannot be checked without communication: {type(error).__name__}: {error}"
    return Refusal(key, why) if why else program


def silent_difference(step: _Step, program: Program, state: _Leaves, batch: _Leaves) -> str:
    """The difference of plan and eager step on copies of these arrays; "" if none, or if the eager step fails."""
    with program.silent():
        try:
            eager = run_eagerly(step, program, state, batch)
        except Exception:
            return ""
        try:
            return disagreement(program.plan, eager, _Planned(program, state, batch)(state, batch), state, batch)
        except Exception as error:
            return _failure(error)


def _keep_freed_memory() -> None:
    """Let glibc's malloc reuse the memory of freed arrays, whose pages the system would have to clear again.

    When a large block is freed, malloc keeps freed memory up to twice its size from then on: up to 64 MiB. The check
    makes and frees many arrays; this saves a third of its time.
    """
    np.empty(2**25 - 2**16, np.uint8)


class _Planned:
    """A program on arrays of its own: a step on leaves that stay as they are. The next one overwrites its result."""

    def __init__(self, program: Program, state: _Leaves, batch: _Leaves) -> None:
        self.program = program
        self._leaves = [x.copy() for x in state], [x.copy() for x in batch]
        self._replay = program.replay(*self._leaves)

    def __call__(self, state: _Leaves, batch: _Leaves) -> Any:
        for own, given in zip(self._leaves, (state, batch), strict=True):
            for x, y in zip(own, given, strict=True):
                np.copyto(x, y)
        self._replay(self._leaves[1])
        return self.program.build(self._replay.outputs())


def _failure(error: Exception) -> str:
    return f"its plan fails: {type(error).__name__}: {error}"


def run_eagerly(step: _Step, program: Program, state: _Leaves, batch: _Leaves) -> Any:
    """The eager step's result for copies of these leaves."""
    trees = (
        unflatten(s, iter([x.copy() for x in xs]))
        for s, xs in zip(program.input_structures, (state, batch), strict=True)
    )
    with np.errstate(all="ignore"):
        return step(*trees)


def differs_on_synthetic(eager: _Run, planned: _Run, plan: Plan, arrays: _Leaves, state_count: int) -> str:
    """The first difference on synthetic numbers like these; "" if none, or if the eager function rejects the numbers.

    The first ``state_count`` arrays are the state. ``planned`` must not change the arrays that it is given.
    """
    for within in (False, True):
        leaves = synthetic_like(arrays, within)
        with np.errstate(all="ignore"):
            try:
                expected = eager([x.copy() for x in leaves])
            except Exception:  # a plan need not handle numbers that the step rejects
                continue
            try:
                found = planned(leaves)
                why = disagreement(plan, expected, found, leaves[:state_count], leaves[state_count:])
            except Exception as error:
                why = _failure(error)
        return f"on synthetic numbers {why}" if why else ""
    return ""


def _step_differs_on_synthetic(step: _Step, run: _Planned, state: _Leaves, batch: _Leaves) -> str:
    """``differs_on_synthetic`` for a step and its program."""
    n = len(state)

    def eager(leaves: list[np.ndarray]) -> Any:
        return run_eagerly(step, run.program, leaves[:n], leaves[n:])

    def planned(leaves: list[np.ndarray]) -> Any:
        return run(leaves[:n], leaves[n:])

    return differs_on_synthetic(eager, planned, run.program.plan, [*state, *batch], n)
