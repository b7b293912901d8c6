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

from dlarray.planner.kernel.buffer import aligned
from dlarray.planner.kernel.joining import BatchRead, BoundCall, Joined, Joiner, Rebindable, StepArrays
from dlarray.planner.kernel.loops import BoundKernel, Call, Executor
from dlarray.planner.run.arrays import contiguous, over_domain, view_of_leaf
from dlarray.planner.run.sequence import failed_call, in_sequence
from dlarray.planner.schedule.memory import Location, Plan
from dlarray.planner.trace.node import LEAVES, VIEWS, Node, root, view_of

__all__ = ["Replay"]

STAGED = 16_384
"""The largest leaf of a batch, in bytes, that is always staged."""


class Replay:
    """A plan bound to the leaves of one state.

    ``leaves`` are all inputs of the step, the first ``state_count`` of the state, the rest of the batch. ``results``
    are the arrays of the outputs, each with whether it is the caller's.
    """

    def __init__(self, plan: Plan, leaves: Sequence[Any], state_count: int, executor: Executor) -> None:
        self.plan = plan
        self.leaves: list[np.ndarray] = [*leaves[:state_count], *map(contiguous, leaves[state_count:])]
        self._state_count = state_count
        self._executor = executor
        self._buffers = [aligned(n) for n in plan.buffers]
        self._wholes = {u.outputs[0].number: u.outputs[0] for u in plan.units if u.op == "concat"}
        self._arrays: dict[Node, np.ndarray] = {}
        self._staged: dict[int, np.ndarray] = {}
        self._least = -1 if isinstance(executor, Joiner) else STAGED
        self._reads: list[BatchRead] = []
        first: list[BoundCall] = []
        self._calls: list[BoundCall] = []
        self.results, last = self._bind_outputs(first)
        self._first_calls = len(first)
        self._bounds: list[int] = []
        writes: list[int] = []
        for unit in plan.units:
            self._bounds.append(len(first) + len(self._calls))
            if any(n in plan.locations and plan.locations[n].kind == "input" for n in unit.outputs):
                writes.append(self._bounds[-1])
            bind = {"group": self._bind_kernel, "concat": self._bind_concat}.get(unit.op, self._bind_library)
            bind(unit)
        self._bounds.append(len(first) + len(self._calls))
        first_write = min([*writes, self._bounds[-1]])
        self._calls = [*first, *self._calls, *last]
        self._joined = self._join()
        self.calls = self._joined.calls
        """The calls of a step, except the copies of the batch."""
        self.enter = None if self._staged else self._joined.enter
        """See ``Joined.enter``; its arguments are the leaves of the batch."""
        self.many = None if self._staged else self._joined.many
        """See ``Joined.many``."""
        self._first_write = self._joined.starts[first_write]
        self._run = in_sequence(self.calls)
        self._staged_copies = [(i - state_count, copy) for i, copy in self._staged.items()]

    @property
    def batch(self) -> list[np.ndarray]:
        """The leaves of the latest batch."""
        return self.leaves[self._state_count :]

    def _join(self, cuts: Sequence[int] = ()) -> Joined:
        """The calls, joined if the executor can do that."""
        state, others = self.results[: self._state_count], self.results[self._state_count :]
        keeps_state = len(state) == self._state_count and all(is_callers for _, is_callers in state)
        loss = others[0][0] if keeps_state and len(others) == 1 else None
        arrays = StepArrays(self.leaves[: self._state_count], self.batch, loss)
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

    def rebind(self, batch: Sequence[np.ndarray]) -> None:
        """Rebind the large leaves of the batch. They stay alive until the next call.

        A leaf that is not contiguous is copied at every step, because its values can have changed.
        """
        self._rebind(self._joined, batch)

    def _rebind(self, joined: Joined, batch: Sequence[np.ndarray]) -> None:
        for leaf in {read.leaf for read in self._reads}:
            self.leaves[self._state_count + leaf] = contiguous(batch[leaf])
        for read in self._reads:
            joined.rebind(read, read.view(self.leaves[self._state_count + read.leaf]))

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
        wholes = [self.plan.locations[whole].number for whole in self._wholes.values()]  # may have constant parts
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

    # Where values are

    def array(self, node: Node) -> np.ndarray:
        """The memory of a value, for all steps. Leaves of the batch are staged."""
        if node not in self._arrays:
            self._arrays[node] = self._found(node)
        return self._arrays[node]

    def _found(self, node: Node) -> np.ndarray:
        if node.op in VIEWS:
            return view_of(self.array(node.args[0]), node)
        if node.op == "input":
            if node.attribute < self._state_count:
                return self.leaves[int(node.attribute)]
            return self._staged.setdefault(node.attribute, np.empty(node.shape, node.dtype))
        if node.op in LEAVES:
            return self.plan.constant(node)
        location = self.plan.locations[node]
        if location.kind == "input":
            return self.leaves[location.number].reshape(node.shape)
        if location.kind == "slice":
            whole = self.array(self._wholes[location.number])
            return whole[location.start : location.start + node.size].reshape(node.shape)
        return self._buffers[location.number][: node.nbytes].view(node.dtype).reshape(node.shape)

    def _is_read_in_place(self, node: Node) -> bool:
        """Whether a value is in a leaf of the batch that is not staged."""
        base = root(node)
        return base.op == "input" and base.attribute >= self._state_count and base.nbytes > self._least

    def _array_now(self, node: Node) -> np.ndarray:
        """The memory of a value in this step; that of the batch is different in the next."""
        return (
            view_of_leaf(self.leaves[int(root(node).attribute)], node)
            if self._is_read_in_place(node)
            else self.array(node)
        )

    # Binding

    def _bind_kernel(self, unit: Any) -> None:
        """A kernel. Its inputs from the batch are staged, unless the executor can rebind them."""
        body = self.plan.bodies[unit]
        in_place = {i: n for i, n in enumerate(body.inputs) if self._is_read_in_place(n)}
        outputs = [
            over_domain(self.array(n), body.kernel.kind(v), body.domain)
            for n, v in zip(body.outputs, body.kernel.outputs, strict=True)
        ]

        def bound_to(find: Callable[[Node], np.ndarray]) -> BoundKernel:
            kinds = [given.kind for given in body.kernel.inputs]
            inputs = [over_domain(find(n), kind, body.domain) for n, kind in zip(body.inputs, kinds, strict=True)]
            return self._executor(Call(body.kernel, *body.domain, body.constants, inputs, outputs))

        bound = bound_to(self._array_now)
        if in_place and not bound.rebindable:
            bound = bound_to(self.array)
        else:
            for i, node in in_place.items():
                self._add_read(i, node, lambda x, kind=body.kernel.inputs[i].kind: over_domain(x, kind, body.domain))
        self._calls += bound.calls

    def _add_read(self, position: int, node: Node, shaped: Callable[[np.ndarray], np.ndarray]) -> None:
        """The next call reads, at a position, a view of a leaf of the batch."""
        leaf = int(root(node).attribute) - self._state_count
        self._reads.append(
            BatchRead(leaf, self._first_calls + len(self._calls), position, lambda x: shaped(view_of_leaf(x, node)))
        )

    def _bind_library(self, unit: Any) -> None:
        """A product, which writes into its output's memory, or an eager call, whose result is copied there."""
        node: Node = unit.outputs[0]
        for i, operand in enumerate(node.args):
            if self._is_read_in_place(operand):
                self._add_read(i, operand, lambda x: x)
        args: list[Any] = Rebindable(map(self._array_now, node.args))
        out = self.array(node)
        if node.op == "matmul":
            args.append(out)
            self._calls.append((np.dot, args))  # of two matrices the same call of BLAS as matmul, half a µs sooner
        else:
            self._calls.append((_EagerCall(node, out), args))

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
                if self._is_read_in_place(part):
                    self._add_read(1, part, lambda x: x)
                self._calls.append((np.copyto, Rebindable([target, self._array_now(part)])))

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
            if root(node).op == "input" and root(node).attribute < self._state_count:
                saved = np.empty(node.shape, node.dtype)
                first.append((np.copyto, (saved, source)))
                source = saved
            if target is not None:
                last.append((np.copyto, (self.leaves[int(target.attribute)], source)))
                source = self.leaves[int(target.attribute)]
            results.append((source, target is not None))
        return results, last


class _EagerCall:
    """An eager call, whose result is copied into planned memory."""

    def __init__(self, node: Node, out: np.ndarray) -> None:
        self._function = node.attribute
        self._out = out

    def __call__(self, *args: np.ndarray) -> None:
        result = self._function(*args)
        if np.shape(result) != self._out.shape:
            raise RuntimeError(
                f"{self._function.function} gave shape {np.shape(result)}, planned was {self._out.shape}"
            )
        self._out[...] = result
