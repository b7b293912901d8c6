"""Many steps as one graph, on data that stay on the GPU: launching a graph costs more than a small step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np

from dlarray.core.trees import flatten, unflatten
from dlarray.planner.cuda.gathering import CELLS, Gathering
from dlarray.planner.cuda.gpu import Memory
from dlarray.planner.cuda.program import GpuProgram
from dlarray.planner.cuda.step import GpuStep
from dlarray.planner.run.refusals import PlannerWarning

__all__ = ["Repeated"]


class Repeated:
    """``(state, data, order, start, batch, count) -> (state, losses)``: that many steps on batches of ``data``.

    ``data`` is a tree like a batch, with all examples. Step i takes the ``batch`` examples from
    ``order[start + i · batch]`` on, or from number ``start + i · batch`` on if ``order`` is None. ``order`` is an int32
    vector on the GPU. Consumes the state; the losses are one vector. Up to ``steps`` steps are one graph. The first
    graph of each length must give the same bits as the same steps one by one, or it is dropped with a PlannerWarning.
    The first step of all runs alone, because it makes the program.

    Raises ValueError if there are too few examples, and TypeError if ``order`` has another dtype.
    """

    def __init__(self, step: GpuStep, steps: int) -> None:
        self.step = step
        self.steps = steps
        self.gpu = step.gpu
        self._cells: Memory = self.gpu.reserve(8 * 64)
        self._gatherings: dict[Any, Gathering] = {}
        self._graphs: dict[int, Callable[[], None]] = {}
        self._graphs_of: tuple[Any, ...] = ()
        self._refused: set[GpuProgram] = set()
        self._checked: set[Any] = set()

    def __call__(self, state: Any, data: Any, order: Any, start: int, batch: int, count: int) -> tuple[Any, Any]:
        leaves: list[Any] = []
        structure = flatten(data, leaves, self.gpu.arrays)
        work = _Work(structure, [self.gpu.in_rows(x) for x in leaves], order, start, batch, count)
        program: GpuProgram | None = None
        try:
            program = self._program(state, work)
        except KeyError:
            state, work = self._one_by_one(state, work, 1)
            with suppress(KeyError):  # raised if that step has changed the state's tree
                program = self._program(state, work)
        if program is not None and self.step.takes(program, state, work.leaves) and program.runs_alone:
            self._together(program, state, work)
        state, work = self._one_by_one(state, work, count)
        return state, work.losses

    def _program(self, state: Any, work: _Work) -> GpuProgram | None:
        """The program of such steps; None if they run eagerly. Raises KeyError if none has run yet."""
        shapes = tuple([(self.gpu.arrays[0], (work.batch, *x.shape[1:]), x.dtype) for x in work.leaves])
        return self.step.program_for(state, work.structure, shapes)

    def _together(self, program: GpuProgram, state: Any, work: _Work) -> None:
        """Run the steps as graphs, until one is refused."""
        loss = program.plan.outputs[-1].dtype
        if work.losses is None:
            work.losses = self.gpu.empty((work.count,), loss)
        gathering = self._gathering(work.leaves, loss)
        self._set_cells(work, work.start + work.done * work.batch, work.done, work.losses)
        while work.done < work.count and program not in self._refused:
            n = min(self.steps, work.count - work.done)
            if why := self._run(program, gathering, state, work, n):
                self._refused.add(program)
                what = f"steps are queued one by one, because of a graph of {n}, {why}"
                warnings.warn(what, PlannerWarning, stacklevel=5)
            else:
                work.done += n

    def _run(self, program: GpuProgram, gathering: Gathering, state: Any, work: _Work, n: int) -> str:
        """Run n steps as one graph. Returns why they were not run, "" if they were."""
        if (program, gathering, n) not in self._checked:
            return self._check_graph(program, gathering, state, work, n)
        try:
            graph = self._graph(program, gathering, work.batch, n)
        except Exception as error:
            return f"it fails: {type(error).__name__}: {error}"
        graph()
        return ""

    def _check_graph(self, program: GpuProgram, gathering: Gathering, state: Any, work: _Work, n: int) -> str:
        """Run n steps one by one, and again as a graph from the same state. Returns why the graph cannot be used.

        All kernels are launched before recording: CUDA must not load a kernel while it records.
        """
        gpu = self.gpu
        arrays: list[Any] = []
        flatten(state, arrays, gpu.arrays)
        cells = gpu.view(self._cells.address, (64,), (8,), np.dtype(np.int64))
        arrays += [cells, work.losses]
        before = [gpu.to_host(x) for x in arrays]

        def run(work: Callable[[], None]) -> list[np.ndarray]:
            for x, numbers in zip(arrays, before, strict=True):
                gpu.write(gpu.address_of(x), numbers)
            work()
            return [gpu.to_host(x) for x in arrays]

        alone = run(lambda: self._queue(program, gathering, work.batch, n))
        why = "it gives other numbers than the steps that it is made of"
        try:
            together = run(self._graph(program, gathering, work.batch, n))
        except Exception as error:
            together, why = [], f"it fails: {type(error).__name__}: {error}"
        if together and all(a.tobytes() == b.tobytes() for a, b in zip(alone, together, strict=True)):
            self._checked.add((program, gathering, n))
            return ""
        run(lambda: None)
        return why

    def _graph(self, program: GpuProgram, gathering: Gathering, batch: int, n: int) -> Callable[[], None]:
        """The graph of n steps, recorded at its first use after the program was bound."""
        key = (program, gathering, program.bindings, batch)
        if key != self._graphs_of:
            self._graphs_of, self._graphs = key, {}
        if n not in self._graphs:
            self._graphs[n] = self.gpu.record(lambda: self._queue(program, gathering, batch, n))
        return self._graphs[n]

    def _queue(self, program: GpuProgram, gathering: Gathering, batch: int, n: int) -> None:
        targets = [program.jobs.part(offset) for _, offset, _ in program.staged]
        loss = program.loss_address
        for i in range(n):
            gathering.fetch(self._cells.address, loss, i, batch, targets)
            program.launch()
        gathering.advance(self._cells.address, loss, n, batch)

    def _one_by_one(self, state: Any, work: _Work, until: int) -> tuple[Any, _Work]:
        gpu = self.gpu
        for i in range(work.done, until):
            state, loss = self.step(state, self._next_batch(work, i))
            if work.losses is None:
                work.losses = gpu.empty((work.count,), loss.dtype)
            gpu.copy(gpu.address_of(work.losses) + i * loss.nbytes, gpu.address_of(loss), loss.nbytes)
            work.done += 1
        return state, work

    def _next_batch(self, work: _Work, i: int) -> Any:
        """The batch of a step, in new arrays."""
        made = [self.gpu.empty((work.batch, *x.shape[1:]), x.dtype) for x in work.leaves]
        self._set_cells(work, work.start + i * work.batch, 0, None)
        targets = [self.gpu.address_of(x) for x in made]
        gathering = self._gathering(work.leaves, np.dtype(np.float32))
        gathering.fetch(self._cells.address, 0, 0, work.batch, targets)
        return unflatten(work.structure, iter(made))

    def _gathering(self, leaves: Sequence[Any], loss: np.dtype[Any]) -> Gathering:
        widths = tuple(x.nbytes // x.shape[0] for x in leaves)
        aligned = gcd(16, *(self.gpu.address_of(x) for x in leaves))
        key = (widths, aligned, loss)
        if key not in self._gatherings:
            self._gatherings[key] = Gathering(self.gpu, widths, aligned, loss)
        return self._gatherings[key]

    def _set_cells(self, work: _Work, position: int, written: int, losses: Any) -> None:
        known = [0 if x is None else self.gpu.address_of(x) for x in (losses, work.order)]
        cells = [position, written, *known, *map(self.gpu.address_of, work.leaves)]
        assert len(cells) == CELLS + len(work.leaves)
        self.gpu.write(self._cells.address, np.array(cells, np.int64))


@dataclass
class _Work:
    """The steps to run, and how many have run."""

    structure: Any
    leaves: list[Any]
    order: Any
    start: int
    batch: int
    count: int
    done: int = 0
    losses: Any = None

    def __post_init__(self) -> None:
        if self.order is not None and self.order.dtype != np.int32:
            raise TypeError(f"order must be an int32 vector, got {self.order.dtype}")
        there = {x.shape[0] for x in (self.leaves if self.order is None else [self.order])}
        if len(there) != 1 or self.start < 0 or self.start + self.batch * self.count > min(there):
            wanted = f"{self.count} batches of {self.batch} from {self.start} on"
            raise ValueError(f"there are {sorted(there)} examples, not enough for {wanted}")
