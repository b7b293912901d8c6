"""``compile(step)``: one program for each set of shapes and dtypes, checked against the eager step at its first use.

The eager step is always right. The first call of each program runs it on the caller's arrays, and the plan on copies of
them; where they do not agree, or where the step cannot be traced, the eager step stays and a warning says why. Where
they agree the plan's numbers count from this first call on: a walk has the same bits wherever its programs are made.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from operator import is_not
from typing import Any

import numpy as np

from dlarray.check import one_of
from dlarray.description import Description, Names
from dlarray.planner.agreement import copies, disagreement
from dlarray.planner.describe import describe
from dlarray.planner.loops import Executor
from dlarray.planner.numba_executor import numba_loops
from dlarray.planner.replay import Replay
from dlarray.planner.signature import signature
from dlarray.planner.tracing import traced
from dlarray.planner.trees import builder, flatten, reader, recogniser, unflatten
from dlarray.planner.ufuncs import ufuncs

__all__ = ["EXECUTORS", "Compiled", "PlannerWarning", "Program", "compile", "plan"]

EXECUTORS: dict[str, Executor] = {"ufuncs": ufuncs, "numba": numba_loops}
"""What can run kernels, by name. Numba is imported when the first kernel is bound."""

MANY = 64
NAMELESS = Names()

_Step = Callable[[Any, Any], tuple[Any, Any]]


class PlannerWarning(UserWarning):
    """A step runs eagerly, slower than it could."""


class Program:
    """A plan for one set of shapes and dtypes, and what it is bound to."""

    def __init__(self, step: _Step, state: Any, batch: Any, executor: Executor) -> None:
        self.executor = executor
        found = traced(step, state, batch)
        self.plan, self.moving, self.given, self.structure = found.plan, found.moving, found.given, found.structure
        self._build = builder(self.structure)
        self._in_place = found.keeps_state and all(map(self.plan.written, self.plan.donated))
        self._build_loss = found.loss_builder() if self._in_place else self._build
        self._bound: Replay | None = None
        self._is_state: Callable[[Any], bool] = _nothing
        self._leaves_of: Callable[[Any], list[np.ndarray] | None] = _nothing

    def run(self, state: Sequence[np.ndarray], batch: Sequence[np.ndarray]) -> tuple[Any, Any]:
        """One step on these leaves. Writes into the state's arrays."""
        if self._bound is None or any(map(is_not, state, self._bound.leaves)):
            self._bound = Replay(self.plan, [*state, *batch], self.moving, self.executor)
            self._is_state = recogniser(self.given[0], state)
            self._leaves_of = reader(self.given[1], batch)
        self._bound(batch)
        return self._build(self._bound.outputs())

    def closes_over(self, state: Sequence[Any]) -> bool:
        """Whether an array of the step's closure lies in the memory of one of these, which the plan writes."""
        return any(np.may_share_memory(a, b) for a in self.plan.graph.captured.arrays for b in state)

    def again(self, state: Any, batch: Any) -> tuple[Any, Any] | None:
        """One step after another: with the arrays of the step before, and a batch like the one before; else None."""
        if self._bound is None or not self._is_state(state) or (leaves := self._leaves_of(batch)) is None:
            return None
        self._bound(leaves)
        if self._in_place:  # the state is what it was, with other numbers in it
            return state, self._build_loss(self._bound.outputs(self.moving))
        return self._build(self._bound.outputs())

    def pieces(self, batch: Any) -> list[Callable[[], None]]:
        """The step on the state that it has last been given, in pieces; see ``Replay.pieces``."""
        leaves = self._leaves_of(batch)
        if self._bound is None or leaves is None:
            raise ValueError("a program is taken apart once it has run, on a batch like the one that it was given")
        return self._bound.pieces(leaves)

    def describe(self, names: Names = NAMELESS) -> Description:
        """What the plan does."""
        return describe(self.plan, self.given, self.structure, names)


def _nothing(tree: Any) -> Any:
    return None


class Compiled:
    """A step that is planned for the shapes it meets. ``programs`` holds the plans made so far."""

    def __init__(self, step: _Step, executor: Executor, check: bool) -> None:
        self.step = step
        self.programs: dict[Any, Program | None] = {}
        """By structure, shapes and dtypes; None where the step runs eagerly."""
        self._executor = executor
        self._check = check
        self._latest: Program | None = None
        self._told = False

    def __call__(self, state: Any, batch: Any) -> tuple[Any, Any]:
        """The next state and the loss. Consumes the state."""
        if self._latest is not None and (done := self._latest.again(state, batch)) is not None:
            return done
        old: list[Any] = []
        new: list[Any] = []
        structure = (flatten(state, old), flatten(batch, new))
        key = (structure, signature(old), signature(new))
        try:
            program = self.programs[key]
        except KeyError:
            return self._first(key, state, batch)
        except TypeError as error:  # something in the trees cannot be hashed
            if not self._told:
                self._told = True
                warnings.warn(f"the step runs eagerly, uncompiled, because {error}", PlannerWarning, stacklevel=3)
            return self.step(state, batch)
        if program is None or not _can_be_bound(old, new) or program.closes_over(old):
            return self.step(state, batch)
        self._latest = program
        arrays: list[np.ndarray] = [a if isinstance(a, np.ndarray) else np.array(a) for a in old]
        return program.run(arrays, [np.asarray(a) for a in new])

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

    def _first(self, key: Any, state: Any, batch: Any) -> tuple[Any, Any]:
        """Make a program and, unless told otherwise, hold its first step against the eager one."""
        program: Program | None = None
        why = f"it has {MANY} programs: a Python number in the state or the batch changes from step to step"
        if len(self.programs) < MANY:
            try:
                program = Program(self.step, state, batch, self._executor)
            except Exception as error:
                why = f"it cannot be traced: {type(error).__name__}: {error}"
        if program is not None and not self._check:
            self.programs[key] = program
            return self(state, batch)
        before = (copies(state), copies(batch))
        closure = program.plan.graph.captured if program else None
        read = closure.numbers() if closure else []
        result = self.step(state, batch)
        if closure is not None and closure.numbers() != read:
            program, why = None, "it writes into an array that it closes over: let it be part of the state"
        if program is not None:
            try:
                planned = program.run(*map(copies, before))
                why = disagreement(program.plan, result, planned, *before)
            except Exception as error:
                why = f"its plan fails: {type(error).__name__}: {error}"
            else:
                result = result if why else _taken_over(planned, result, state)
            program = None if why else program
        if program is None:
            warnings.warn(f"the step runs eagerly, uncompiled, because {why}", PlannerWarning, stacklevel=4)
        self.programs[key] = program
        return result


def compile(step: _Step, executor: str | Executor = "ufuncs", check: bool = True) -> Compiled:  # noqa: A001 - the field's word
    """A faster ``step(state, batch) -> (state, loss)`` for NumPy's arrays.

    The state is consumed: what it was is written over. ``executor`` is what runs the kernels. With ``check`` the first
    step of each program runs eagerly too, and the two must agree as ``agreement.difference`` says: to rounding. Raises
    ValueError where there is no such executor.

    The step must be a function of what it is given. Its Python runs when a program is made, for each set of shapes and
    dtypes: once on symbols, which have no numbers, and with ``check`` once more on the arrays. From then on the plan
    repeats what the symbols went through, so

    * what a closure holds as a number (a rate, a count), and what the step draws at random, is that of the first call
      for ever. What changes from step to step is an array in the state or the batch;
    * an array of a closure is read where it lies, and numbers that are written into it later count. What Python
      computes from it alone (``np.sqrt(w)``), or puts into its place (``self.w = other``), is that of the first call;
    * what the step does besides (it prints, counts, appends to a list) is done twice in the first call, once without
      ``check``, and never again. What it keeps outside of the traced run is symbols.

    A step that cannot be repeated in this way, as far as it can be noticed, runs eagerly with a ``PlannerWarning``.
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


def _taken_over(planned: Any, eager: Any, state: Any) -> Any:
    """What the plan gave, written into the caller's state where the eager step has left its own result there."""
    given: list[np.ndarray] = []
    ours: list[Any] = []
    theirs: list[Any] = []
    flatten(state, given)
    structure = flatten(eager, ours)
    flatten(planned, theirs)
    in_place = {_place(a): a for a in given if type(a) is np.ndarray and a.flags.writeable}
    leaves: list[Any] = []
    for x, y in zip(ours, theirs, strict=True):
        own = in_place.get(_place(x))
        if own is not None:
            np.copyto(own, y)
        leaves.append(y if own is None else own)
    return unflatten(structure, iter(leaves))


def _place(x: Any) -> Any:
    """Where an array's numbers lie, and how: the same for two views of the same memory."""
    return (x.ctypes.data, x.shape, x.strides, x.dtype.str) if type(x) is np.ndarray else None


def _can_be_bound(state: Sequence[Any], batch: Sequence[Any]) -> bool:
    """Whether the state can be written in place: in rows, writeable, and no array in the memory of another."""
    arrays: list[np.ndarray] = [a for a in state if isinstance(a, np.ndarray)]
    if not all(a.dtype.isnative and a.flags.aligned for a in (*state, *batch)):
        return False
    if not all(a.flags.c_contiguous and a.flags.writeable for a in arrays):
        return False
    if any(np.may_share_memory(a, b) for a in arrays for b in batch):
        return False
    spans = sorted((a.ctypes.data, a.ctypes.data + a.nbytes) for a in arrays if a.size)
    return all(stop <= start for (_, stop), (start, _) in pairwise(spans))
