"""A plan as jobs for a GPU: the calls that each unit queues, with all addresses filled in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dlarray.planner.cuda.arena import Arena, in_rows, span
from dlarray.planner.cuda.gpu import Gpu, Matrix, Product
from dlarray.planner.cuda.launch import head
from dlarray.planner.cuda.printer import source
from dlarray.planner.cuda.spread import grids, workspace
from dlarray.planner.kernel.head import ArrayAt
from dlarray.planner.kernel.joining import BoundCall
from dlarray.planner.schedule.lowering import Body
from dlarray.planner.schedule.memory import Plan
from dlarray.planner.schedule.order import Unit
from dlarray.planner.trace.calls import broadcast, concatenate, convert, copy
from dlarray.planner.trace.functions import named
from dlarray.planner.trace.node import Node, is_dense, root

__all__ = ["Job", "Jobs"]

ALGORITHMS = 8
"""How many algorithms are tried for a product."""
MOST_JOINED = 8
"""So many arrays are joined by copies on the GPU; for more CuPy sends it a table."""
RECORDABLE = {broadcast, convert, copy} | named(
    *("all", "amax", "amin", "any", "argmax", "argmin", "broadcast_to", "clip", "copy", "cumsum", "cumulative_sum"),
    *("diff", "flip", "max", "mean", "min", "prod", "repeat", "roll", "std", "sum", "swapaxes", "take"),
    *("take_along_axis", "tile", "var", "where"),
).keys()
"""Functions that only launch kernels. Others, such as a sort, may wait for the GPU or send numbers."""


@dataclass
class Job:
    """The calls of one unit. ``recordable``: a graph can hold all of them."""

    title: str
    steps: list[BoundCall] = field(default_factory=list[BoundCall])
    recordable: bool = True

    def __call__(self) -> None:
        for function, args in self.steps:
            function(*args)


class Jobs:
    """Makes the jobs of a plan. ``nbytes`` is all the memory that it needs on the GPU in addition to the state.

    ``first`` runs before the jobs of the units: it saves old values that are to be returned, before anything is
    written. ``last`` runs after them: it copies to the caller's arrays what could not be computed there.
    """

    def __init__(self, plan: Plan, state_count: int, gpu: Gpu) -> None:
        self.plan = plan
        self.gpu = gpu
        self.state_count = state_count
        self.arena = Arena(plan, state_count)
        self._saved = {i: self.arena.part(n.nbytes) for i, n in enumerate(plan.outputs) if self._is_old(i, n)}
        self._touch_all()
        self._workspace, self._scratch = 0, 0
        self.widen(plan.bodies.values())
        self.first = Job("saving old values")
        self.last = Job("writing back the outputs")
        self.state: list[Any] = []
        self._results: list[Callable[[], Any]] = []
        self._base = 0

    @property
    def nbytes(self) -> int:
        """The bytes of the arena."""
        return self.arena.nbytes

    def set_addresses(self, base: int, state: Sequence[Any]) -> None:
        """Set the address of the arena and the arrays of the state, and write the constants."""
        self._base = base
        self.state = list(state)
        for offset, numbers in self.arena.uploads:
            self.gpu.write(base + offset, numbers)
        self._frame()

    def address(self, node: Node) -> int:
        """The address of a value."""
        if (array := self.arena.captured(root(node))) is not None:
            return self.gpu.address_of(array) + span(node).start
        number, start = self.arena.location(node)
        return start + (self._base if number is None else self.gpu.address_of(self.state[number]))

    def part(self, offset: int) -> int:
        """The address of a part of the arena."""
        return self._base + offset

    def job(self, unit: Unit) -> Job:
        """The job of a unit without options."""
        makers = {"group": self._kernel, "matmul": self._product, "concat": self._concat}
        return makers.get(unit.op, self._call)(unit)

    # Kernels

    def _kernel(self, unit: Unit) -> Job:
        return self.kernel(self.plan.bodies[unit])

    def kernel(self, body: Body) -> Job:
        """The job of a kernel."""
        kernel, (rows, cols) = body.kernel, body.domain
        processors = self.gpu.processors
        shapes = {"E": (rows, cols), "R": (1, cols), "C": (rows, 1), "S": (1, 1)}
        arrays: list[ArrayAt] = []
        for node, given in zip(body.inputs, kernel.inputs, strict=True):
            strides = span(node, shapes[given.kind]).strides if not given.dense else (0, 0)
            row, column = (s // node.dtype.itemsize for s in strides)
            arrays.append(ArrayAt(self.address(node), (row, column)))
        arrays += [ArrayAt(self.address(node)) for node in body.outputs]
        work = grids(kernel, rows, cols, processors)
        words = head(
            kernel, rows, cols, body.constants, arrays, self.part(self._workspace), work[0].warps if work else 0
        )
        functions = self.gpu.compile(source(kernel), [grid.name for grid in work])
        job = Job(f"kernel over {rows} × {cols}")
        job.steps = [(self.gpu.launch, (f, grid, words)) for f, grid in zip(functions, work, strict=True)]
        return job

    def widen(self, bodies: Iterable[Body]) -> None:
        """Make the workspace that all kernels share large enough for these too: a smaller kernel can need more."""
        processors = self.gpu.processors
        needed = max((workspace(body.kernel, *body.domain, processors) for body in bodies), default=0)
        if needed > self._scratch:
            self._workspace, self._scratch = self.arena.part(needed), needed

    # Products

    def _product(self, unit: Unit) -> Job:
        product = self.product(unit)
        found = self.gpu.algorithms(product, ALGORITHMS) if product is not None else []
        if found:
            return Job("product", [(found[0], ())])
        return self._call(unit)

    def product(self, unit: Unit) -> Product | None:
        """The product of a unit; None if the layout of an operand is none that cublasLt takes."""
        node = unit.outputs[0]
        a, b = map(self._matrix, node.args)
        if a is None or b is None:
            return None
        (m, n), k = node.shape, node.args[0].shape[1]
        return Product(m, n, k, node.dtype.name, a, b, self.address(node))

    def _matrix(self, node: Node) -> Matrix | None:
        (rows, cols), item = node.shape, node.dtype.itemsize
        row, column = (s // item for s in span(node).strides)
        if (column == 1 or cols == 1) and (row >= cols or rows == 1):
            return Matrix(self.address(node), row if rows > 1 else cols)
        if (row == 1 or rows == 1) and (column >= rows or cols == 1):
            return Matrix(self.address(node), column if cols > 1 else rows, transposed=True)
        return None

    # The rest

    def _concat(self, unit: Unit) -> Job:
        """Parts that are not computed in their slices are copied; constant parts once, now."""
        node = unit.outputs[0]
        job = Job("concatenation")
        start = 0
        for part in node.args:
            target = self.address(node) + start * node.dtype.itemsize
            if part.op in ("full", "index"):
                self.gpu.copy(target, self.address(part), part.nbytes)
            elif self.address(part) != target or not is_dense(part):
                self._move(job, part, target)
            start += part.size
        return job

    def copied(self, node: Node, target: int) -> BoundCall:
        """The call that copies a value to an address, row-major."""
        if is_dense(node):
            return (self.gpu.copy, (target, self.address(node), node.nbytes))
        return (_assign, (self.gpu.view(target, node.shape, in_rows(node), node.dtype), self.seen(node)))

    def seen(self, node: Node) -> Any:
        """A view of a value as an array of the library."""
        return self.gpu.view(self.address(node), node.shape, span(node).strides, node.dtype)

    def _call(self, unit: Unit) -> Job:
        """An eager call of the library. A graph can hold it if it only launches kernels."""
        node = unit.outputs[0]
        function: Callable[..., Any] = np.matmul if unit.op == "matmul" else node.attribute
        args = (function, self.seen(node), *map(self.seen, node.args))
        called = function if unit.op == "matmul" else node.attribute.function
        title = getattr(called, "__name__", "an eager call")
        joins = called in (concatenate, *named("concatenate", "stack")) and len(node.args) <= MOST_JOINED
        recordable = joins or called in RECORDABLE or (isinstance(called, np.ufunc) and called is not np.matmul)
        return Job(title, [(self.gpu.call, (_eager, *args))], recordable=recordable)

    # The state and the outputs

    def _is_old(self, i: int, node: Node) -> bool:
        """Whether an output is an old value of the state that does not stay in its own array."""
        base = root(node)
        return base.op == "input" and int(base.attribute) < self.state_count and not self._is_own(i)

    def _is_own(self, i: int) -> bool:
        """Whether the units compute an output in the caller's array."""
        return i in self.plan.donated and self.plan.is_in_place(i)

    def _touch_all(self) -> None:
        """Give each value that is read its part of the arena."""
        for unit in self.plan.units:
            body = self.plan.bodies.get(unit)
            for node in (*(body.inputs if body else unit.outputs[0].args), *unit.outputs):
                self.arena.touch(node)
        for node in self.plan.outputs:
            self.arena.touch(node)

    def _frame(self) -> None:
        self.first, self.last = Job("saving old values"), Job("writing back the outputs")
        for i, offset in self._saved.items():
            self._move(self.first, self.plan.outputs[i], self.part(offset))
        for i, node in enumerate(self.plan.outputs):
            target = self.plan.donated.get(i)
            if target is None or self._is_own(i):
                continue
            goal = self.gpu.address_of(self.state[int(target.attribute)])
            if i in self._saved:
                self.last.steps.append((self.gpu.copy, (goal, self.part(self._saved[i]), node.nbytes)))
            else:
                self._move(self.last, node, goal)
        self._results = [self._output(i, node) for i, node in enumerate(self.plan.outputs)]

    def _move(self, job: Job, node: Node, target: int) -> None:
        job.steps.append(self.copied(node, target))
        job.recordable &= is_dense(node)

    def outputs(self, start: int = 0) -> list[Any]:
        """The arrays of the outputs from number ``start`` on: the caller's own, or new ones."""
        return [made() for made in self._results[start:]]

    def _output(self, i: int, node: Node) -> Callable[[], Any]:
        """A function that makes the array of an output. It is called at every step, so all else is computed here."""
        target = self.plan.donated.get(i)
        if target is not None:
            own = self.state[int(target.attribute)]
            return lambda: own
        gpu, shape, dtype, nbytes = self.gpu, node.shape, node.dtype, node.nbytes
        if i not in self._saved and not is_dense(node):
            seen = self.seen(node)

            def copied() -> Any:
                made = gpu.empty(shape, dtype)
                made[...] = seen
                return made

            return copied
        source = self.part(self._saved[i]) if i in self._saved else self.address(node)

        def moved() -> Any:
            made = gpu.empty(shape, dtype)
            gpu.copy(gpu.address_of(made), source, nbytes)
            return made

        return moved


def _assign(target: Any, value: Any) -> None:
    target[...] = value


def _eager(function: Callable[..., Any], out: Any, *args: Any) -> None:
    result = function(*args)
    if tuple(result.shape) != tuple(out.shape):
        raise RuntimeError(f"{function} returned shape {result.shape}, expected {out.shape}")
    out[...] = result
