"""Where the values of a bound plan are: in the caller's arrays, in buffers, or in the batch, elsewhere at each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlarray.planner.kernel.buffer import aligned
from dlarray.planner.run.arrays import contiguous, view_of_leaf
from dlarray.planner.schedule.memory import Plan
from dlarray.planner.trace.node import LEAVES, VIEWS, Node, root, view_of

__all__ = ["PlannedArrays"]


class PlannedArrays:
    """The arrays of a plan that is bound to ``leaves``, of which the first ``state_count`` are the state's.

    Leaves of the batch of up to ``most_staged`` bytes are copied to fixed memory at each step.
    """

    def __init__(self, plan: Plan, leaves: Sequence[Any], state_count: int, most_staged: int) -> None:
        self.plan = plan
        self.leaves: list[np.ndarray] = [*leaves[:state_count], *map(contiguous, leaves[state_count:])]
        self.state_count = state_count
        self.buffers = [aligned(n) for n in plan.buffers]
        self.wholes = {u.outputs[0].number: u.outputs[0] for u in plan.units if u.op == "concat"}
        """Concatenations, by the number of their node."""
        self.staged: dict[int, np.ndarray] = {}
        """The fixed memory of leaves of the batch, by their number."""
        self._most_staged = most_staged
        self._arrays: dict[Node, np.ndarray] = {}

    def array(self, node: Node) -> np.ndarray:
        """The memory of a value, for all steps. Leaves of the batch are staged."""
        if node not in self._arrays:
            self._arrays[node] = self._found(node)
        return self._arrays[node]

    def _found(self, node: Node) -> np.ndarray:
        if node.op in VIEWS:
            return view_of(self.array(node.args[0]), node)
        if node.op == "input":
            if node.attribute < self.state_count:
                return self.leaves[int(node.attribute)]
            return self.staged.setdefault(node.attribute, np.empty(node.shape, node.dtype))
        if node.op in LEAVES:
            return self.plan.constant(node)
        location = self.plan.locations[node]
        if location.kind == "input":
            flat = self.leaves[location.number].reshape(-1)
            return flat[location.start : location.start + node.size].reshape(node.shape)
        if location.kind == "slice":
            whole = self.array(self.wholes[location.number])
            return whole[location.start : location.start + node.size].reshape(node.shape)
        return self.buffers[location.number][: node.nbytes].view(node.dtype).reshape(node.shape)

    def is_read_in_place(self, node: Node) -> bool:
        """Whether a value is in a leaf of the batch that is not staged."""
        base = root(node)
        return base.op == "input" and base.attribute >= self.state_count and base.nbytes > self._most_staged

    def array_now(self, node: Node) -> np.ndarray:
        """The memory of a value in this step; that of the batch is different in the next."""
        return (
            view_of_leaf(self.leaves[int(root(node).attribute)], node)
            if self.is_read_in_place(node)
            else self.array(node)
        )
