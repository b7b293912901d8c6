"""Replay: a plan bound to arrays is a flat list of calls, repeated at every step.

The caller's arrays of the state are bound in place; for other arrays a new binding is made. The batch has other
addresses at every step: the arguments of calls are rebound to it. If the executor cannot rebind the inputs of kernels,
a leaf that kernels read is staged, that is copied into a fixed buffer, and a small leaf always is, because that costs
less than rebinding. An executor that joins calls does both in one call, ``Joined.enter``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from dlarray.planner.kernel.joining import BatchRead, BoundCall, Joined, Joiner, Rebindable, StepArrays
from dlarray.planner.kernel.loops import BoundKernel, Call, Executor
from dlarray.planner.run.arrays import contiguous, over_domain, view_of_leaf
from dlarray.planner.run.calls import EagerCall, Exchange
from dlarray.planner.run.planned_arrays import PlannedArrays
from dlarray.planner.run.sequence import failed_call, in_sequence
from dlarray.planner.schedule.memory import Location, Plan
from dlarray.planner.trace.node import Node, root

__all__ = ["Replay"]

STAGED = 16_384
"""The largest leaf of a batch, in bytes, that is always staged."""


class Replay(PlannedArrays):
    """A plan bound to the leaves of one state.

    ``leaves`` are all inputs of the step, the first ``state_count`` of the state, the rest of the batch. ``results``
    are the arrays of the outputs, each with whether it is the caller's.
    """

    def __init__(self, plan: Plan, leaves: Sequence[Any], state_count: int, executor: Executor) -> None:
        self._executor = executor
        super().__init__(plan, leaves, state_count, -1 if isinstance(executor, Joiner) else STAGED)
        self._reads: list[BatchRead] = []
        self._exchanges: dict[Node, Exchange] = {}
        first: list[BoundCall] = []
        self._calls: list[BoundCall] = []
        self.results, last = self._bind_outputs(first)
        self._first_calls = len(first)
        self._bounds: list[int] = []
        writes: list[int] = []
        starts: list[int] = []
        binders = {"group": self._bind_kernel, "concat": self._bind_concat}
        binders |= {"start": self._bind_start, "wait": self._bind_wait}
        for unit in plan.units:
            self._bounds.append(len(first) + len(self._calls))
            if any(n in plan.locations and plan.locations[n].kind == "input" for n in unit.outputs):
                writes.append(self._bounds[-1])
            binders.get(unit.op, self._bind_library)(unit)
            if unit.op == "start":
                starts.append(len(first) + len(self._calls) - 1)
        self._bounds.append(len(first) + len(self._calls))
        first_write = min([*writes, self._bounds[-1]])
        self._calls = [*first, *self._calls, *last]
        self._joined = self._join()
        self.calls = self._joined.calls
        """The calls of a step, except the copies of the batch."""
        self.enter = None if self.staged else self._joined.enter
        """See ``Joined.enter``; its arguments are the leaves of the batch."""
        self.many = None if self.staged else self._joined.many
        """See ``Joined.many``."""
        self._first_write = self._joined.starts[first_write]
        self._first_start = self._joined.starts[min([*starts, len(self._calls)])]
        self._run = in_sequence(self.calls)
        self._staged_copies = [(i - state_count, copy) for i, copy in self.staged.items()]

    @property
    def batch(self) -> list[np.ndarray]:
        """The leaves of the latest batch."""
        return self.leaves[self.state_count :]

    @property
    def nbytes(self) -> int:
        """The memory of its buffers."""
        return sum(self.plan.buffers)

    def _join(self, cuts: Sequence[int] = ()) -> Joined:
        """The calls, joined if the executor can do that."""
        state, others = self.results[: self.state_count], self.results[self.state_count :]
        keeps_state = len(state) == self.state_count and all(is_callers for _, is_callers in state)
        loss = others[0][0] if keeps_state and len(others) == 1 else None
        arrays = StepArrays(self.leaves[: self.state_count], self.batch, loss)
        if isinstance(self._executor, Joiner):
            return self._executor.join(self._calls, self._reads, arrays, cuts)
        return Joined(self._calls)

    def __call__(self, batch: Sequence[np.ndarray]) -> None:
        """One step on these leaves of the batch. The arrays of ``results`` hold its outputs."""
        if self._reads:
            self.rebind(batch)
        for i, copy in self._staged_copies:
            np.copyto(copy, batch[i])
        self._run()

    def has_written(self, error: BaseException) -> bool:
        """Whether the state can be partly written after this error in a step."""
        at = failed_call(error, self._run)
        return not isinstance(error, Exception) if at is None else at >= self._first_write

    def has_communicated(self, error: BaseException) -> bool:
        """Whether an exchange with other ranks can have been started before this error in a step."""
        at = failed_call(error, self._run)
        return at is not None and at >= self._first_start

    def rebind(self, batch: Sequence[np.ndarray]) -> None:
        """Rebind the large leaves of the batch. They stay alive until the next call.

        A leaf that is not contiguous is copied at every step, because its values can have changed.
        """
        self._rebind(self._joined, batch)

    def _rebind(self, joined: Joined, batch: Sequence[np.ndarray]) -> None:
        for leaf in {read.leaf for read in self._reads}:
            self.leaves[self.state_count + leaf] = contiguous(batch[leaf])
        for read in self._reads:
            joined.rebind(read, read.view(self.leaves[self.state_count + read.leaf]))

    def pieces(self, batch: Sequence[np.ndarray]) -> list[Callable[[], None]]:
        """The step on these leaves of the batch in pieces, to be called in order.

        They are the copies before, each unit of the plan, and the copies after.
        """
        joined = self._join(self._bounds)
        self._rebind(joined, batch)
        ends = [0, *(joined.starts[i] for i in self._bounds), len(joined.calls)]
        first, *others = [joined.calls[i:j] for i, j in pairwise(ends)]
        copied: list[BoundCall] = [(np.copyto, (copy, batch[i])) for i, copy in self._staged_copies]
        return [in_sequence(steps) for steps in ([*copied, *first], *others)]

    def outputs(self, start: int = 0) -> list[Any]:
        """The outputs from number ``start`` on: the caller's arrays, new arrays, or scalars."""
        return [a if is_callers else a[()] if a.ndim == 0 else a.copy() for a, is_callers in self.results[start:]]

    def handing_out(self) -> Callable[[], np.ndarray] | None:
        """A function that returns the only output, and gives the plan new memory for the next one.

        None if that is not possible: the output must have memory of its size, all of which is written at each step.
        """
        ((array, is_callers),) = self.results
        location = self.plan.locations.get(root(self.plan.outputs[0]))
        if is_callers or self._joined.mover is None or location is None or location.kind != "buffer":
            return None
        if not array.flags.c_contiguous:
            return None
        wholes = [self.plan.locations[whole].number for whole in self.wholes.values()]  # may have constant parts
        if self.plan.buffers[location.number] != array.nbytes or location.number in wholes:
            return None
        move = self._joined.mover(array)
        array = np.empty_like(array)
        move(array)

        def hand_out() -> np.ndarray:
            nonlocal array
            result, array = array, np.empty_like(array)
            move(array)
            return result

        return hand_out

    # Binding

    def _bind_kernel(self, unit: Any) -> None:
        """A kernel. Its inputs from the batch are staged, unless the executor can rebind them."""
        body = self.plan.bodies[unit]
        in_place = {i: n for i, n in enumerate(body.inputs) if self.is_read_in_place(n)}
        outputs = [
            over_domain(self.array(n), body.kernel.kind(v), body.domain)
            for n, v in zip(body.outputs, body.kernel.outputs, strict=True)
        ]

        def bound_to(find: Callable[[Node], np.ndarray]) -> BoundKernel:
            kinds = [given.kind for given in body.kernel.inputs]
            inputs = [over_domain(find(n), kind, body.domain) for n, kind in zip(body.inputs, kinds, strict=True)]
            return self._executor(Call(body.kernel, *body.domain, body.constants, inputs, outputs))

        bound = bound_to(self.array_now)
        if in_place and not bound.rebindable:
            bound = bound_to(self.array)
        else:
            for i, node in in_place.items():
                self._add_read(i, node, lambda x, kind=body.kernel.inputs[i].kind: over_domain(x, kind, body.domain))
        self._calls += bound.calls

    def _add_read(self, position: int, node: Node, shaped: Callable[[np.ndarray], np.ndarray]) -> None:
        """The next call reads, at a position, a view of a leaf of the batch."""
        leaf = int(root(node).attribute) - self.state_count
        self._reads.append(
            BatchRead(leaf, self._first_calls + len(self._calls), position, lambda x: shaped(view_of_leaf(x, node)))
        )

    def _bind_library(self, unit: Any) -> None:
        """A product, which writes into its output's memory, or an eager call, whose result is copied there."""
        node: Node = unit.outputs[0]
        for i, operand in enumerate(node.args):
            if self.is_read_in_place(operand):
                self._add_read(i, operand, lambda x: x)
        args: list[Any] = Rebindable(map(self.array_now, node.args))
        out = self.array(node)
        if node.op == "matmul":
            args.append(out)
            self._calls.append((np.dot, args))  # of two matrices the same call of BLAS as matmul, half a µs sooner
        else:
            self._calls.append((EagerCall(node, out), args))

    def _bind_concat(self, unit: Any) -> None:
        """Parts that are not computed in their slices are copied; constant ones only once."""
        node: Node = unit.outputs[0]
        whole, start = self.array(node), 0
        for part in node.args:
            target = whole[start : start + part.size]
            start += part.size
            if part.op in ("full", "index"):
                target[...] = self.array(part)
            elif self.plan.locations.get(root(part)) != Location("slice", node.number, start - part.size):
                self._bind_copy(target, part)

    def _bind_copy(self, target: np.ndarray, value: Node) -> None:
        if self.is_read_in_place(value):
            self._add_read(1, value, lambda x: x)
        self._calls.append((np.copyto, Rebindable([target, self.array_now(value)])))

    def _bind_start(self, unit: Any) -> None:
        """The start of a collective. This rank's array is copied to where it must be, unless it is there."""
        node: Node = unit.outputs[0]
        (given,) = node.args
        exchange = self._exchanges[node] = Exchange(node.attribute, self.array(node))
        array = self.array_now(given)
        if exchange.own is None:
            if self.is_read_in_place(given):
                self._add_read(0, given, lambda x: x)
        elif array.ctypes.data != exchange.own.ctypes.data:
            self._bind_copy(exchange.own, given)
        self._calls.append((exchange.start, Rebindable([array])))

    def _bind_wait(self, unit: Any) -> None:
        (start,) = unit.outputs[0].args
        if self._exchanges[start].own is not None:  # others are complete
            self._calls.append((self._exchanges[start].wait, ()))

    def _bind_outputs(self, first: list[BoundCall]) -> tuple[list[tuple[np.ndarray, bool]], list[BoundCall]]:
        """The array of each output with whether it is the caller's, and the calls that come last.

        An output that is an old value of the state, or a part of one, is saved before the state is written.
        """
        last: list[BoundCall] = []
        results: list[tuple[np.ndarray, bool]] = []
        for i, node in enumerate(self.plan.outputs):
            target = self.plan.donated.get(i)
            if target is not None and self.plan.is_in_place(i):
                results.append((self.leaves[int(target.attribute)], True))
                continue
            source = self.array(node)
            if root(node).op == "input" and root(node).attribute < self.state_count:
                saved = np.empty(node.shape, node.dtype)
                first.append((np.copyto, (saved, source)))
                source = saved
            if target is not None:
                last.append((np.copyto, (self.leaves[int(target.attribute)], source)))
                source = self.leaves[int(target.attribute)]
            results.append((source, target is not None))
        return results, last
