"""The names of a plan's values in text: by path in the step's arguments, by a layout, or by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from dlarray.device.description import Names
from dlarray.planner.schedule.memory import Plan
from dlarray.planner.trace.node import LEAVES, VIEWS, Node, root

__all__ = ["Naming", "paths"]


def paths(structure: Any, name: str = "") -> list[str]:
    """The path of each leaf of a structure that ``trees.flatten`` returns: theta, optimizer.m, batch[1].

    The number in a sequence of one item is left out.
    """
    if structure is None:
        return [name]
    kind, keys, items = structure
    if kind == "static":
        return []
    if keys:
        steps = [f"{name}.{key}" if name else str(key) for key in keys]
    else:
        steps = [name] if len(items) == 1 else [f"{name}[{i}]" for i in range(len(items))]
    return [path for item, step in zip(items, steps, strict=True) for path in paths(item, step)]


class Naming:
    """Names for the nodes of a plan; a node without a name gets the next number when it is first used."""

    def __init__(self, plan: Plan, inputs: Sequence[str], outputs: Sequence[str], names: Names) -> None:
        self._names = names
        self._paths = inputs
        self._inputs = [names.arrays.get(p, p) for p in inputs]
        self._known: dict[Node, str] = {}
        self._numbers = iter(range(1, 1_000_000))
        for node, path in zip(plan.outputs, outputs, strict=True):
            if root(node).op != "input":
                self._name(root(node), f"{path}′" if path in inputs else path)
        self._name_slices(plan)
        for result in plan.graph.collectives:
            given = root(result.args[0].args[0])
            if result in self._known and given.op not in LEAVES:
                self._name(given, f"{self._known[result]} of this rank")
        self._name_products(plan)

    def __call__(self, node: Node) -> str:
        """The name of a value, with its view: theta[0:10].T."""
        if node.op == "reshape":
            return self(node.args[0])
        if node.op == "slice":
            return self._part(node) or f"{self(node.args[0])}[{_keys(node.attribute)}]"
        if node.op == "permute":
            reverse = tuple(reversed(range(len(node.shape))))
            return self(node.args[0]) + (".T" if node.attribute == reverse else f".transpose{node.attribute}")
        if node.op == "input":
            return self._inputs[int(node.attribute)]
        if node.op == "array":
            return f"array {node.attribute}"
        if node.op == "full":
            return number(node.attribute)
        if node.op == "index":
            return "position"
        if node not in self._known:
            self._known[node] = f"v{next(self._numbers)}"
        return self._known[node]

    def _name(self, node: Node, name: str) -> None:
        """Give a value a unique name."""
        taken = set(self._known.values())
        wanted, again = name, 1
        while name in taken:
            again += 1
            name = f"{wanted}#{again}"
        self._known.setdefault(node, name)

    def _part(self, node: Node) -> str | None:
        """A layout's name for this slice of an input; None if it has none."""
        base, keys = node.args[0], node.attribute
        if base.op != "input" or len(keys) != 1 or not isinstance(keys[0], slice):
            return None
        layout = self._names.parts.get(self._paths[int(base.attribute)])
        start, stop, step = keys[0].indices(base.size)
        found = {(p.start, p.stop): name for name, p in layout.slots.items()} if layout and step == 1 else {}
        return found.get((start, stop))

    def _name_slices(self, plan: Plan) -> None:
        """Name the parts of concatenations with a layout's slots: the parameters' next values, or their gradient."""
        next_values = {f"{path}′": layout for path, layout in self._names.parts.items()}
        parameters = self._names.parts.get(self._names.parameters)
        for unit in plan.units:
            whole = unit.outputs[0]
            layout = next_values.get(self._known[whole]) if whole in self._known else parameters
            if unit.op != "concat" or layout is None or layout.lengths != whole.shape:
                continue
            if layout is parameters and whole not in self._known:
                self._name(whole, "gradient")
            slots = {(p.start, p.stop): name for name, p in layout.slots.items()}
            start = 0
            for part in whole.args:
                name = slots.get((start, start + part.size))
                start += part.size
                if name and root(part).size == part.size and root(part).op not in LEAVES:
                    leaves = self._known[whole] in next_values
                    self._name(root(part), f"{name}′" if leaves else _with_prefix(name, "d"))

    def _name_products(self, plan: Plan) -> None:
        """Name x W and dy Wᵀ after the layer of W."""
        for unit in plan.units:
            if unit.op != "matmul":
                continue
            right = unit.outputs[0].args[1]
            is_transposed = right.op == "permute"
            base = right.args[0] if is_transposed else right
            base = base.args[0] if base.op == "reshape" else base
            name = self._part(base) if base.op in VIEWS and base.op == "slice" else None
            if name and "." in name:
                self._name(
                    unit.outputs[0], f"{name.rpartition('.')[0]}.dx" if is_transposed else _with_prefix(name, "x")
                )


def number(value: Any) -> str:
    """A constant as text."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _with_prefix(name: str, letter: str) -> str:
    """A name with a letter before its last part: 0.dW for 0.W."""
    layer, dot, own = name.rpartition(".")
    return f"{layer}{dot}{letter}{own}"


def _keys(keys: tuple[Any, ...]) -> str:
    """An index as text, without an ellipsis at its end."""
    return ", ".join(map(_key, keys[:-1] if keys[-1] is Ellipsis else keys))


def _key(key: Any) -> str:
    if isinstance(key, slice):
        part = cast("slice[Any, Any, Any]", key)
        start, stop, step = part.start, part.stop, part.step
        ends = ["" if end is None else str(end) for end in (start, stop)]
        return ":".join(ends) + (f":{step}" if step not in (None, 1) else "")
    return "…" if key is Ellipsis else str(key)
