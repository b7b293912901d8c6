"""Which values are stored in memory."""

from __future__ import annotations

from collections.abc import Iterator

from dlarray.planner.kernel.loops import CHEAP, REDUCTIONS
from dlarray.planner.schedule.grouping import Grouping
from dlarray.planner.trace.node import LEAVES, VIEWS, Node, root, without_reshapes

__all__ = ["stored_values"]


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
