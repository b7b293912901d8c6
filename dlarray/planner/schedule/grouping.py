"""Grouping: which nodes share a kernel.

Nodes are taken in trace order. One that a kernel can make joins the group of an operand, or one that reads the same
arrays, if the domain fits and no path leads out of the group and back; groups of one domain are merged when a node
reads several of them and nothing lies between. A row reduction may be read in its group, for it only opens another
sweep; a column or full reduction is "late", known after the last row, and only scalars may read it there. Scalars that
stand on nothing late belong nowhere: they cost nothing, so every kernel computes for itself those that it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dlarray.planner.kernel.loops import CHEAP, REDUCTIONS, Kind
from dlarray.planner.trace.node import LEAVES, VIEWS, Form, Node, root, without_reshapes

__all__ = ["Grouping", "Unit", "group", "kind_of", "live", "reaches", "stored_values"]


@dataclass(eq=False)
class Unit:
    """Something that is done at once: a kernel's group, a product, a concatenation or a call."""

    op: str
    domain: Form
    nodes: list[Node] = field(default_factory=list[Node])
    outputs: list[Node] = field(default_factory=list[Node])
    """The nodes whose values are stored in memory."""
    needs: set[Unit] = field(default_factory=set["Unit"])
    """What must be done before."""
    complete: set[Unit] = field(default_factory=set["Unit"])
    """Those of them that are read through a view, so whole arrays must lie in memory."""
    late: set[Node] = field(default_factory=set[Node])
    roots: set[Node] = field(default_factory=set[Node])
    """The arrays of several elements that it reads, to find groups that read the same."""

    @property
    def is_group(self) -> bool:
        """Whether it is to be a kernel."""
        return self.op == "group"


def kind_of(form: Form, domain: Form) -> Kind:
    """How a value of this form varies over a domain. Never ambiguous: the first that fits."""
    if form == (1, 1):
        return "S"
    if form == domain:
        return "E"
    return "C" if form[1] == 1 else "R"


def live(outputs: list[Node]) -> list[Node]:
    """All nodes that the outputs stand on, in trace order."""
    found: set[Node] = set()
    todo = list(outputs)
    while todo:
        if (node := todo.pop()) not in found:
            found.add(node)
            todo.extend(node.args)
    return sorted(found, key=lambda n: n.number)


def reaches(start: Unit, goal: Unit) -> bool:
    """Whether ``start`` needs ``goal``, at once or through others, or is it."""
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
        """Give the node, the next in trace order, a unit, if it is to have one."""
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
        """Whether it is a scalar that every kernel computes for itself: it stands on no reduction of a kernel."""
        if node.size != 1 or not node.computes or node.op in REDUCTIONS:
            return False
        return not any((u := self.of.get(without_reshapes(a))) is not None and u.is_group for a in node.args)

    def _needed(self, node: Node) -> dict[Unit, bool]:
        """The units that a node's operands come from; true where the whole array must lie in memory before."""
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
        if operand not in self._sources:  # a floating scalar, or a leaf
            self._sources[operand] = {u: f or viewed for u, f in self._needed(base).items()}
        return self._sources[operand]

    def _group_for(self, node: Node) -> Unit | None:
        """The group that a node joins; None where it begins one of its own."""
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
        """Whether a node can be computed in a group: the domain is right, nothing late is read, no circle arises."""
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
        """Make two groups of one domain into one, where nothing lies between them."""
        if other in unit.complete or unit in other.complete:
            return False
        if _reads_late(unit, other) or _reads_late(other, unit):
            return False
        if any(reaches(u, other) for u in unit.needs - {other}) or any(reaches(u, unit) for u in other.needs - {unit}):
            return False
        unit.nodes = sorted(unit.nodes + other.nodes, key=lambda n: n.number)
        for mine, its in ((unit.needs, other.needs), (unit.complete, other.complete)):
            mine |= its
            mine -= {unit, other}
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
    """Units for nodes in trace order."""
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
    """The nodes whose values lie in memory: what leaves kernels, and what is too dear to compute again.

    A value that another kernel wants is computed again there if it is at most 16 cheap operations away from what is
    stored anyway, and only one array of its own size has to be read for it.
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
        """How many operations it takes to compute a value again, and which arrays are read for it."""
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
    """Whether this user takes a value element by element, rather than as an array in memory."""
    return user.computes or (user.op == "reshape" and user.form == user.args[0].form)


def _computing(node: Node, users: dict[Node, list[Node]]) -> Iterator[Node]:
    return (user for user in users.get(node, ()) if user.computes)
