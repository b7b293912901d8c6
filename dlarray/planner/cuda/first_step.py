"""The first step of a program on a GPU, compared with the eager step before the program is used.

On copies of the state the plan runs as launches, with the epilogues that are faster, and as a graph. The launches
must agree with the eager step; a graph must give the same bits as the launches. What does not agree is not used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlarray.core.trees import flatten, unflatten
from dlarray.planner.cuda.gpu import Gpu
from dlarray.planner.cuda.program import GpuProgram, Settings
from dlarray.planner.run.agreement import disagreement
from dlarray.planner.run.programs import warn

__all__ = ["FirstStep"]


class FirstStep:
    """Runs a program on copies of a state. Made before the eager step, which can write into the state."""

    def __init__(self, gpu: Gpu, program: GpuProgram, state: Any, batch: Any) -> None:
        self._gpu, self._program = gpu, program
        given, self._batch = list[Any](), list[Any]()
        flatten(state, given, gpu.arrays)
        flatten(batch, self._batch, gpu.arrays)
        self._before = [gpu.to_host(a) for a in given], [gpu.to_host(a) for a in self._batch]
        self._copies: list[Any] = [self._copy(x) for x in self._before[0]]
        self._state = unflatten(program.input_structures[0], iter(self._copies))
        self.planned: Any = None

    def disagreement(self, eager: Any) -> str:
        """Why the program must not be used, given what the eager step has returned; "" if it can be used."""
        program = self._program
        expected = self._on_host(eager)
        try:
            program.bind(self._copies)
            if why := self._differs(expected, self._run()):
                return why
            if self._structure(eager) != self._structure(self.planned):  # an array of another library among them
                return "the plan gives other kinds of arrays than the step"
            program.tune()
            launched = self._rerun()
            if why := self._differs(expected, launched):
                warn(f"the products run without epilogues, because {why}")
                program.tuning.taken = []
                launched = self._rerun()
                if why := self._differs(expected, launched):
                    return why
            self._record(launched)
        except Exception as error:
            return f"its plan fails: {type(error).__name__}: {error}"
        return ""

    def _record(self, launched: Any) -> None:
        """Record and run the graph. Where it differs from the launches, the program goes on with launches."""
        program = self._program
        self._restore()
        try:
            program.record()
            why = self._unequal(launched, self._run()) if program.recorded else program.unrecordable
        except Exception as error:
            why = f"it cannot be recorded: {type(error).__name__}: {error}"
        if why:
            warn(f"the step runs launch by launch, because {why}")
            program.settings = Settings(program.settings.epilogues, graph=False)
        if why or not program.recorded:
            self._rerun()

    def _rerun(self) -> Any:
        """Bind again and run, from the numbers before the step."""
        self._restore()
        self._program.bind(self._copies)
        return self._run()

    def _run(self) -> Any:
        self.planned = self._program(self._state, self._batch)
        return self._on_host(self.planned)

    def _restore(self) -> None:
        for copy, numbers in zip(self._copies, self._before[0], strict=True):
            self._gpu.write(self._gpu.address_of(copy), numbers)

    def _copy(self, numbers: np.ndarray) -> Any:
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
        return disagreement(self._program.plan, expected, found, *self._before, self._gpu.coarseness)

    def _unequal(self, launched: Any, recorded: Any) -> str:
        """Whether a graph gave other bits than the launches that it was recorded from."""
        xs, ys = list[Any](), list[Any]()
        flatten(launched, xs)
        flatten(recorded, ys)
        same = all(x.tobytes() == y.tobytes() for x, y in zip(xs, ys, strict=True))
        return "" if same else "the graph gives other numbers than the launches that it was recorded from"
