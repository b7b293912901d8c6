"""The addresses of a plan's values on a GPU: in the caller's arrays, or in one block that is reserved beforehand.

A recorded graph holds addresses and no references, so nothing can be allocated while a step runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray.planner.cuda.gpu import ALIGNMENT
from dlarray.planner.schedule.memory import Plan
from dlarray.planner.trace.node import LEAVES, VIEWS, Node, root, view_of

__all__ = ["Arena", "Span", "in_rows", "span"]


@dataclass(frozen=True)
class Span:
    """The layout of a node's value in the memory of its root: bytes from the start, shape, and strides in bytes."""

    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def span(node: Node, shape: tuple[int, ...] | None = None) -> Span:
    """The layout of a node in its root's memory, in another shape if one is given."""
    base = root(node)
    one = np.empty(1, base.dtype)  # viewed as the whole array, for its strides: nothing is read
    whole = np.lib.stride_tricks.as_strided(one, base.shape, in_rows(base), writeable=False)
    seen = _follow(whole, node)
    seen = seen if shape is None else np.reshape(seen, shape, copy=False)
    return Span(seen.ctypes.data - one.ctypes.data, seen.shape, seen.strides)


def in_rows(node: Node) -> tuple[int, ...]:
    """The strides, in bytes, of a contiguous array of a node's shape (row-major)."""
    sizes = [*node.shape[1:], 1]
    return tuple(math.prod(sizes[i:]) * node.dtype.itemsize for i in range(len(node.shape)))


def _follow(whole: np.ndarray, node: Node) -> np.ndarray:
    return view_of(_follow(whole, node.args[0]), node) if node.op in VIEWS else whole


class Arena:
    """The block: each part gets its offset when the plan is made, and its address when the block is reserved."""

    def __init__(self, plan: Plan, state_count: int) -> None:
        self.plan = plan
        self.state_count = state_count
        self.nbytes = 0
        self._buffers = [self.part(n) for n in plan.buffers]
        self._staged: dict[int, int] = {}
        self._constants: dict[Node, int] = {}
        self._wholes = {u.outputs[0].number: u.outputs[0] for u in plan.units if u.op == "concat"}
        self.uploads: list[tuple[int, np.ndarray]] = []
        """Constants to be written once: the offset and the numbers."""

    def part(self, nbytes: int) -> int:
        """The offset of a new part."""
        start = self.nbytes
        self.nbytes += -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT
        return start

    def staged(self, leaf: Node) -> int:
        """The offset of the buffer that a leaf of the batch is copied to at each step."""
        number = int(leaf.attribute)
        if number not in self._staged:
            self._staged[number] = self.part(leaf.nbytes)
        return self._staged[number]

    def captured(self, base: Node) -> Any:
        """The array of the GPU that a leaf stands for if the step closes over it, else None."""
        captured = self.plan.graph.captured
        array = captured.arrays[int(base.attribute)] if base.op == "array" else None
        return array if isinstance(array, captured.kinds) else None

    def touch(self, node: Node) -> None:
        """Give a value its part of the block, if it needs one."""
        if self.captured(root(node)) is None:
            self.location(node)

    def location(self, node: Node) -> tuple[int | None, int]:
        """A value's location: (None, offset in the arena), or (number of a state's array, bytes from its start)."""
        base, start = root(node), span(node).start
        if base.op == "input":
            if int(base.attribute) < self.state_count:
                return int(base.attribute), start
            return None, self.staged(base) + start
        if base.op in LEAVES:
            return None, self._constant(base) + start
        found = self.plan.locations[base]
        if found.kind == "input":
            return found.number, start
        if found.kind == "slice":
            number, offset = self.location(self._wholes[found.number])
            return number, offset + found.start * base.dtype.itemsize + start
        return None, self._buffers[found.number] + start

    def _constant(self, node: Node) -> int:
        if node not in self._constants:
            self._constants[node] = self.part(node.nbytes)
            self.uploads.append((self._constants[node], self.plan.constant(node)))
        return self._constants[node]
