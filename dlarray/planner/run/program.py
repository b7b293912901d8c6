"""A plan for one kind of arguments, and its binding to the arrays of one state, in one thread."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from operator import is_not
from typing import Any, Protocol

import numpy as np

from dlarray.core.trees import flatten, unflatten
from dlarray.device.description import Description, Names
from dlarray.planner.kernel.loops import Executor
from dlarray.planner.run.aliasing import ArrayMemory
from dlarray.planner.run.replay import Replay
from dlarray.planner.run.tree_code import builder, caller, matcher, reader
from dlarray.planner.schedule.step_plan import plan_step
from dlarray.planner.trace.collectives import silent

__all__ = ["NAMELESS", "NEVER", "Binding", "Library", "Program", "write_back"]

NAMELESS = Names()

NEVER = sys.maxsize
"""``Program.next_check`` after the last check."""

_Step = Callable[[Any, Any], tuple[Any, Any]]


class Program:
    """A plan for one structure of state and batch, with arrays of these shapes and dtypes."""

    def __init__(self, step: _Step, state: Any, batch: Any, executor: Executor) -> None:
        self.executor = executor
        found = plan_step(step, state, batch)
        self.plan, self.state_count, self.input_structures, self.output_structure = (
            found.plan,
            found.state_count,
            found.input_structures,
            found.output_structure,
        )
        self.build = builder(self.output_structure)
        self.in_place = found.keeps_state
        """Whether the next state is in the arrays of the state: computed there, or copied into them at the end."""
        self.loss_structure = found.loss_structure if self.in_place else None
        self.steps = 0
        """The steps since the first one."""
        self.next_check = NEVER
        """The step that is compared with the eager step again; 0 if the program is not to be used any more."""

    @property
    def communicates(self) -> bool:
        """Whether a step exchanges numbers with other ranks."""
        return bool(self.plan.graph.collectives)

    def silent(self) -> AbstractContextManager[Any]:
        """A ``with`` block in which neither the plan nor the eager step communicates."""
        return silent(self.plan.graph.collectives)

    def replay(self, state: Sequence[np.ndarray], batch: Sequence[np.ndarray]) -> Replay:
        """The plan on these leaves; it writes into the state's."""
        return Replay(self.plan, [*state, *batch], self.state_count, self.executor)

    def describe(self, names: Names = NAMELESS) -> Description:
        """What the plan does."""
        from dlarray.planner.report.describe import describe  # few steps are described

        return describe(self.plan, self.input_structures, self.output_structure, names)


class Binding:
    """A program bound to the arrays of one state, with its own buffers: for one thread."""

    def __init__(self, program: Program, state: Sequence[np.ndarray], batch: Sequence[np.ndarray]) -> None:
        self.program = program
        self._blank = [_reserved(a) for a in batch]  # stand for the batch between steps; never read
        self.replay = program.replay(state, self._blank)
        self.state = list(state)
        self.is_state = matcher(program.input_structures[0], state)
        """Whether a tree is that of the state, with the same arrays."""
        self._leaves_of = reader(program.input_structures[1], batch, outside=ArrayMemory(state))
        self.enter = _entered(self.replay, program.input_structures[1], self._leaves_of)
        """One more step on the same state if the batch is like the first one; else False, and nothing is computed."""
        self.enter_counted = _counted(program, self.enter)
        """The same for a program with a check to come: False too if it is due."""
        self.loss = _loss_reader(self.replay, program)
        """What the step has returned besides the state, if the program writes the state in place."""

    def is_on(self, state: Sequence[Any]) -> bool:
        """Whether it is bound to these arrays."""
        return not any(map(is_not, state, self.state))

    def reads(self, batch: Any) -> bool:
        """Whether it can read this batch: arrays like those of the first one, outside of the state's memory."""
        return self._leaves_of(batch) is not None

    def repeat(self, state: Any, batch: Any) -> Any:
        """One more step with the same state's arrays and a batch like the first one; None if they are not.

        None too if a check is due.
        """
        program = self.program
        if not self.is_state(state) or not self.enter_counted(batch):
            return None
        if program.in_place:  # the same arrays with new values
            return state, self.loss()
        return program.build(self.replay.outputs())

    def run(self, batch: Sequence[np.ndarray]) -> Any:
        """One step on the leaves of a batch."""
        self.replay(batch)
        return self.program.build(self.replay.outputs())

    def forget_batch(self) -> None:
        """Let go of the latest batch, which the calls keep alive."""
        self.replay.rebind(self._blank)

    def pieces(self, batch: Any) -> list[Callable[[], None]]:
        """The step in pieces, to be called in order; see ``Replay.pieces``."""
        leaves = self._leaves_of(batch)
        if leaves is None:
            raise ValueError("a program is split into pieces on a batch like the one that it was bound with")
        return self.replay.pieces(leaves)


def _reserved(a: np.ndarray) -> np.ndarray:
    """An array like a. A large one is address space alone: it takes memory only where it is read or written."""
    if a.nbytes < mmap.PAGESIZE:
        return np.empty(a.shape, a.dtype)
    return np.frombuffer(mmap.mmap(-1, a.nbytes), a.dtype).reshape(a.shape)


# Closures, not methods: a binding in a reference cycle would keep its buffers until the garbage collector runs.


def _entered(replay: Replay, structure: Any, leaves_of: Callable[[Any], list[Any] | None]) -> Callable[[Any], bool]:
    """``Binding.enter``."""

    def enter(batch: Any) -> bool:
        leaves = leaves_of(batch)
        if leaves is None:
            return False
        replay(leaves)
        return True

    return enter if replay.enter is None else caller(structure, replay.enter, enter)


def _counted(program: Program, enter: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """``Binding.enter_counted``."""

    def counted(batch: Any) -> bool:
        if program.steps + 1 >= program.next_check or not enter(batch):
            return False
        program.steps += 1
        return True

    return counted


def _loss_reader(replay: Replay, program: Program) -> Callable[[], Any]:
    """``Binding.loss``."""
    count, structure = program.state_count, program.loss_structure
    if structure is None and program.in_place:
        loss, is_callers = replay.results[count]
        if not loss.ndim and not is_callers:
            return lambda: loss[()]
    build = builder(structure)
    return lambda: build(replay.outputs(count))


class Library(Protocol):
    """What ``write_back`` needs to know about a library's arrays."""

    @property
    def arrays(self) -> tuple[type, ...]:
        """The types of its arrays."""
        ...

    def address_of(self, array: Any) -> int:
        """The address of an array's first number."""
        ...

    def shared_with(self, arrays: Sequence[Any]) -> Callable[[Any], bool]:
        """A function that says whether an array can share the memory of these."""
        ...


class _NumPy:
    arrays: tuple[type, ...] = (np.ndarray, np.generic)

    def address_of(self, array: Any) -> int:
        return array.ctypes.data

    def shared_with(self, arrays: Sequence[Any]) -> Callable[[Any], bool]:
        found: list[np.ndarray] = [a for a in arrays if isinstance(a, np.ndarray)]
        return ArrayMemory(found).shares


def write_back(
    result: Any,
    given: Sequence[Any],
    structure: Any,
    stays: bool,
    library: Library = _NumPy(),  # noqa: B008 - it is empty
) -> Any:
    """A step's result with its state in memory that planned steps can write: the given arrays' if it ``stays``.

    If the state has another structure, shape or dtype, or does not stay, it is copied: the next planned step must not
    write into arrays that the caller keeps.
    """
    leaves: list[Any] = []
    count = 0
    if isinstance(result, tuple) and len(result) == 2:  # pyright: ignore[reportUnknownArgumentType]
        stays = flatten(result[0], leaves, library.arrays) == structure and stays
        count = len(leaves)
        leaves = []
    whole = flatten(result, leaves, library.arrays)
    in_old, in_new = library.shared_with(given), library.shared_with(leaves[:count])
    copied: list[tuple[Any, Any]] = []
    for i, x in enumerate(leaves):
        own: Any = given[i] if stays and i < count else None
        if type(x) not in library.arrays:
            continue
        if i >= count:
            leaves[i] = x.copy() if in_old(x) or in_new(x) else x
        elif type(own) is type(x) and (own.shape, own.dtype) == (x.shape, x.dtype):
            leaves[i] = own
            if _location(own, library) != _location(x, library):
                copied.append((own, x.copy() if in_old(x) else x))
        else:
            leaves[i] = x.astype(x.dtype.newbyteorder("="), order="C")
    for own, x in copied:
        own[...] = x
    return unflatten(whole, iter(leaves))


def _location(x: Any, library: Library) -> Any:
    """An array's address and layout: the same for two views of the same memory."""
    return library.address_of(x), x.shape, x.strides, x.dtype.str
