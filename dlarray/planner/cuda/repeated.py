"""Many steps as one graph, on data that stay on the card: the launch of a graph costs more than a small step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from math import gcd
from typing import Any

import numpy as np

from dlarray.planner.compiled import PlannerWarning
from dlarray.planner.cuda.card import Memory
from dlarray.planner.cuda.gathering import CELLS, Gathering
from dlarray.planner.cuda.program import CardProgram
from dlarray.planner.cuda.step import OnCard
from dlarray.planner.trees import flatten, unflatten

__all__ = ["Repeated"]


class Repeated:
    """``(state, data, order, start, batch, count) -> (state, losses)``: that many steps on batches of ``data``.

    ``data`` is a tree like a batch with all examples in it. Step i takes the examples ``order[start + i · batch]`` and
    those that follow, or, where ``order`` is None, those at these places themselves. ``order`` is an int32 vector on
    the card. Consumes the state; the losses are one vector. Up to ``steps`` steps are one graph; the first such graph
    is held against the same steps one by one, bit for bit, and dropped with a PlannerWarning where it differs.
    """

    def __init__(self, step: OnCard, steps: int) -> None:
        self.step = step
        self.steps = steps
        self.card = step.card
        self._cells: Memory = self.card.reserve(8 * 64)
        self._gatherings: dict[Any, Gathering] = {}
        self._graphs: dict[int, Callable[[], None]] = {}
        self._graphs_of: tuple[Any, ...] = ()
        self._launched: set[Gathering] = set()
        self._refused: set[Any] = set()
        self._proved: set[Any] = set()

    def __call__(self, state: Any, data: Any, order: Any, start: int, batch: int, count: int) -> tuple[Any, Any]:
        card = self.card
        leaves: list[Any] = []
        structure = flatten(data, leaves, card.arrays)
        leaves = [card.in_rows(x) for x in leaves]
        given = self._next_batch(leaves, structure, order, start, batch)
        state, loss = self.step(state, given)  # makes the program, and proves it
        losses = card.empty((count,), loss.dtype)
        card.copy(card.address_of(losses), card.address_of(loss), loss.nbytes)
        if count > 1:
            self._set_cells(leaves, order, start + batch, 1, losses)
            state = self._go_on(state, given, leaves, structure, order, start, batch, count, losses)
        return state, losses

    def _go_on(
        self,
        state: Any,
        given: Any,
        leaves: list[Any],
        structure: Any,
        order: Any,
        start: int,
        batch: int,
        count: int,
        losses: Any,
    ) -> Any:
        """The steps after the first."""
        program = self.step.program_of(state, given)
        if program is None or not program.runs_alone or (program, self.steps) in self._refused:
            return self._one_by_one(state, leaves, structure, order, start, batch, count, losses)
        gathering = self._gathering(leaves, losses.dtype)
        left = count - 1
        while left:
            n = min(self.steps, left)
            if n == self.steps and (program, n) not in self._proved:
                if not self._prove(program, gathering, state, batch, n):
                    self._refused.add((program, self.steps))
                    self._set_cells(leaves, order, start + (count - left) * batch, count - left, losses)
                    return self._one_by_one(state, leaves, structure, order, start, batch, count, losses, count - left)
            else:
                self._run(program, gathering, batch, n)
            left -= n
        return state

    def _prove(self, program: CardProgram, gathering: Gathering, state: Any, batch: int, n: int) -> bool:
        """Run n steps one by one, and again as a graph from the same state: whether the bits are the same."""
        card = self.card
        arrays: list[Any] = []
        flatten(state, arrays, card.arrays)
        cells = card.view(self._cells.address, (64,), (8,), np.dtype(np.int64))
        before = [card.to_host(x) for x in (*arrays, cells)]

        def run(work: Callable[[], None]) -> list[np.ndarray]:
            for x, numbers in zip((*arrays, cells), before, strict=True):
                card.write(card.address_of(x), numbers)
            work()
            return [card.to_host(x) for x in (*arrays, cells)]

        alone = run(lambda: self._queue(program, gathering, batch, n))
        why = "it gives other numbers than the steps that it is made of"
        try:
            together = run(self._graph(program, gathering, batch, n))
        except Exception as error:
            together, why = [], f"it fails: {type(error).__name__}: {error}"
        if together and all(a.tobytes() == b.tobytes() for a, b in zip(alone, together, strict=True)):
            self._proved.add((program, n))
            return True
        warnings.warn(f"steps are queued one by one, because of a graph of {n}, {why}", PlannerWarning, stacklevel=6)
        run(lambda: None)
        return False

    def _graph(self, program: CardProgram, gathering: Gathering, batch: int, n: int) -> Callable[[], None]:
        """The graph of n steps, recorded when it is first asked for after the program was bound."""
        key = (program, gathering, program.bindings, batch)
        if key != self._graphs_of:
            self._graphs_of, self._graphs = key, {}
        if n not in self._graphs:
            self._graphs[n] = self.card.record(lambda: self._queue(program, gathering, batch, n))
        return self._graphs[n]

    def _run(self, program: CardProgram, gathering: Gathering, batch: int, n: int) -> None:
        """n steps; at first launch by launch, for then kernels are loaded, which must not happen while recording."""
        if gathering in self._launched:
            self._graph(program, gathering, batch, n)()
        else:
            self._queue(program, gathering, batch, n)
            self._launched.add(gathering)

    def _queue(self, program: CardProgram, gathering: Gathering, batch: int, n: int) -> None:
        targets = [program.jobs.part(offset) for _, offset, _ in program.staged]
        loss = program.loss_address
        for i in range(n):
            gathering.fetch(self._cells.address, loss, i, batch, targets)
            program.launch()
        gathering.advance(self._cells.address, loss, n, batch)

    def _one_by_one(
        self,
        state: Any,
        leaves: list[Any],
        structure: Any,
        order: Any,
        start: int,
        batch: int,
        count: int,
        losses: Any,
        done: int = 1,
    ) -> Any:
        card = self.card
        for i in range(done, count):
            state, loss = self.step(state, self._next_batch(leaves, structure, order, start + i * batch, batch))
            card.copy(card.address_of(losses) + i * loss.nbytes, card.address_of(loss), loss.nbytes)
        return state

    def _next_batch(self, leaves: list[Any], structure: Any, order: Any, start: int, batch: int) -> Any:
        """A batch in arrays of its own."""
        made = [self.card.empty((batch, *x.shape[1:]), x.dtype) for x in leaves]
        self._set_cells(leaves, order, start, 0, None)
        targets = [self.card.address_of(x) for x in made]
        self._gathering(leaves, np.dtype(np.float32)).fetch(self._cells.address, 0, 0, batch, targets)
        return unflatten(structure, iter(made))

    def _gathering(self, leaves: Sequence[Any], loss: np.dtype[Any]) -> Gathering:
        widths = tuple(x.nbytes // x.shape[0] for x in leaves)
        aligned = gcd(16, *(self.card.address_of(x) for x in leaves))
        key = (widths, aligned, loss)
        if key not in self._gatherings:
            self._gatherings[key] = Gathering(self.card, widths, aligned, loss)
        return self._gatherings[key]

    def _set_cells(self, leaves: Sequence[Any], order: Any, position: int, written: int, losses: Any) -> None:
        known = [0 if x is None else self.card.address_of(x) for x in (losses, order)]
        cells = [position, written, *known, *map(self.card.address_of, leaves)]
        assert len(cells) == CELLS + len(leaves)
        self.card.write(self._cells.address, np.array(cells, np.int64))
