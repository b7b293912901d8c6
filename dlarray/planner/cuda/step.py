"""``compile_on_gpu(step)``: a step on a GPU's arrays, with a program for each kind of arguments.

A program is checked at its first step (``first_step``) and bound to the state's arrays from then on. Where there is
none, or where it cannot be bound, the step runs eagerly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import RLock
from typing import Any

from dlarray.core.trees import flatten
from dlarray.planner.cuda.first_step import FirstStep
from dlarray.planner.cuda.gpu import Gpu
from dlarray.planner.cuda.layout import GpuArrays
from dlarray.planner.cuda.program import GpuProgram, Settings
from dlarray.planner.run.program import write_back
from dlarray.planner.run.programs import Programs, Refusal, warn
from dlarray.planner.run.refusals import is_unhashable
from dlarray.planner.run.signature import Key, signature
from dlarray.planner.run.tree_code import matcher, reader

__all__ = ["GpuStep", "compile_on_gpu"]

_Step = Callable[[Any, Any], tuple[Any, Any]]


class GpuStep:
    """A planned step. ``programs`` holds its plans; None where it runs eagerly."""

    def __init__(self, step: _Step, gpu: Gpu, settings: Settings) -> None:
        self.step = step
        self.gpu = gpu
        self.settings = settings
        self.programs: Programs[GpuProgram] = Programs()
        self._arrays = GpuArrays(gpu)
        self._lock = RLock()
        self._bound: GpuProgram | None = None
        self._is_state: Callable[[Any], bool] = _nothing
        self._leaves_of: Callable[[Any], list[Any] | None] = _nothing

    def __call__(self, state: Any, batch: Any) -> tuple[Any, Any]:
        """The next state and the loss. Consumes the state. Threads wait for each other."""
        with self._lock:
            return self._step(state, batch)

    def _step(self, state: Any, batch: Any) -> tuple[Any, Any]:
        if self._bound is not None and self._is_state(state) and (leaves := self._leaves_of(batch)) is not None:
            return self._bound(state, leaves)
        old: list[Any] = []
        new: list[Any] = []
        structures = flatten(state, old, self.gpu.arrays), flatten(batch, new, self.gpu.arrays)
        try:
            program = self._known(structures, old, signature(new))
        except KeyError as unknown:
            return self._first(unknown.args[0], state, batch, old, new)
        if program is None or not self.takes(program, state, new):
            result = self.step(state, batch)
            return self._write_back(result, structures[0], old, new) if any(self.programs.values()) else result
        self._leaves_of = reader(program.input_structures[1], new, self.gpu.arrays[0])
        return program(state, new)

    def program_for(self, state: Any, structure: Any, batch_signature: tuple[Any, ...]) -> GpuProgram | None:
        """The program for such a state, and a batch of this structure and signature; None where the step runs eagerly.

        Raises KeyError, with the program's key, if no such step has run yet.
        """
        old: list[Any] = []
        return self._known((flatten(state, old, self.gpu.arrays), structure), old, batch_signature)

    def _known(
        self, structures: tuple[Any, Any], old: Sequence[Any], batch_signature: tuple[Any, ...]
    ) -> GpuProgram | None:
        key = Key((structures, signature(old), batch_signature))
        try:
            return self.programs[key]
        except TypeError as error:
            if not is_unhashable(structures):
                raise
            self.programs.warn_once(str(error))
            return None

    def takes(self, program: GpuProgram, state: Any, batch: Sequence[Any]) -> bool:
        """Whether a program can run on a state and these arrays of a batch. Binds it to the state if so."""
        leaves: list[Any] = []
        structure = flatten(state, leaves, self.gpu.arrays)
        if not self._arrays.are_bindable(leaves, [*batch, *program.captured]):
            return False
        if program is self._bound and self._is_state(state):
            return True
        program.bind(leaves)
        try:
            program.record()
        except Exception as error:
            warn(f"the step runs launch by launch, because it cannot be recorded: {type(error).__name__}: {error}")
        self._bound = program
        self._leaves_of = _nothing
        self._is_state = matcher(structure, leaves)
        return True

    def _first(self, key: Key, state: Any, batch: Any, old: Sequence[Any], new: Sequence[Any]) -> tuple[Any, Any]:
        """Make a program, and compare its first step with the eager step."""
        program = self.programs.plan(key, lambda: GpuProgram(self.step, state, batch, self.gpu, self.settings))
        if isinstance(program, Refusal):
            result = self.step(state, batch)
            self.programs.refuse(program)
        else:
            first = FirstStep(self.gpu, program, state, batch)
            result = self.programs.checked(key, program, first, self.step(state, batch))
        structure = key.of[0][0]
        return self._write_back(result, structure, old, new) if any(self.programs.values()) else result

    def _write_back(self, result: Any, structure: Any, old: Sequence[Any], new: Sequence[Any]) -> Any:
        return write_back(result, old, structure, self._arrays.are_bindable(old, new), self._arrays)


def compile_on_gpu(step: _Step, gpu: Gpu, settings: Settings = Settings()) -> GpuStep:  # noqa: B008 - it is frozen
    """A faster ``step(state, batch) -> (state, loss)`` for the arrays of a GPU. Consumes the state."""
    return GpuStep(step, gpu, settings)


def _nothing(tree: Any) -> Any:
    return None
