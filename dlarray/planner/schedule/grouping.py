"""Grouping: which nodes share a kernel.

Nodes are taken in trace order. A node that a kernel can compute joins the group of an operand, or a group that reads
the same arrays, if the domain fits and no path leads out of the group and back. Groups of one domain are merged if a
node reads several of them and no unit must run between them. A row reduction can be read in its own group, in another
sweep. A column or full reduction is "late", known after the last row: only scalars can read it in its group. A scalar
that depends on nothing late is in no group: it costs nothing, so each kernel that needs it computes it again.
"""

from __future__ import annotations

from collections import defaultdict

from dlarray.planner.kernel.loops import REDUCTIONS, Kind
from dlarray.planner.schedule.order import Order, Unit
from dlarray.planner.trace.node import LEAVES, VIEWS, Form, Node, root, without_reshapes

__all__ = ["Grouping", "group", "kind_of", "live"]


def kind_of(form: Form, domain: Form) -> Kind:
    """How a value of this form varies over a domain: the first kind that fits."""
    if form == (1, 1):
        return "S"
    if form == domain:
        return "E"
    return "C" if form[1] == 1 else "R"


def live(outputs: list[Node]) -> list[Node]:
    """All nodes that the outputs depend on, in trace order."""
    found: set[Node] = set()
    todo = list(outputs)
    while todo:
        if (node := todo.pop()) not in found:
            found.add(node)
            todo.extend(node.args)
    return sorted(found, key=lambda n: n.number)


class Grouping:
    """The units of a graph, and the unit of each node that has one."""

    def __init__(self) -> None:
        self.of: dict[Node, Unit] = {}
        self._order = Order()
        self._readers: defaultdict[tuple[Node, Form], int] = defaultdict(int)
        """The groups that read an array of several elements, by array and domain, as bits of the order."""
        self._apart: defaultdict[Unit, int] = defaultdict(int)
        """The groups that cannot be merged into a group, because a product or a call must run between, as bits."""
        self._sources: dict[Node, dict[Unit, bool]] = {}
        self._started: list[Unit] = []
        """The units that start collectives: each needs the one before."""

    @property
    def units(self) -> list[Unit]:
        """The units, in the order in which they were made."""
        return [unit for unit in self._order.units if unit.nodes]

    def add(self, node: Node) -> None:
        """Put the next node in trace order into a unit, unless it needs none."""
        if node.op in LEAVES or node.op in VIEWS or self._is_recomputed(node):
            return
        unit = self._group_for(node) if node.computes else None
        if unit is None:
            unit = Unit("group" if node.computes else node.op, _domain(node))
            self._order.add(unit)
        if node.op == "start":
            for before in self._started[-1:]:
                self._order.need(unit, before)
            self._started.append(unit)
        for source, finished in self._needed(node).items():
            if source is not unit:
                self._order.need(unit, source)
                if finished:
                    unit.complete.add(source)
        unit.nodes.append(node)
        self.of[node] = unit
        if unit.is_group:
            for read in _wide_roots(node):
                self._readers[read, unit.domain] |= self._order.bit[unit]
            if node.size > 1 or node.op in REDUCTIONS:
                unit.reads.update(map(without_reshapes, node.args))
            if node.size == 1 or node.attribute == "column":
                unit.late.add(node)

    def _is_recomputed(self, node: Node) -> bool:
        """Whether each kernel computes this scalar again: it depends on no reduction of a kernel."""
        if node.size != 1 or not node.computes or node.op in REDUCTIONS:
            return False
        return not any((u := self.of.get(without_reshapes(a))) is not None and u.is_group for a in node.args)

    def _needed(self, node: Node) -> dict[Unit, bool]:
        """The units that compute a node's operands; true if the whole array must be in memory before."""
        found: dict[Unit, bool] = {}
        for operand in node.args:
            for unit, finished in self._sources_of(operand).items():
                found[unit] = found.get(unit, False) or finished
        return found

    def _sources_of(self, operand: Node) -> dict[Unit, bool]:
        base = without_reshapes(operand)
        viewed = base.op in VIEWS
        base = root(base)
        if base in self.of:
            return {self.of[base]: viewed}
        if operand not in self._sources:  # a recomputed scalar, or a leaf
            self._sources[operand] = {u: f or viewed for u, f in self._needed(base).items()}
        return self._sources[operand]

    def _group_for(self, node: Node) -> Unit | None:
        """The group that a node joins; None if it starts a new one.

        The latest group of an operand comes first, then groups that read the same arrays.
        """
        order, domain = self._order, _domain(node)
        operands = {self.of[a] for a in map(without_reshapes, node.args) if a in self.of}
        read = sorted((u for u in operands if u.is_group), key=order.bit.__getitem__, reverse=True)
        sharing = 0
        for array in _wide_roots(node):
            sharing |= self._readers[array, domain]
        for unit in read:
            sharing &= ~order.bit[unit]
        same = [u for u in read if u.domain == domain] or list(order.units_of(sharing & -sharing))
        for other in same[1:]:
            if self._merge(same[0], other):
                read.remove(other)
        if same:
            sharing = self._merge_all(same[0], sharing)
        for unit in self._needed(node):
            sharing &= ~order.before[unit]
        return next((u for u in (*read, *order.units_of(sharing)) if self._fits(node, u)), None)

    def _fits(self, node: Node, unit: Unit) -> bool:
        """Whether a node can be computed in a group: the domain fits, it reads nothing late, and no cycle arises."""
        inside = [a for a in map(without_reshapes, node.args) if self.of.get(a) is unit]
        if node.op in REDUCTIONS:
            form = without_reshapes(node.args[0]).form
            fitting = form == unit.domain or (
                node.attribute == "all" and bool(inside) and _is_column(form, unit.domain)
            )
        elif node.size == 1:
            fitting = any(a in unit.late for a in inside)
        else:
            fitting = node.form == unit.domain or (bool(inside) and _is_column(node.form, unit.domain))
        if not fitting or (any(a in unit.late for a in inside) and (node.size > 1 or node.op in REDUCTIONS)):
            return False
        return all(
            not finished if source is unit else not self._order.is_before(unit, source)
            for source, finished in self._needed(node).items()
        )

    def _merge_all(self, unit: Unit, others: int) -> int:
        """Merge each of these groups into another one, if that is possible. Returns the bits of the rest."""
        order = self._order
        left = others & ~self._apart[unit] & ~order.bit[unit]
        while left := left & ~order.before_needed(unit):
            bit = left & -left
            left ^= bit
            other = next(order.units_of(bit))
            if self._merge(unit, other):
                others ^= bit
            elif any(order.is_before(unit, u) and not u.is_group for u in other.needs):
                self._apart[unit] |= bit
        return others

    def _merge(self, unit: Unit, other: Unit) -> bool:
        """Merge the second group into the first, of the same domain, if that is possible; whether it was done.

        It is not if a unit must run between them, or if one reads late values or whole arrays of the other.
        """
        order = self._order
        if order.before_needed(other) & order.bit[unit] or order.before_needed(unit) & order.bit[other]:
            return False
        if other in unit.complete or unit in other.complete:
            return False
        if not (unit.reads.isdisjoint(other.late) and other.reads.isdisjoint(unit.late)):
            return False
        order.merge(unit, other)
        unit.late |= other.late
        unit.reads |= other.reads
        for node in other.nodes:
            self.of[node] = unit
        for array in set[Node]().union(*map(_wide_roots, other.nodes)):
            readers = self._readers[array, unit.domain]
            self._readers[array, unit.domain] = readers & ~order.bit[other] | order.bit[unit]
        unit.nodes += other.nodes
        other.nodes = []
        self._sources.clear()
        return True


def group(nodes: list[Node]) -> Grouping:
    """The units of nodes in trace order."""
    grouping = Grouping()
    for node in nodes:
        grouping.add(node)
    for unit in grouping.units:
        unit.nodes.sort(key=lambda n: n.number)
    return grouping


def _domain(node: Node) -> Form:
    """The rows and columns that are visited to compute a node."""
    return (without_reshapes(node.args[0]) if node.op in REDUCTIONS else node).form


def _is_column(form: Form, domain: Form) -> bool:
    return form == (domain[0], 1)


def _wide_roots(node: Node) -> set[Node]:
    return {root(a) for a in node.args if a.size > 1 and root(a).op not in ("full", "index")}
