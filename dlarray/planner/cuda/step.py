"""``compile_on_gpu(step)``: a step for arrays on a GPU, proved at its first use and then repeated.

The first call of each program runs the plain step, and the plan on copies: launch by launch, with the epilogues that
are faster, and as a graph. The plain result is what the others are held against, a graph against the same launches bit
for bit. What does not agree is not used, and a warning says why.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from threading import RLock
from typing import Any

import numpy as np

from dlarray.core.trees import flatten, unflatten
from dlarray.planner.cuda.gpu import Gpu
from dlarray.planner.cuda.program import GpuProgram, Settings
from dlarray.planner.run.agreement import disagreement
from dlarray.planner.run.refusals import MAX_PROGRAMS, PlannerWarning
from dlarray.planner.run.tree_code import matcher, reader

__all__ = ["GpuStep", "Shapes", "compile_on_gpu", "shapes_of"]

_Step = Callable[[Any, Any], tuple[Any, Any]]
Shapes = tuple[tuple[tuple[int, ...], Any], ...]


class GpuStep:
    """A step that is planned for the shapes it meets. ``programs`` holds the plans; None where it runs plainly."""

    def __init__(self, step: _Step, gpu: Gpu, settings: Settings) -> None:
        self.step = step
        self.gpu = gpu
        self.settings = settings
        self.programs: dict[Any, GpuProgram | None] = {}
        self._bound: GpuProgram | None = None
        self._lock = RLock()
        self._told: set[str] = set()
        self._is_state: Callable[[Any], bool] = _nothing
        self._leaves_of: Callable[[Any], list[Any] | None] = _nothing

    def __call__(self, state: Any, batch: Any) -> tuple[Any, Any]:
        """The next state and the loss. Consumes the state. Threads wait for each other."""
        with self._lock:
            return self._step(state, batch)

    def _step(self, state: Any, batch: Any) -> tuple[Any, Any]:
        if self._bound is not None and self._is_state(state) and (leaves := self._leaves_of(batch)) is not None:
            return self._bound(state, leaves)
        new: list[Any] = []
        structure = flatten(batch, new, self.gpu.arrays)
        try:
            program = self.program_for(state, structure, shapes_of(new))
        except KeyError as unknown:
            return self._first(unknown.args[0], state, batch)
        if program is None or not self.takes(program, state, new):
            return self.step(state, batch)
        self._leaves_of = reader(program.given[1], new, self.gpu.arrays[0])
        return program(state, new)

    def program_for(self, state: Any, structure: Any, shapes: Shapes) -> GpuProgram | None:
        """The program for such a state, and a batch of this structure; None where the step runs plainly.

        Raises KeyError, with the program's key, where no such step was done yet.
        """
        old: list[Any] = []
        key = (flatten(state, old, self.gpu.arrays), structure, shapes_of(old), shapes)
        try:
            return self.programs[key]
        except TypeError as error:  # something in the trees cannot be hashed
            self._tell_once(str(error))
            return None

    def takes(self, program: GpuProgram, state: Any, batch: Sequence[Any]) -> bool:
        """Whether a program can be bound to a state, beside these arrays; it is then."""
        leaves: list[Any] = []
        flatten(state, leaves, self.gpu.arrays)
        if not self.can_be_bound(leaves, batch):
            return False
        self.bind(program, state, leaves)
        return True

    def bind(self, program: GpuProgram, state: Any, leaves: Sequence[Any]) -> None:
        """Bind a program to a state's arrays, if it is not."""
        if program is self._bound and self._is_state(state):
            return
        program.bind(leaves)
        try:
            program.record()
        except Exception as error:
            _warn(f"the step runs launch by launch, for it cannot be recorded: {type(error).__name__}: {error}")
        self._bound = program
        self._leaves_of = _nothing
        self._is_state = matcher(flatten(state, [], self.gpu.arrays), leaves)

    def can_be_bound(self, state: Sequence[Any], batch: Sequence[Any]) -> bool:
        """Whether the state's arrays lie in rows, and nothing else lies in their memory."""
        if any(self.gpu.in_rows(a) is not a for a in state):
            return False
        spans = sorted((self.gpu.address_of(a), self.gpu.address_of(a) + a.nbytes) for a in state if a.nbytes)
        if any(stop > start for (_, stop), (start, _) in pairwise(spans)):
            return False
        for a in batch:
            start = self.gpu.address_of(a)
            if any(start < stop and begin < start + a.nbytes for begin, stop in spans):
                return False
        return True

    def _first(self, key: Any, state: Any, batch: Any) -> tuple[Any, Any]:
        """Make a program and hold it against the plain step."""
        if len(self.programs) >= MAX_PROGRAMS:
            self._tell_once(f"it has {MAX_PROGRAMS} programs: shapes, types or Python numbers change from step to step")
            return self.step(state, batch)
        program: GpuProgram | None = None
        why = ""
        try:
            program = GpuProgram(self.step, state, batch, self.gpu, self.settings)
        except MemoryError:
            raise
        except Exception as error:
            why = f"it cannot be planned: {type(error).__name__}: {error}"
        proof = None if program is None else _Proof(self, program, state, batch)
        result = self.step(state, batch)
        if proof is not None:
            why = proof.against(result)
        if proof is None or why:
            _warn(f"the step runs eagerly, uncompiled, because {why}")
            self.programs[key] = None
            return result
        self.programs[key] = program
        return self._taken_over(proof.result, result, state)

    def _tell_once(self, why: str) -> None:
        if why not in self._told:
            self._told.add(why)
            _warn(f"the step runs eagerly, uncompiled, because {why}")

    def _taken_over(self, planned: Any, eager: Any, state: Any) -> Any:
        """What the plan gave, in the caller's arrays where the plain step has left its own result there."""
        given, ours, theirs = list[Any](), list[Any](), list[Any]()
        arrays = self.gpu.arrays
        flatten(state, given, arrays)
        structure = flatten(eager, ours, arrays)
        flatten(planned, theirs, arrays)
        own = {self._place(a): a for a in given if a.nbytes}
        leaves: list[Any] = []
        for x, y in zip(ours, theirs, strict=True):
            mine = own.get(self._place(x))
            if mine is not None and self.gpu.in_rows(mine) is mine:
                self.gpu.copy(self.gpu.address_of(mine), self.gpu.address_of(y), y.nbytes)
            leaves.append(y if mine is None else mine)
        return unflatten(structure, iter(leaves))

    def _place(self, x: Any) -> Any:
        """Where an array's numbers lie, and how: the same for two views of the same memory."""
        return self.gpu.address_of(x), x.shape, x.strides, x.dtype


class _Proof:
    """Runs a program on copies of what a step was given, and compares."""

    def __init__(self, owner: GpuStep, program: GpuProgram, state: Any, batch: Any) -> None:
        self._owner, self._program, self._gpu = owner, program, owner.gpu
        self._state, self._batch = list[Any](), list[Any]()
        arrays = owner.gpu.arrays
        flatten(state, self._state, arrays)
        flatten(batch, self._batch, arrays)
        self.before = [self._gpu.to_host(a) for a in self._state], [self._gpu.to_host(a) for a in self._batch]
        self._copies: list[Any] = [self._copied(x) for x in self.before[0]]
        self._tree = unflatten(program.given[0], iter(self._copies))
        self.result: Any = None

    def against(self, eager: Any) -> str:
        """Why the program must not be used; nothing where it may."""
        program = self._program
        expected = self._on_host(eager)
        try:
            program.bind(self._copies)
            if why := self._differs(expected, self._run()):
                return why
            if self._structure(eager) != self._structure(self.result):  # an array of another library among them
                return "the plan gives other kinds of arrays than the step"
            program.tune()
            launched = self._run_anew()
            if why := self._differs(expected, launched):
                _warn(f"kernels are run beside the products instead of epilogues in them, because {why}")
                program.tuning.taken = []
                launched = self._run_anew()
                if why := self._differs(expected, launched):
                    return why
            self._record(launched)
        except Exception as error:
            return f"its plan fails: {type(error).__name__}: {error}"
        return ""

    def _record(self, launched: Any) -> None:
        """Record, and run the graph; where it does not give what the launches gave, they are kept."""
        program = self._program
        self._restore()
        try:
            program.record()
            why = self._unequal(launched, self._run()) if program.recorded else program.unrecordable
        except Exception as error:
            why = f"it cannot be recorded: {type(error).__name__}: {error}"
        if why:
            _warn(f"the step runs launch by launch, because {why}")
            program.settings = Settings(program.settings.epilogues, graph=False)
        if why or not program.recorded:
            self._run_anew()

    def _run_anew(self) -> Any:
        """Bind and run, from the numbers at the beginning."""
        self._restore()
        self._program.bind(self._copies)
        return self._run()

    def _run(self) -> Any:
        self.result = self._program(self._tree, self._batch)
        return self._on_host(self.result)

    def _restore(self) -> None:
        for copy, numbers in zip(self._copies, self.before[0], strict=True):
            self._gpu.write(self._gpu.address_of(copy), numbers)

    def _copied(self, numbers: np.ndarray) -> Any:
        made = self._gpu.empty(numbers.shape, numbers.dtype)
        self._gpu.write(self._gpu.address_of(made), numbers)
        return made

    def _on_host(self, tree: Any) -> Any:
        leaves: list[Any] = []
        structure = flatten(tree, leaves, self._gpu.arrays)
        return unflatten(structure, iter([self._gpu.to_host(a) for a in leaves]))

    def _structure(self, tree: Any) -> Any:
        return flatten(tree, [], self._gpu.arrays)

    def _differs(self, expected: Any, found: Any) -> str:
        return disagreement(self._program.plan, expected, found, *self.before, self._gpu.coarseness)

    def _unequal(self, a: Any, b: Any) -> str:
        """Whether a graph gave other bits than the launches that it is made of."""
        xs, ys = list[Any](), list[Any]()
        flatten(a, xs)
        flatten(b, ys)
        same = all(x.tobytes() == y.tobytes() for x, y in zip(xs, ys, strict=True))
        return "" if same else "the graph gives other numbers than the launches that it was recorded from"


def compile_on_gpu(step: _Step, gpu: Gpu, settings: Settings = Settings()) -> GpuStep:  # noqa: B008 - it is frozen
    """A faster ``step(state, batch) -> (state, loss)`` for the arrays of a GPU. Consumes the state."""
    return GpuStep(step, gpu, settings)


def shapes_of(leaves: Sequence[Any]) -> Shapes:
    """The shape and dtype of each array."""
    return tuple([(tuple(a.shape), a.dtype) for a in leaves])


def _nothing(tree: Any) -> Any:
    return None


def _warn(what: str) -> None:
    warnings.warn(what, PlannerWarning, stacklevel=5)
