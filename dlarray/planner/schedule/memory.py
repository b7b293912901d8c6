"""Memory: where each stored value is, and in which order the units run.

The state is donated: each new value of the state is written into the array that held the old one, after the old value's
last reader. A part of a concatenation is computed in its slice of the whole. All other values are in buffers, which are
reused after their value's last reader.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Literal

import numpy as np

from dlarray.planner.schedule.grouping import group, live
from dlarray.planner.schedule.lowering import Body, lower
from dlarray.planner.schedule.order import Order, Unit
from dlarray.planner.schedule.stored import stored_values
from dlarray.planner.schedule.turns import in_turn, trace_position
from dlarray.planner.trace.graph import Graph
from dlarray.planner.trace.node import Node, is_dense, root, without_reshapes

__all__ = ["Location", "Plan", "make_plan"]


@dataclass(frozen=True)
class Location:
    """Where a stored value is: in an input's array or in a concatenation, from ``start`` on, or in a buffer."""

    kind: Literal["input", "slice", "buffer"]
    number: int
    """The number of the input, of the concatenation's node, or of the buffer."""
    start: int = 0


@dataclass
class Plan:
    """The units in order, and where each value is; no addresses."""

    graph: Graph
    outputs: list[Node]
    donated: dict[int, Node]
    """For each donated output its input: the output ends in the input's array."""
    units: list[Unit] = field(default_factory=list[Unit])
    bodies: dict[Unit, Body] = field(default_factory=dict[Unit, Body])
    locations: dict[Node, Location] = field(default_factory=dict[Node, Location])
    buffers: list[int] = field(default_factory=list[int])
    """The bytes of each."""
    unshared: int = 0
    """The bytes that would be needed if no buffer were reused."""

    def reads(self, unit: Unit) -> set[Node]:
        """The arrays, as roots, that a unit reads."""
        return {root(n) for n in (self.bodies[unit].inputs if unit.is_group else unit.outputs[0].args)}

    def constant(self, node: Node) -> np.ndarray:
        """The values of a leaf that is not an input."""
        return self.graph.constant(node)

    def is_in_place(self, output: int) -> bool:
        """Whether a donated output is computed in its input's array, or is that input."""
        node, target = self.outputs[output], self.donated[output]
        location = self.locations.get(root(node))
        return node is target or (
            location is not None and location.kind == "input" and location.number == target.attribute
        )


def make_plan(graph: Graph, outputs: list[Node], donated: dict[int, Node]) -> Plan:
    """A plan for the outputs of a traced step; ``donated`` names the inputs whose arrays some of them end in."""
    plan = Plan(graph, outputs, donated)
    _make_units(plan)
    _write_into_state(plan)
    plan.units = in_turn(plan.units)
    _write_into_slices(plan)
    _exchange_in_place(plan)
    _allocate(plan)
    return plan


def _make_units(plan: Plan) -> None:
    """Find the units, their outputs and kernels, and the units that each of them needs."""
    nodes = live([*plan.outputs, *plan.graph.collectives])
    grouping = group(nodes)
    stored = stored_values(grouping, nodes, plan.outputs)
    for unit in grouping.units:
        unit.outputs = [n for n in unit.nodes if n in stored]
    plan.units = [u for u in grouping.units if u.outputs]
    recomputed = {n for n in nodes if n.computes and n not in grouping.of}
    wanted = {root(a) for n in nodes if not n.computes for a in n.args if without_reshapes(n) is n} & recomputed
    leaving = _ordered(({root(o) for o in plan.outputs} & recomputed) - wanted)  # no unit reads them in memory
    last = max((u for u in plan.units if u.is_group), key=trace_position, default=None)
    if last is not None and not any(n in grouping.of for n in live(leaving)):  # they depend on inputs only
        last.outputs = last.outputs + leaving  # counters: the last kernel computes them too
        leaving = []
    for scalars in (*([n] for n in _ordered(wanted)), leaving):
        if scalars:
            plan.units.append(Unit("group", (1, 1), outputs=scalars))
    producer = {n: u for u in plan.units for n in u.outputs}
    for unit in plan.units:
        if unit.is_group:
            plan.bodies[unit] = lower(unit, lambda n: n in stored)
        unit.needs = {producer[r] for r in plan.reads(unit) if r in producer}
    for one, next_one in pairwise(u for u in plan.units if u.op == "start"):
        next_one.needs.add(one)


def _ordered(nodes: Iterable[Node]) -> list[Node]:
    return sorted(nodes, key=lambda n: n.number)


def _write_into_state(plan: Plan) -> None:
    """Put donated outputs into the memory of their inputs, if all readers of the old value can run before."""
    order = Order(plan.units)
    producer = {n: u for u in plan.units for n in u.outputs}
    readers: dict[Node, list[Unit]] = {}
    for unit in plan.units:
        for node in plan.reads(unit):
            readers.setdefault(node, []).append(unit)

    def may_write(writer: Unit, target: Node) -> bool:
        """Whether a unit may write into an input: all other readers run before it, from now on."""
        others = [u for u in readers.get(target, ()) if u is not writer]
        if any(order.is_before(writer, u) for u in others):
            return False
        for unit in others:
            order.need(writer, unit)
        return True

    for output, target in plan.donated.items():
        node = root(plan.outputs[output])
        writer = producer.get(node)
        if node.op == "wait" and node.attribute.is_gather and plan.outputs[output] is node:
            _gather_into_state(plan, node, target, producer, may_write)
        if writer is None or not writer.is_group or node in plan.locations or not is_dense(plan.outputs[output]):
            continue
        if (
            node.size != target.size
            or node.dtype != target.dtype
            or not plan.bodies[writer].may_overwrite(target, node)
        ):
            continue
        if may_write(writer, target):
            plan.locations[node] = Location("input", target.attribute)


def _gather_into_state(
    plan: Plan, result: Node, target: Node, producer: dict[Node, Unit], may_write: Callable[[Unit, Node], bool]
) -> None:
    """Gather a donated output in the memory of its input, and compute this rank's piece there too, if possible."""
    (start,) = result.args
    if result in plan.locations or not may_write(producer[start], target):
        return
    plan.locations[result] = plan.locations[start] = Location("input", target.attribute)
    piece = root(start.args[0])
    writer = producer.get(piece)
    first, _ = start.attribute.bounds(start.shape[0])
    at = first * math.prod(start.shape[1:])
    if (
        writer is not None
        and writer.is_group
        and piece not in plan.locations
        and piece.size == start.args[0].size
        and is_dense(start.args[0])
        and [u for u in plan.units if piece in plan.reads(u)] == [producer[start]]
        and piece not in map(root, plan.outputs)
        and plan.bodies[writer].may_overwrite(target, piece, at)
        and may_write(writer, target)
    ):
        plan.locations[piece] = Location("input", target.attribute, at)


def _write_into_slices(plan: Plan) -> None:
    """Put the parts of a concatenation into their slices of the whole."""
    stored = {n for u in plan.units for n in u.outputs}
    for unit in plan.units:
        if unit.op == "concat":
            whole, start = unit.outputs[0], 0
            for part in whole.args:
                value = root(part)
                whole_value = value.size == part.size and is_dense(part)
                if value in stored and value not in plan.locations and whole_value and value.op != "concat":
                    plan.locations[value] = Location("slice", whole.number, start)
                start += part.size


def _exchange_in_place(plan: Plan) -> None:
    """Let the parts of a collective have one memory, if its result has one that is no buffer.

    The argument of a sum is computed there too, if nothing else reads it.
    """
    readers: dict[Node, int] = {}
    for unit in plan.units:
        for node in plan.reads(unit):
            readers[node] = readers.get(node, 0) + 1
    stored = {n for u in plan.units for n in u.outputs} - {root(o) for o in plan.outputs}
    for result in reversed(plan.graph.collectives):
        if result in plan.locations:
            (start,) = result.args
            plan.locations[start] = plan.locations[result]
            value = root(start.args[0])
            if value in stored and value not in plan.locations and readers[value] == 1 and _is_summed_in_place(start):
                plan.locations[value] = plan.locations[result]


def _is_summed_in_place(start: Node) -> bool:
    """Whether a sum over ranks can be in the memory of its argument, if nothing else reads that."""
    (given,) = start.args
    value = root(given)
    return start.attribute.is_sum and value.op != "concat" and value.size == given.size and is_dense(given)


def _allocate(plan: Plan) -> None:
    """Give each other value a buffer, which is reused after the value's last reader."""
    concats = {u.outputs[0].number: u.outputs[0] for u in plan.units if u.op == "concat"}
    for whole in concats.values():  # its buffer is not reused: parts are written early, constant parts only once
        plan.locations[whole] = _new_buffer(plan, whole)
    leaving = {root(o) for o in plan.outputs}
    reads = [_ordered(plan.reads(unit)) for unit in plan.units]
    last = {n: i for i, unit in enumerate(plan.units) for n in (*reads[i], *unit.outputs)}
    free: list[tuple[int, int, int]] = []  # the bytes of each free buffer, when it was freed, and its number: sorted
    moments = count()
    for i, unit in enumerate(plan.units):
        ending = [n for n in reads[i] if last[n] == i and n not in leaving and _is_shared(plan, n)]
        for node in unit.outputs:
            if node in plan.locations:
                continue
            replaced = next((n for n in ending if _may_overwrite(plan, unit, n, node)), None)
            at = bisect_left(free, (node.nbytes,))  # the smallest that is large enough
            if replaced is not None:
                ending.remove(replaced)
                plan.locations[node] = plan.locations[replaced]
            elif at < len(free) and free[at][0] <= 4 * node.nbytes:
                plan.locations[node] = Location("buffer", free.pop(at)[2])
            else:
                plan.locations[node] = _new_buffer(plan, node)
            plan.unshared += node.nbytes
        ending += [n for n in unit.outputs if last[n] == i and n not in leaving and _is_shared(plan, n)]
        for node in ending:
            number = plan.locations[node].number
            insort(free, (plan.buffers[number], next(moments), number))


def _new_buffer(plan: Plan, node: Node) -> Location:
    plan.buffers.append(node.nbytes)
    return Location("buffer", len(plan.buffers) - 1)


def _is_shared(plan: Plan, node: Node) -> bool:
    """Whether the value is in a buffer that can be reused after it."""
    location = plan.locations.get(node)
    return location is not None and location.kind == "buffer" and node.op != "concat"


def _may_overwrite(plan: Plan, unit: Unit, old: Node, new: Node) -> bool:
    """Whether an output can be written over an input that is not read again."""
    if unit.op == "wait" or (unit.op == "start" and _is_summed_in_place(new)):
        return True
    if not unit.is_group or old.nbytes != new.nbytes or old.dtype != new.dtype or new.size == 1:
        return False
    return old in plan.bodies[unit].inputs and plan.bodies[unit].may_overwrite(old, new)
