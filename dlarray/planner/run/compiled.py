"""``compile(step)``: one program for each kind of arguments, checked against the eager step.

The eager step is always right. The first call of each program runs it on the caller's arrays, and the plan on copies of
them; where they do not agree, there or on made-up numbers (``proof``), or where the step cannot be traced, the eager
step stays and a warning says why. Where they agree the plan's numbers count from this first call on: a run has the same
bits wherever its programs are made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

import numpy as np

from dlarray.core.check import one_of
from dlarray.core.trees import flatten
from dlarray.device.description import Description, Names
from dlarray.planner.kernel.loops import Executor
from dlarray.planner.numba.executor import numba_loops
from dlarray.planner.numpy.ufuncs import ufuncs
from dlarray.planner.run.agreement import copies, disagreement
from dlarray.planner.run.aliasing import why_unbindable
from dlarray.planner.run.eager_check import LATER_STEPS, FirstStep, run_eagerly
from dlarray.planner.run.program import NAMELESS, Binding, Program, write_back
from dlarray.planner.run.programs import Programs, Refusal
from dlarray.planner.run.refusals import is_contiguous, is_unhashable, why_unplannable
from dlarray.planner.run.signature import Key, signature

__all__ = ["EXECUTORS", "Compiled", "compile", "plan"]

EXECUTORS: dict[str, Executor] = {"ufuncs": ufuncs, "numba": numba_loops}
"""What can run kernels, by name. Numba is imported when the first kernel is bound."""

_Step = Callable[[Any, Any], tuple[Any, Any]]


class _Thread(threading.local):
    """What one thread has bound: threads that share a compiled step share its plans and nothing else."""

    latest: Binding | None = None

    def __init__(self) -> None:
        self.bound: dict[Program, Binding] = {}


class Compiled:
    """A step that is planned for what it meets. ``programs`` holds the plans made so far, at most 64.

    Several threads may call at once, each with a state of its own.
    """

    def __init__(self, step: _Step, executor: Executor, check: bool) -> None:
        self.step = step
        self.programs: Programs[Program] = Programs()
        self._executor = executor
        self._check = check
        self._thread = _Thread()
        self._lock = threading.RLock()
        self._partly_written: list[ref[np.ndarray]] = []

    def __call__(self, state: Any, batch: Any) -> tuple[Any, Any]:
        """The next state and the loss. Consumes the state.

        An error that the plain step would not have raised is one that it recovers from: the step is done plainly. Where
        the state has been written in part by then, RuntimeError refuses it from the next call on.
        """
        latest = self._thread.latest
        if latest is None:
            return self._find_and_run(state, batch)
        try:
            done = latest.repeat(state, batch)
        except BaseException as error:
            broken = error
        else:
            return self._find_and_run(state, batch) if done is None else done
        return self._recover(broken, latest, state, batch)

    def describe(self, names: Names = NAMELESS) -> Description:
        """What the latest plan does. Raises ValueError where there is none."""
        return self.latest().describe(names)

    def latest(self) -> Program:
        """The latest plan. Raises ValueError where there is none."""
        if not self.programs:
            raise ValueError("the compiled step has met no arrays yet: run it once, or give a state and a batch")
        planned = [program for program in self.programs.values() if program is not None]
        if not planned:
            raise ValueError("the step has no plan and runs eagerly; the PlannerWarning at its first call said why")
        return planned[-1]

    def pieces(self, batch: Any) -> list[Callable[[], None]]:
        """The step on the state that it has last been given, in pieces; see ``Replay.pieces``."""
        if self._thread.latest is None:
            raise ValueError("a step is taken apart once it has run")
        return self._thread.latest.pieces(batch)

    # Calls that are not like the one before

    def _find_and_run(self, state: Any, batch: Any) -> Any:
        """A call whose program has to be found first."""
        old: list[Any] = []
        new: list[Any] = []
        structure = (flatten(state, old), flatten(batch, new))
        if self._partly_written:
            self._refuse_partly_written(old)
        key = Key((structure, signature(old), signature(new)))
        try:
            if key not in self.programs:
                with self._lock:
                    if key not in self.programs:
                        return self._first(key, state, batch, old, new)
        except TypeError as error:
            if not is_unhashable(structure):
                raise
            self.programs.warn_once(str(error))
            return self.step(state, batch)
        program = self.programs[key]
        if program is None:
            return self._run_eagerly(state, batch, old)
        bound = self._thread.bound.get(program)
        if bound is None or not bound.is_on(old) or not bound.reads(batch):
            if why := why_unbindable(old, new, program.plan.graph.captured.arrays):
                self.programs.warn_once(why)
                return self._run_eagerly(state, batch, old)
            arrays = [a if is_contiguous(a) else np.array(a, order="C") for a in old]
            bound = self._thread.bound[program] = Binding(program, arrays, [np.asarray(a) for a in new])
        self._thread.latest = bound
        try:
            return self._run_counted(bound, state, batch, new) if program.checks_pending else bound.run(new)
        except BaseException as error:
            broken = error
        return self._recover(broken, bound, state, batch)

    def _run_eagerly(self, state: Any, batch: Any, old: Sequence[Any]) -> Any:
        """The plain step, and its state where planned steps may write it."""
        result = self.step(state, batch)
        if not any(self.programs.values()):
            return result
        stays = any(bound.is_on(old) for bound in self._thread.bound.values())
        return write_back(result, old, flatten(state, []), stays)

    def _run_counted(self, bound: Binding, state: Any, batch: Any, new: Sequence[Any]) -> Any:
        """A step of a program that is still watched: some of them run plainly too."""
        program = bound.program
        program.steps += 1
        program.checks_pending = program.steps < max(LATER_STEPS)
        if program.steps not in LATER_STEPS:
            return bound.run(new)
        before = copies(bound.state), copies(batch)
        try:
            eager = run_eagerly(self.step, program, *before)
        except Exception:
            return bound.run(new)
        planned = bound.run(new)
        why = disagreement(program.plan, eager, planned, *before)
        if not why:
            return planned
        self._drop(program, f"{program.steps} steps after its first, {why}")
        return write_back(eager, bound.state, program.input_structures[0], True)

    def _first(self, key: Key, state: Any, batch: Any, old: Sequence[Any], new: Sequence[Any]) -> Any:
        """Make a program and, unless told otherwise, hold its first step against the eager one."""
        if not all(a.dtype.isnative for a in old):  # what comes of them is
            return self._run_eagerly(state, batch, old)
        if why := why_unbindable(old, new, ()):
            self.programs.warn_once(why)
            return self._run_eagerly(state, batch, old)
        program = self.programs.plan(
            key, lambda: Program(self.step, state, batch, self._executor), why_unplannable([*old, *new])
        )
        if isinstance(program, Refusal):
            result = self._run_eagerly(state, batch, old)
            self.programs.refuse(program)
            return result
        if not self._check:
            self.programs[key] = program
            return self._find_and_run(state, batch)
        first = FirstStep(self.step, program, state, batch, is_first=not self.programs)
        result = self.programs.checked(key, program, first, self.step(state, batch))
        program.checks_pending = True
        if not any(self.programs.values()):
            return result
        return write_back(result, old, program.input_structures[0], all(map(is_contiguous, old)))

    # When something goes wrong

    def _recover(self, error: BaseException, bound: Binding, state: Any, batch: Any) -> Any:
        """What follows an error in a planned step: the plain step where the state is whole, else the error itself."""
        self._thread.latest = None
        self._thread.bound.pop(bound.program, None)
        if bound.replay.has_written(error):
            self._partly_written = [r for r in self._partly_written if r() is not None] + [ref(a) for a in bound.state]
            error.add_note("The state of this step is written in part: begin again from a copy of an earlier one.")
            raise error
        if not isinstance(error, Exception):
            raise error
        old: list[Any] = []
        new: list[Any] = []
        structure = flatten(state, old)
        flatten(batch, new)
        result = self.step(state, batch)  # raises what the plain step raises
        self._drop(bound.program, f"its plan fails: {type(error).__name__}: {error}")
        return write_back(result, old, structure, all(map(is_contiguous, old)))

    def _refuse_partly_written(self, state: Sequence[Any]) -> None:
        torn = {id(a) for a in (r() for r in self._partly_written) if a is not None}
        if any(id(a) in torn for a in state):
            raise RuntimeError(
                "the state is written in part, for an error has broken off a step on it: begin again from a copy of an "
                "earlier state, in arrays of its own"
            )

    def _drop(self, program: Program, why: str) -> None:
        """From now on the step runs eagerly where this program would have been used."""
        self._thread.latest = None
        self._thread.bound.pop(program, None)
        self.programs.drop(program, why)


def compile(step: _Step, executor: str | Executor = "ufuncs", check: bool = True) -> Compiled:  # noqa: A001 - the field's word
    """A faster ``step(state, batch) -> (state, loss)`` for NumPy's arrays.

    The state is consumed: what it was is written over. ``executor`` is what runs the kernels. With ``check`` the plan
    is held against the plain step, to rounding as ``agreement.difference`` says: in the first step of each program, on
    made-up numbers of the same shapes and types, and 8 and 200 steps later. Where the two differ the step runs eagerly
    from then on. Raises ValueError where there is no such executor.

    The step must be a function of what it is given. Its Python runs when a program is made, for each set of shapes and
    dtypes: once on symbols, which have no numbers, and with ``check`` on the arrays. From then on the plan repeats what
    the symbols went through, so

    * what a closure holds as a number (a rate, a count), and what the step draws at random, is that of the first call
      for ever. What changes from step to step is an array in the state or the batch. A change is found by the checks
      of steps 8 and 200, and not between or after them;
    * an array of a closure is read where it lies, and numbers that are written into it later count. What Python
      computes from it alone (``np.sqrt(w)``), or puts into its place (``self.w = other``), is that of the first call;
    * what the step does besides (it prints, counts, appends to a list) is done up to five times in all with ``check``,
      once without, and not at each step. What it keeps outside of a plain run is symbols.

    A step that cannot be repeated in this way, as far as it can be noticed, runs eagerly with a ``PlannerWarning``. So
    does one whose batch lies in the memory of the state, for as long as it does.

    Threads may share the compiled step, each with a state of its own: they share its plans, and nothing else. Kernels
    do not heed ``np.errstate``. An error in a planned step that the plain step does not raise sends it back to the
    plain one; where the state has been written in part by then, the error is raised, and the state refused from then
    on with a RuntimeError.
    """
    if isinstance(executor, str):
        executor = EXECUTORS[one_of("executor", executor, EXECUTORS)]
    return Compiled(step, executor, check)


def plan(step: Callable[..., Any], state: Any, batch: Any) -> Program:
    """The program of a step, compiled or not, for such arrays, without running it. Raises ValueError where it has none.

    The arrays are looked at for their shapes and dtypes alone.
    """
    try:
        return Program(step.step if isinstance(step, Compiled) else step, state, batch, ufuncs)
    except Exception as error:
        raise ValueError(
            f"the step has no plan and runs eagerly, because it cannot be traced: {type(error).__name__}: {error}"
        ) from error
