"""Grouping: which nodes share a kernel.

Nodes are taken in trace order. A node that a kernel can compute joins the group of an operand, or a group that reads
the same arrays, if the domain fits and no path leads out of the group and back. Groups of one domain are merged if a
node reads several of them and no unit must run between them. A row reduction can be read in its own group, in another
sweep. A column or full reduction is "late", known after the last row: only scalars can read it in its group. A scalar
that depends on nothing late is in no group: it costs nothing, so each kernel that needs it computes it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dlarray.planner.kernel.loops import CHEAP, REDUCTIONS, Kind
from dlarray.planner.trace.node import LEAVES, VIEWS, Form, Node, root, without_reshapes

__all__ = ["Grouping", "Unit", "group", "kind_of", "live", "reaches", "stored_values"]


@dataclass(eq=False)
class Unit:
    """One item of work: the group of a kernel, a product, a concatenation or a call."""

    op: str
    domain: Form
    nodes: list[Node] = field(default_factory=list[Node])
    outputs: list[Node] = field(default_factory=list[Node])
    """The nodes whose values are stored in memory."""
    needs: set[Unit] = field(default_factory=set["Unit"])
    """The units that must run before."""
    complete: set[Unit] = field(default_factory=set["Unit"])
    """Those of them that are read through a view, so that their whole arrays must be in memory."""
    late: set[Node] = field(default_factory=set[Node])
    roots: set[Node] = field(default_factory=set[Node])
    """The arrays of several elements that it reads, to find groups that read the same arrays."""

    @property
    def is_group(self) -> bool:
        """Whether it becomes a kernel."""
        return self.op == "group"


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


def reaches(start: Unit, goal: Unit) -> bool:
    """Whether ``start`` needs ``goal``, directly or through other units, or is ``goal``."""
    seen: set[Unit] = set()
    todo = [start]
    while todo:
        unit = todo.pop()
        if unit is goal:
            return True
        if unit not in seen:
            seen.add(unit)
            todo.extend(unit.needs)
    return False


class Grouping:
    """The units of a graph, and the unit of each node that has one."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.of: dict[Node, Unit] = {}
        self._sources: dict[Node, dict[Unit, bool]] = {}

    def add(self, node: Node) -> None:
        """Put the next node in trace order into a unit, unless it needs none."""
        if node.op in LEAVES or node.op in VIEWS or self._is_recomputed(node):
            return
        unit = self._group_for(node) if node.computes else None
        if unit is None:
            unit = Unit(
                "group" if node.computes else node.op,
                (without_reshapes(node.args[0]) if node.op in REDUCTIONS else node).form,
            )
            self.units.append(unit)
        for source, finished in self._needed(node).items():
            if source is not unit:
                unit.needs.add(source)
                if finished:
                    unit.complete.add(source)
        unit.nodes.append(node)
        unit.roots |= _wide_roots(node)
        if unit.is_group and (node.size == 1 or node.attribute == "column"):
            unit.late.add(node)
        self.of[node] = unit

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
        """The group that a node joins; None if it starts a new one."""
        operands = [self.of[without_reshapes(a)] for a in node.args if without_reshapes(a) in self.of]
        groups = [u for u in dict.fromkeys(operands) if u.is_group]
        groups.sort(key=self.units.index, reverse=True)
        roots = _wide_roots(node)
        groups += [u for u in self.units if u.is_group and u not in groups and u.roots & roots]
        domain = without_reshapes(node.args[0]).form if node.op in REDUCTIONS else node.form
        same = [u for u in groups if u.domain == domain]
        for other in same[1:]:
            if self._merge(same[0], other):
                groups.remove(other)
        return next((u for u in groups if self._fits(node, u)), None)

    def _fits(self, node: Node, unit: Unit) -> bool:
        """Whether a node can be computed in a group: the domain fits, it reads nothing late, and no cycle arises."""
        inside = [without_reshapes(a) for a in node.args if self.of.get(without_reshapes(a)) is unit]
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
            not finished if source is unit else not reaches(source, unit)
            for source, finished in self._needed(node).items()
        )

    def _merge(self, unit: Unit, other: Unit) -> bool:
        """Join two groups of one domain, if no unit must run between them; whether it was done."""
        if other in unit.complete or unit in other.complete:
            return False
        if _reads_late(unit, other) or _reads_late(other, unit):
            return False
        if any(reaches(u, other) for u in unit.needs - {other}) or any(reaches(u, unit) for u in other.needs - {unit}):
            return False
        unit.nodes = sorted(unit.nodes + other.nodes, key=lambda n: n.number)
        for ours, theirs in ((unit.needs, other.needs), (unit.complete, other.complete)):
            ours |= theirs
            ours -= {unit, other}
        unit.late |= other.late
        unit.roots |= other.roots
        for node in other.nodes:
            self.of[node] = unit
        self.units.remove(other)
        for u in self.units:
            for needed in (u.needs, u.complete):
                if other in needed:
                    needed.remove(other)
                    needed.add(unit)
        self._sources.clear()
        return True


def group(nodes: list[Node]) -> Grouping:
    """The units of nodes in trace order."""
    grouping = Grouping()
    for node in nodes:
        grouping.add(node)
    return grouping


def _is_column(form: Form, domain: Form) -> bool:
    return form == (domain[0], 1)


def _reads_late(reader: Unit, unit: Unit) -> bool:
    return any(
        without_reshapes(a) in unit.late for n in reader.nodes if n.size > 1 or n.op in REDUCTIONS for a in n.args
    )


def _wide_roots(node: Node) -> set[Node]:
    return {root(a) for a in node.args if a.size > 1 and root(a).op not in ("full", "index")}


def stored_values(grouping: Grouping, nodes: list[Node], outputs: list[Node]) -> set[Node]:
    """The nodes whose values are stored: those used outside kernels, and those too expensive to compute again.

    Another kernel computes a value again if that takes at most 16 cheap operations from values stored anyway, and reads
    only one array of the value's size.
    """
    of = grouping.of
    users: dict[Node, list[Node]] = {}
    for node in nodes:
        for a in node.args:
            users.setdefault(without_reshapes(a), []).append(node)
    stored = {n for n in nodes if n in of and not of[n].is_group} | {root(o) for o in outputs if root(o) in of}
    for node in nodes:
        if node in of and any(not _reads_values(user) for user in users.get(node, ())):
            stored.add(node)
    cost: dict[Node, tuple[int, frozenset[Node]]] = {}

    def again(operand: Node) -> tuple[int, frozenset[Node]]:
        """The number of operations to compute a value again, and the arrays that it reads."""
        value = without_reshapes(operand)
        base = root(value)
        if value in cost:
            return cost[value]
        if base.op in ("full", "index") or (value.size == 1 and base not in of):
            found = (0, frozenset[Node]())
        elif value.op in VIEWS or value.op in LEAVES or value in stored:
            found = (0, frozenset([value] if value.size > 1 else []))
        elif value.op not in CHEAP:
            found = (99, frozenset[Node]())
        else:
            parts = [again(a) for a in value.args]
            found = (1 + sum(n for n, _ in parts), frozenset[Node]().union(*(leaves for _, leaves in parts)))
        cost[value] = found
        return found

    for node in nodes:
        if node in stored or node not in of:
            continue
        if any(of.get(user) is not of[node] for user in _computing(node, users)):
            operations, leaves = again(node)
            if operations > 16 or sum(leaf.size == node.size for leaf in leaves) > 1 or node.op in REDUCTIONS:
                stored.add(node)
                cost.pop(node, None)
    return stored


def _reads_values(user: Node) -> bool:
    """Whether this user reads a value element by element, rather than as an array in memory."""
    return user.computes or (user.op == "reshape" and user.form == user.args[0].form)


def _computing(node: Node, users: dict[Node, list[Node]]) -> Iterator[Node]:
    return (user for user in users.get(node, ()) if user.computes)
