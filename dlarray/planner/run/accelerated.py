"""``accelerate(function)``: a planned function of fixed arrays and one new array; it consumes neither.

Inference is such a function: θ is fixed, and each call has a new x. A program is bound to the fixed arrays in place,
and each binding has its own buffers. A call takes a binding that no other call is using, so threads can call at the
same time. The result is a new array.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from operator import is_not
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np

from dlarray.core.trees import flatten, unflatten
from dlarray.planner.kernel.joining import Joiner
from dlarray.planner.kernel.loops import Executor
from dlarray.planner.run.agreement import disagreement
from dlarray.planner.run.eager_check import SLOW_STEP, differs_on_synthetic
from dlarray.planner.run.executors import executor_named
from dlarray.planner.run.refusals import MAX_PROGRAMS, PlannerWarning
from dlarray.planner.run.replay import STAGED, Replay
from dlarray.planner.run.sequence import MAX_UNROLLED, in_sequence
from dlarray.planner.run.signature import Key, only_tuples, signature
from dlarray.planner.run.tree_code import builder
from dlarray.planner.schedule.memory import Plan, make_plan
from dlarray.planner.trace.node import Node, UntraceableError, root
from dlarray.planner.trace.trace import trace

__all__ = ["Accelerated", "accelerate"]

_Function = Callable[[Any, Any], Any]


class _Inference:
    """A plan for one shape and dtype of x, and the bindings of it that are idle."""

    def __init__(self, function: _Function, fixed: Any, x: np.ndarray, executor: Executor) -> None:
        graph, inputs, self.structure, outputs, _ = trace(lambda _, given: function(*given), (), (fixed, x))
        if graph.collectives:
            raise UntraceableError("it exchanges numbers with other ranks, which only the plan of a step does")
        self.plan = make_plan(graph, outputs, {})
        self.x = inputs[-1]
        self.only_multiplied = _is_only_multiplied(self.plan, self.x)
        """Whether only products read x: they take its address at each call."""
        self._executor = executor
        self.idle: list[_Binding] = []
        """The bindings that no call is using."""

    def __call__(self, fixed: Any, leaves: list[Any] | None, x: np.ndarray) -> Any:
        """The function's value in new arrays. ``leaves`` are those of ``fixed``; None for an unchanged tree of tuples.

        Raises _UnbindableError if the fixed arrays cannot be bound.
        """
        binding = self.idle.pop() if self.idle else None
        if binding is None or binding.fixed is not fixed or leaves is not None:
            binding = self._bind(binding, fixed, leaves)
        y = binding.run(x)
        self.idle.append(binding)
        return y

    def _bind(self, old: _Binding | None, fixed: Any, leaves: list[Any] | None) -> _Binding:
        """A binding to these arrays: the old one if they are the same."""
        found: list[Any] = []
        if leaves is None:
            flatten(fixed, found)
        else:
            found, fixed = leaves, _CAN_CHANGE
        if old is not None and not any(map(is_not, found, old.leaves)):
            return old
        if not all(map(_is_readable_in_place, found)):
            raise _UnbindableError
        return _Binding(self, fixed, found, self._executor)


class _Binding:
    """A plan bound to the fixed arrays, with its own buffers: for one call at a time."""

    def __init__(self, program: _Inference, fixed: Any, leaves: list[np.ndarray], executor: Executor) -> None:
        self.fixed = fixed
        self.leaves = leaves
        blank = np.empty(program.x.shape, program.x.dtype)  # stands for x between calls; never read
        self._nothing = (blank,)
        self._replay = Replay(program.plan, [*leaves, blank], len(leaves), executor)
        self.enter = self._replay.enter or _refuse
        """Compute with an x like the first one, in native code; else False."""
        self.result = _result(self._replay, program.structure)
        """What has been computed, in new arrays."""
        self._steps: Callable[[np.ndarray], None] | None = None
        by_argument = program.only_multiplied and not isinstance(executor, Joiner)  # joined calls take it from a table
        if by_argument and len(self._replay.calls) <= MAX_UNROLLED:
            given = blank if blank.nbytes > STAGED else self._replay.array(program.x)
            self._steps = in_sequence(self._replay.calls, [given])

    def run(self, x: np.ndarray) -> Any:
        """The function's value in new arrays."""
        if not self.enter(x):
            (self._steps or self._rebind_and_run)(x)
        return self.result()

    def _rebind_and_run(self, x: np.ndarray) -> None:
        self._replay((x,))
        self._replay.rebind(self._nothing)


def _refuse(x: Any) -> bool:
    return False


def _result(replay: Replay, structure: Any) -> Callable[[], Any]:
    """``_Binding.result``."""
    (y, own), *others = replay.results
    if structure is None and y.ndim and not own and not others:
        return (replay.handing_out() if y.nbytes > STAGED else None) or y.copy
    build = builder(structure)
    return lambda: build(replay.outputs())


_CAN_CHANGE = object()
"""Stands for a fixed tree that can hold other arrays at the next call."""


class _UnbindableError(Exception):
    """A plan cannot read the fixed arrays in place."""


class Accelerated:
    """A function with a plan for each structure, shapes and dtypes of the fixed arrays and of x.

    The first call of each kind runs the function eagerly too. If the two disagree, or if the function cannot be traced,
    it runs eagerly for that kind, and a ``PlannerWarning`` says why. After 64 kinds further ones run eagerly without a
    warning: a server's requests can be of any length.
    """

    def __init__(self, function: _Function, executor: Executor, check: bool) -> None:
        self.function = function
        self.programs: dict[Any, _Inference | None] = {}
        """By the signature of the fixed arrays and the shape and dtype of x; None if the function runs eagerly."""
        self._executor = executor
        self._check = check
        self._lock = Lock()
        self._has_warned = False
        self._known: tuple[Any, Any] = (self, None)
        """The latest fixed tree of tuples, which cannot change except for its arrays' values, and its signature."""
        self._latest: list[_Binding] = []
        """The idle bindings of the latest program."""

    def __call__(self, fixed: Any, x: Any) -> Any:
        """The function's value."""
        latest = self._latest
        if latest:
            try:
                binding = latest.pop()
            except IndexError:  # another thread has taken it
                return self._find_and_run(fixed, x)
            if binding.fixed is fixed and binding.enter(x):
                y = binding.result()
                latest.append(binding)
                return y
            latest.append(binding)
        return self._find_and_run(fixed, x)

    def _find_and_run(self, fixed: Any, x: Any) -> Any:
        if type(x) is not np.ndarray:
            return self.function(fixed, x)
        known, key = self._known  # read both at once: other threads write them
        leaves: list[Any] | None = None
        if known is not fixed:
            leaves = []
            structure = flatten(fixed, leaves)
            key = Key((structure, signature(leaves)))
            if only_tuples(structure):
                self._known = (fixed, key)
        try:
            program = self.programs[key, x.shape, x.dtype]
        except KeyError:
            return self._first(key, fixed, x)
        except TypeError as error:
            return self._unhashable(fixed, x, error)
        if program is None:
            return self.function(fixed, x)
        self._latest = program.idle
        try:
            return program(fixed, leaves, x)
        except _UnbindableError:
            return self.function(fixed, x)

    def _unhashable(self, fixed: Any, x: np.ndarray, error: TypeError) -> Any:
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(f"the function runs eagerly, uncompiled, because {error}", PlannerWarning, stacklevel=3)
        return self.function(fixed, x)

    def _first(self, key: Any, fixed: Any, x: np.ndarray) -> Any:
        """Make a program and compare its result with the eager one; eager while another thread does that."""
        leaves: list[Any] = []
        flatten(fixed, leaves)
        if len(self.programs) >= MAX_PROGRAMS or not x.dtype.isnative or not all(map(_is_readable_in_place, leaves)):
            return self.function(fixed, x)
        if not self._lock.acquire(blocking=False):
            return self.function(fixed, x)
        try:
            return self._plan_and_check(key, fixed, x)
        finally:
            self._lock.release()

    def _plan_and_check(self, key: Any, fixed: Any, x: np.ndarray) -> Any:
        start = perf_counter()
        y: Any = self.function(fixed, x) if self._check else None
        seconds = perf_counter() - start
        program, planned, why = None, None, ""
        try:
            program = _Inference(self.function, fixed, x, self._executor)
            planned = program(fixed, None, x)
            if self._check:
                leaves: list[np.ndarray] = []
                flatten((fixed, x), leaves)
                why = disagreement(program.plan, y, planned, (), leaves)
                if not why and (seconds < SLOW_STEP or not self.programs):
                    why = self._differs_on_synthetic(program, flatten(fixed, []), leaves)
        except Exception as error:
            what = "its plan fails" if program else "it cannot be traced"
            why = f"{what}: {type(error).__name__}: {error}"
        if why:
            warnings.warn(f"the function runs eagerly, uncompiled, because {why}", PlannerWarning, stacklevel=5)
            program = None
        self.programs[key, x.shape, x.dtype] = program
        if self._check:
            return y
        return planned if program else self.function(fixed, x)

    def _differs_on_synthetic(self, program: _Inference, structure: Any, arrays: list[np.ndarray]) -> str:
        def eager(leaves: list[np.ndarray]) -> Any:
            return self.function(unflatten(structure, iter(leaves[:-1])), leaves[-1])

        def planned(leaves: list[np.ndarray]) -> Any:
            leaves = [x.copy() for x in leaves]
            # A variable, because kernels have only the addresses of the binding's buffers.
            binding = _Binding(program, None, leaves[:-1], self._executor)
            return binding.run(leaves[-1])

        return differs_on_synthetic(eager, planned, program.plan, arrays, 0)


def accelerate(function: _Function, executor: str | Executor = "ufuncs", check: bool = True) -> Accelerated:
    """A faster ``function(fixed, x) -> y`` for NumPy's arrays, which consumes neither; y is new at every call.

    ``fixed`` is a tree of arrays that are the same from call to call; if it consists of tuples, the same tuple is
    recognised fastest. The arrays are read in place: a write into them has an effect. With ``check`` the first call of
    each kind runs eagerly too, on the arrays and on synthetic numbers like theirs, and the two must agree to rounding.
    Several threads can call at the same time. Raises ValueError if there is no such executor.
    """
    return Accelerated(function, executor_named(executor), check)


def _is_only_multiplied(plan: Plan, x: Node) -> bool:
    for unit in plan.units:
        if x in plan.reads(unit) and (
            unit.op != "matmul" or any(root(a) is x and a is not x for a in unit.outputs[0].args)
        ):
            return False
    return all(root(output) is not x for output in plan.outputs)


def _is_readable_in_place(array: Any) -> bool:
    """Whether an array can be read in place."""
    if type(array) is not np.ndarray:
        return False
    return array.dtype.isnative and array.flags.c_contiguous and array.flags.aligned
