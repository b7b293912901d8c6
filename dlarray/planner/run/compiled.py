"""``compile(step)``: one program for each kind of arguments, checked against the eager step.

The eager step is always right. The first call of each program runs it on the caller's arrays, and the plan on copies of
them. If they disagree, on these arrays or on synthetic numbers (``eager_check``), or if the step cannot be traced, the
step runs eagerly and a warning says why. If they agree, the plan's result is used from this first call on: so a run has
the same bits no matter when its programs are made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

import numpy as np

from dlarray.core.trees import flatten
from dlarray.device.description import Description, Names
from dlarray.planner.kernel.loops import Executor
from dlarray.planner.numpy.ufuncs import ufuncs
from dlarray.planner.run.agreement import copies, disagreement
from dlarray.planner.run.aliasing import why_unbindable
from dlarray.planner.run.bound import BoundStep
from dlarray.planner.run.eager_check import LATER_STEPS, FirstStep, checked_silently, run_eagerly, silent_difference
from dlarray.planner.run.executors import executor_named
from dlarray.planner.run.program import NAMELESS, NEVER, Binding, Program, write_back
from dlarray.planner.run.programs import Programs, Refusal
from dlarray.planner.run.refusals import is_contiguous, is_unhashable, why_unplannable
from dlarray.planner.run.repeated import Repeated
from dlarray.planner.run.signature import Key, signature

__all__ = ["Compiled", "compile", "plan"]

_Step = Callable[[Any, Any], tuple[Any, Any]]


class _Thread(threading.local):
    """One thread's bindings: threads that share a compiled step share only its plans."""

    latest: Binding | None = None

    def __init__(self) -> None:
        self.bound: dict[Program, Binding] = {}


class Compiled:
    """A step with a plan for each kind of arguments. ``programs`` holds the plans made so far, at most 64.

    Several threads can call at the same time, each with its own state.
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

        After an error in the plan the step runs eagerly instead, which can raise its own error. If the state is partly
        written by then, the error is raised, and further calls with this state raise RuntimeError.
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
        return self.recover(broken, latest, state, batch)

    def bind(self, state: Any) -> BoundStep[Binding]:
        """``bound(batch) -> loss`` on this state, which is not recognised anew at each step: see ``BoundStep``."""
        return BoundStep(self, state)

    def repeat(self, steps: int) -> Repeated:
        """A function for up to ``steps`` steps in one call; see ``Repeated``."""
        return Repeated(self, steps)

    def repeatable(self) -> Binding | None:
        """The latest binding of this thread if it writes the state in place."""
        latest = self._thread.latest
        return latest if latest is not None and latest.program.in_place else None

    def forget(self) -> None:
        """Let go of this thread's bindings, with their states and batches. Bound steps keep their own."""
        self._thread.latest = None
        self._thread.bound.clear()

    def describe(self, names: Names = NAMELESS) -> Description:
        """What the latest plan does. Raises ValueError if there is none."""
        return self.latest().describe(names)

    def latest(self) -> Program:
        """The latest plan. Raises ValueError if there is none."""
        if not self.programs:
            raise ValueError("the compiled step has not run yet: run it once, or give a state and a batch")
        planned = [program for program in self.programs.values() if program is not None]
        if not planned:
            raise ValueError("the step has no plan and runs eagerly; the PlannerWarning at its first call says why")
        return planned[-1]

    def pieces(self, batch: Any) -> list[Callable[[], None]]:
        """The step on the latest state, in pieces; see ``Replay.pieces``."""
        if self._thread.latest is None:
            raise ValueError("a step is split into pieces after it has run: call it once")
        return self._thread.latest.pieces(batch)

    # Calls with other arguments than the latest one

    def _find_and_run(self, state: Any, batch: Any) -> Any:
        """Find the program and its binding for these arguments, or make them, and run."""
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
            return self._run_counted(bound, state, batch, new)
        except BaseException as error:
            broken = error
        return self.recover(broken, bound, state, batch)

    def _run_eagerly(self, state: Any, batch: Any, old: Sequence[Any]) -> Any:
        """The eager step, with its state written back if planned steps can follow."""
        result = self.step(state, batch)
        if not any(self.programs.values()):
            return result
        stays = any(bound.is_on(old) for bound in self._thread.bound.values())
        return write_back(result, old, flatten(state, []), stays)

    def _run_counted(self, bound: Binding, state: Any, batch: Any, new: Sequence[Any]) -> Any:
        """A step of a program. If a check is due, it runs eagerly too."""
        program = bound.program
        program.steps += 1
        if program.steps < program.next_check:
            return bound.run(new)
        program.next_check = next((n for n in LATER_STEPS if n > program.steps), NEVER)
        before = copies(bound.state), copies(batch)
        if program.communicates:
            why = silent_difference(self.step, program, *before)
            return self._without_plan(bound, self.step(state, batch), why) if why else bound.run(new)
        try:
            eager = run_eagerly(self.step, program, *before)
        except Exception:
            return bound.run(new)
        planned = bound.run(new)
        if why := disagreement(program.plan, eager, planned, *before):
            return self._without_plan(bound, eager, why)
        return planned

    def _without_plan(self, bound: Binding, eager: Any, why: str) -> Any:
        """The eager step's result; its program is dropped."""
        program = bound.program
        self._drop(program, f"{program.steps} steps after its first, {why}")
        return write_back(eager, bound.state, program.input_structures[0], True)

    def _first(self, key: Key, state: Any, batch: Any, old: Sequence[Any], new: Sequence[Any]) -> Any:
        """Make a program and, with ``check``, compare its first step with the eager one."""
        if not all(a.dtype.isnative for a in old):  # the next state is
            return self._run_eagerly(state, batch, old)
        if why := why_unbindable(old, new, ()):
            self.programs.warn_once(why)
            return self._run_eagerly(state, batch, old)
        program = self.programs.plan(
            key, lambda: Program(self.step, state, batch, self._executor), why_unplannable([*old, *new])
        )
        if isinstance(program, Program) and self._check and program.communicates:
            program = checked_silently(self.step, key, program, state, batch, is_first=not self.programs)
        if isinstance(program, Refusal):
            result = self._run_eagerly(state, batch, old)
            self.programs.refuse(program)
            return result
        if not self._check or program.communicates:
            self.programs[key] = program
            return self._find_and_run(state, batch)
        first = FirstStep(self.step, program, state, batch, is_first=not self.programs)
        result = self.programs.checked(key, program, first, self.step(state, batch))
        program.next_check = LATER_STEPS[0]
        if not any(self.programs.values()):
            return result
        return write_back(result, old, program.input_structures[0], all(map(is_contiguous, old)))

    # Errors

    def recover(self, error: BaseException, bound: Binding, state: Any, batch: Any) -> Any:
        """After an error in a planned step: the eager step, or the error if the state is partly written.

        Raises the error too if ranks have begun to exchange numbers: they would do that twice.
        """
        self._thread.latest = None
        self._thread.bound.pop(bound.program, None)
        if communicated := bound.replay.has_communicated(error):
            error.add_note("Its ranks have begun to exchange numbers, so this rank cannot repeat the step alone.")
        if bound.replay.has_written(error):
            self._partly_written = [r for r in self._partly_written if r() is not None] + [ref(a) for a in bound.state]
            error.add_note("The state of this step is partly written: start again from a copy of an earlier state.")
            raise error
        if communicated or not isinstance(error, Exception):
            raise error
        old: list[Any] = []
        new: list[Any] = []
        structure = flatten(state, old)
        flatten(batch, new)
        result = self.step(state, batch)  # raises what the eager step raises
        self._drop(bound.program, f"its plan fails: {type(error).__name__}: {error}")
        return write_back(result, old, structure, all(map(is_contiguous, old)))

    def _refuse_partly_written(self, state: Sequence[Any]) -> None:
        partly = {id(a) for a in (r() for r in self._partly_written) if a is not None}
        if any(id(a) in partly for a in state):
            raise RuntimeError(
                "the state is partly written, because an error stopped a step on it: start again from a copy of an "
                "earlier state"
            )

    def _drop(self, program: Program, why: str) -> None:
        """From now on the step runs eagerly for the arguments of this program."""
        self._thread.latest = None
        self._thread.bound.pop(program, None)
        program.next_check = 0  # so bindings of other threads look for the program too
        self.programs.drop(program, why)


def compile(step: _Step, executor: str | Executor = "ufuncs", check: bool = True) -> Compiled:  # noqa: A001 - the field's word
    """A faster ``step(state, batch) -> (state, loss)`` for NumPy's arrays.

    The state is consumed: its arrays are overwritten. ``executor`` runs the kernels. With ``check`` the plan is
    compared with the eager step, to rounding as in ``agreement.difference``: in the first step of each program, on
    synthetic numbers of the same shapes and types, and 8 and 200 steps later. If the two differ, the step runs eagerly
    from then on. Raises ValueError if there is no such executor.

    The step must be a function of its arguments. Its Python runs when a program is made, for each set of shapes and
    dtypes: once on symbols, which have no values, and with ``check`` on the arrays. From then on the plan repeats the
    traced operations, so

    * a number in a closure (a rate, a count) and random numbers that the step draws keep their value of the first call.
      Values that change from step to step must be arrays in the state or the batch. The checks at steps 8 and 200
      notice a change; nothing else does;
    * an array of a closure is read in place, so later writes into it have an effect. A value that Python computes from
      it alone (``np.sqrt(w)``), or that replaces it (``self.w = other``), stays that of the first call;
    * side effects of the step (it prints, counts, appends to a list) happen up to five times in all with ``check``,
      once without, and not at each step. Values that it stores during tracing are symbols.

    If the planner notices that a step cannot be repeated in this way, the step runs eagerly with a ``PlannerWarning``.
    A step whose batch is in the memory of its state runs eagerly too.

    Threads can share the compiled step, each with its own state: they share only its plans. Kernels ignore
    ``np.errstate``. After an error in the plan the step runs eagerly; if the state is partly written by then, the error
    is raised, and further calls with this state raise RuntimeError.

    Sums over ranks are part of the plan. Checks exchange nothing with other ranks; once a step has begun to exchange
    numbers, an error is raised, because the eager step would exchange them again.
    """
    return Compiled(step, executor_named(executor), check)


def plan(step: Callable[..., Any], state: Any, batch: Any) -> Program:
    """The program of a step, compiled or not, for arrays like these, without running it.

    Only the arrays' shapes and dtypes are read. Raises ValueError if the step has no plan.
    """
    try:
        return Program(step.step if isinstance(step, Compiled) else step, state, batch, ufuncs)
    except Exception as error:
        raise ValueError(
            f"the step has no plan and runs eagerly, because it cannot be traced: {type(error).__name__}: {error}"
        ) from error
