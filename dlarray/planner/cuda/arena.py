"""Where everything of a plan lies on a GPU: in the caller's arrays, or in one stretch that is reserved beforehand.

A recorded graph holds addresses and no references, so nothing may be allocated while a step runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dlarray.planner.cuda.gpu import ALIGNMENT
from dlarray.planner.schedule.memory import Plan
from dlarray.planner.trace.node import LEAVES, VIEWS, Node, root, view_of

__all__ = ["Arena", "Span", "in_rows", "span"]


@dataclass(frozen=True)
class Span:
    """How a node's value lies in the memory of its root: bytes from the start, and strides in bytes."""

    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def span(node: Node, shape: tuple[int, ...] | None = None) -> Span:
    """The place of a node in its root's memory; its strides are those of the view in another shape, if one is given."""
    base = root(node)
    one = np.empty(1, base.dtype)  # looked at as the whole array, for its strides: nothing is read
    whole = np.lib.stride_tricks.as_strided(one, base.shape, in_rows(base), writeable=False)
    seen = _follow(whole, node)
    seen = seen if shape is None else np.reshape(seen, shape, copy=False)
    return Span(seen.ctypes.data - one.ctypes.data, seen.shape, seen.strides)


def in_rows(node: Node) -> tuple[int, ...]:
    """The strides, in bytes, of an array of a node's shape whose rows lie one behind the other."""
    sizes = [*node.shape[1:], 1]
    return tuple(math.prod(sizes[i:]) * node.dtype.itemsize for i in range(len(node.shape)))


def _follow(whole: np.ndarray, node: Node) -> np.ndarray:
    return view_of(_follow(whole, node.args[0]), node) if node.op in VIEWS else whole


class Arena:
    """The stretch: every part has its offset when the plan is made, and an address once it is reserved."""

    def __init__(self, plan: Plan, moving: int) -> None:
        self.plan = plan
        self.moving = moving
        self.nbytes = 0
        self._buffers = [self.part(n) for n in plan.buffers]
        self._staged: dict[int, int] = {}
        self._constants: dict[Node, int] = {}
        self._wholes = {u.outputs[0].number: u.outputs[0] for u in plan.units if u.op == "concat"}
        self.uploads: list[tuple[int, np.ndarray]] = []
        """What is to be written once: an offset, and the numbers."""

    def part(self, nbytes: int) -> int:
        """The offset of a new part."""
        start = self.nbytes
        self.nbytes += -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT
        return start

    def staged(self, leaf: Node) -> int:
        """The offset of the fixed place of a leaf of the batch."""
        number = int(leaf.attribute)
        if number not in self._staged:
            self._staged[number] = self.part(leaf.nbytes)
        return self._staged[number]

    def place(self, node: Node) -> tuple[int | None, int]:
        """Of a node's value: (None, offset in the arena), or (number of a state's array, bytes from its start)."""
        base, start = root(node), span(node).start
        if base.op == "input":
            if int(base.attribute) < self.moving:
                return int(base.attribute), start
            return None, self.staged(base) + start
        if base.op in LEAVES:
            return None, self._constant(base) + start
        place = self.plan.locations[base]
        if place.kind == "input":
            return place.number, start
        if place.kind == "slice":
            number, offset = self.place(self._wholes[place.number])
            return number, offset + place.start * base.dtype.itemsize + start
        return None, self._buffers[place.number] + start

    def _constant(self, node: Node) -> int:
        if node not in self._constants:
            self._constants[node] = self.part(node.nbytes)
            self.uploads.append((self._constants[node], self.plan.constant(node)))
        return self._constants[node]
