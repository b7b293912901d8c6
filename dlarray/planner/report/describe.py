"""What a plan does, as a ``Description``: its work with formulas, arithmetic operations and bytes, and its memory."""

from __future__ import annotations

from typing import Any

from dlarray.device.description import Description, Kind, Memory, Names, Value, Work
from dlarray.planner.report.formulas import formulas
from dlarray.planner.report.naming import Naming, paths
from dlarray.planner.schedule.memory import Plan
from dlarray.planner.schedule.order import Unit
from dlarray.planner.schedule.products import terms
from dlarray.planner.trace.node import Node, root

__all__ = ["describe", "flops", "traffic"]

_KINDS: dict[str, Kind] = {
    "group": "kernel",
    "matmul": "product",
    "concat": "concatenation",
    "start": "communication",
    "wait": "communication",
}
_EXCHANGES = {
    "sum": "sum over ranks",
    "scatter_sum": "piece of the sum over ranks",
    "gather": "vector of all ranks' pieces",
}


def describe(plan: Plan, given: tuple[Any, Any], returned: Any, names: Names) -> Description:
    """A plan as data.

    ``given`` has the structures of state and batch, ``returned`` that of the step's result, as ``trees.flatten``
    returns them. Values are named by their paths in them, unless ``names`` has another name.
    """
    inputs = [*_state(given[0]), *paths(given[1], "batch")]
    state, loss = returned[2] if returned is not None and len(returned[2]) == 2 else (returned, ("static", None, None))
    name = Naming(plan, inputs, [*_state(state), *paths(loss, "loss")], names)
    works = [_work(plan, unit, name) for unit in plan.units]
    in_place = sum(plan.is_in_place(i) for i in plan.donated)
    memories, values = _Lifetimes(plan, name).found()
    unshared, arrays = plan.unshared + _wholes(plan), len(paths(given[0]))
    return Description(
        works, values, memories, len(plan.buffers), unshared, arrays, in_place, plan.graph.eager_memory.peak
    )


def flops(plan: Plan, unit: Unit) -> int:
    """Arithmetic operations of a unit: two for each multiply and add of a product, one for each of a kernel."""
    node = unit.outputs[0]
    if unit.op == "matmul":
        return 2 * node.args[0].size * node.shape[1]
    if unit.op == "call":
        return 2 * terms(node)
    if not unit.is_group:
        return 0
    return sum(max(n.size, n.args[0].size if n.args else 0) for n in plan.bodies[unit].operations)


def traffic(plan: Plan, unit: Unit) -> int:
    """The bytes that a unit reads and writes, each array once; for a concatenation those of the copied parts.

    For an exchange between ranks they are those of the rank's array, or of the result where that is larger.
    """
    if unit.op == "concat":
        return 2 * sum(part.nbytes for part in _copied(plan, unit.outputs[0]))
    if unit.op == "wait":
        return 0
    if unit.op == "start":
        return max(node.nbytes for node in (*unit.outputs, *unit.outputs[0].args))
    read = plan.bodies[unit].inputs if unit.is_group else unit.outputs[0].args
    return sum(n.nbytes for n in (*read, *unit.outputs))


def _work(plan: Plan, unit: Unit, name: Naming) -> Work:
    node = unit.outputs[0]
    lines: list[str] = []
    count = 1
    if unit.is_group:
        body = plan.bodies[unit]
        rows, columns = body.domain
        count = len(body.operations)
        again = f", {body.kernel.sweeps} sweeps" if body.kernel.sweeps > 1 else ""
        title = f"kernel over {rows} × {columns}{again}, {count} operation{'s' * (count != 1)} in one"
        lines = formulas(body, name)
    elif unit.op == "matmul":
        a, b = node.args
        title = f"product {a.shape[0]} × {a.shape[1]} by {b.shape[0]} × {b.shape[1]}"
        lines = [f"{name(node)} = {name(a)} @ {name(b)}"]
    elif unit.op == "concat":
        count = 0
        title = f"concatenation of {len(node.args)} parts, of which {len(_copied(plan, node))} are copied"
        lines = [f"{name(node)} = concat({', '.join(name(p) for p in node.args if p.op != 'full')})"]
    elif unit.op in ("start", "wait"):
        count = 0
        what = _EXCHANGES[node.attribute.name]
        title, lines = f"wait for the {what}", [name(node)]
        if unit.op == "start":
            title, lines = what, [f"{name(_left(plan, node))} = {what} of {name(node.args[0])}"]
    else:
        called = getattr(node.attribute.function, "__name__", "a function")
        title = f"eager call of {called}"
        lines = [f"{name(node)} = {called}({', '.join(map(name, node.args))})"]
    arithmetic = flops(plan, unit)
    kind = "product" if unit.op == "call" and arithmetic else _KINDS.get(unit.op, "call")
    if kind == "product" and unit.op == "call":
        title = f"product by an {title}"
    return Work(kind, title, tuple(lines), count, arithmetic, traffic(plan, unit))


def _state(structure: Any) -> list[str]:
    """The paths of the state's arrays, without "state" if it is a dictionary."""
    return paths(structure, "" if structure is not None and structure[0] is dict else "state")


def _copied(plan: Plan, whole: Node) -> list[Node]:
    """The parts of a concatenation that are not computed in their slices."""
    found: list[Node] = []
    for part in whole.args:
        location = plan.locations.get(root(part))
        in_slice = location is not None and (location.kind, location.number) == ("slice", whole.number)
        if part.op not in ("full", "index") and not in_slice:
            found.append(part)
    return found


def _left(plan: Plan, node: Node) -> Node:
    """The value that a unit leaves in memory: of an exchange its result, which is written from the start on."""
    number: int = node.attribute.number if node.op == "start" else -1
    return node if number < 0 else plan.graph.collectives[number]


def _wholes(plan: Plan) -> int:
    return sum(u.outputs[0].nbytes for u in plan.units if u.op == "concat")


class _Lifetimes:
    """Where each value is stored, and from which unit to which."""

    def __init__(self, plan: Plan, name: Naming) -> None:
        self._plan, self._name = plan, name
        self._memories = [Memory(f"buffer {i}", n) for i, n in enumerate(plan.buffers)]
        self._inputs: dict[int, int] = {}
        self._leaving = {root(node) for node in plan.outputs}

    def found(self) -> tuple[list[Memory], list[Value]]:
        """All memory that the plan uses, and all values stored in it."""
        plan = self._plan
        readers: dict[Node, list[int]] = {}
        for i, unit in enumerate(plan.units):
            for node in sorted(plan.reads(unit), key=lambda n: n.number):
                if unit.op != "wait":
                    readers.setdefault(node, []).append(i)
        units = [(i, unit) for i, unit in enumerate(plan.units) if unit.op != "wait"]
        written = {_left(plan, node): i for i, unit in units for node in unit.outputs}
        values = [self._value(n, None, reads) for n, reads in readers.items() if n.op in ("input", "array")]
        values += [self._value(n, i, readers.get(n, [])) for n, i in written.items()]
        return self._memories, values

    def _value(self, node: Node, written: int | None, read: list[int]) -> Value:
        return Value(
            self._name(node),
            node.dtype.name,
            node.shape,
            node.nbytes,
            self._memory(node),
            written,
            tuple(read),
            node in self._leaving,
        )

    def _memory(self, node: Node) -> int:
        """The number of the memory that a value is stored in."""
        location = self._plan.locations.get(node)
        if location is not None and location.kind == "buffer":
            return location.number
        if location is not None and location.kind == "slice":
            return self._memory(self._plan.graph.nodes[location.number])
        owner = node if location is None else self._plan.graph.nodes[location.number]  # inputs are the first nodes
        if owner.number not in self._inputs:
            self._inputs[owner.number] = len(self._memories)
            self._memories.append(Memory(self._name(owner), owner.nbytes))
        return self._inputs[owner.number]
