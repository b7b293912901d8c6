"""Lowering: a group of nodes becomes a kernel of ``loops``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dlarray.planner.kernel.loops import AFTER, BEFORE, REDUCTIONS, Input, Kernel, Operation
from dlarray.planner.schedule.grouping import kind_of
from dlarray.planner.schedule.order import Unit
from dlarray.planner.trace.node import Form, Node, attribute_key, is_dense, root, span, without_reshapes
from dlarray.planner.trace.promotion import type_name

__all__ = ["Body", "lower"]


@dataclass(frozen=True, eq=False)
class Body:
    """A kernel with the nodes of its inputs, constants, operations and outputs."""

    kernel: Kernel
    domain: Form
    inputs: tuple[Node, ...]
    constants: tuple[Any, ...]
    operations: tuple[Node, ...]
    outputs: tuple[Node, ...]

    def may_overwrite(self, memory: Node, output: Node, start: int = 0) -> bool:
        """Whether an output can be written over an array that this kernel reads, by the rule of ``loops``.

        It is written from element ``start`` of the array on.
        """
        number = self.kernel.outputs[self.outputs.index(output)]
        kind, sweep = self.kernel.kind(number), self.kernel.sweep(number)
        for i, node in enumerate(self.inputs):
            if root(node) is memory:
                read = (0, node.size) if node is memory else span(node) if is_dense(node) else None
                if read != (start, start + output.size) or kind not in "ES" or self.kernel.inputs[i].kind != kind:
                    return False
                if kind == "E" and any(i in self._read_in(s) for s in range(sweep + 1, self.kernel.sweeps)):
                    return False
        return kind in "ES" or not any(root(node) is memory for node in self.inputs)

    def _read_in(self, sweep: int) -> set[int]:
        kernel = self.kernel
        return {a for v in kernel.evaluated(sweep) for a in kernel.operations[v - kernel.first].args}


def lower(unit: Unit, is_read: Callable[[Node], bool]) -> Body:
    """The kernel that computes a unit's outputs from values in memory."""
    operations, inputs, constants = _cone(unit.outputs, is_read)
    known: dict[Any, int] = {}
    for value in (*inputs, *constants, *operations):
        known[_identity(value)] = len(known)
    ready: dict[Node, int] = {}  # the first sweep in which a value can be read
    made: list[Operation] = []
    for node in operations:
        kind = kind_of(node.form, unit.domain)
        args = [without_reshapes(a) for a in node.args]
        earliest = max((ready.get(a, BEFORE if a.size == 1 else 0) for a in args), default=BEFORE)
        over = node.attribute if node.op in REDUCTIONS else ""
        if kind == "S" and not over:
            sweep = ready[node] = AFTER if earliest > BEFORE else BEFORE
        else:
            sweep = max(earliest, 0)
            ready[node] = {"": sweep, "row": sweep + 1, "column": AFTER, "all": AFTER}[over]
        made.append(
            Operation(node.op, tuple(known[_identity(a)] for a in args), kind, type_name(node.dtype), sweep, over)
        )
    kernel = Kernel(
        tuple(Input(kind_of(n.form, unit.domain), type_name(n.dtype), is_dense(n)) for n in inputs),
        tuple(type_name(n.dtype) for n in constants),
        tuple(made),
        tuple(known[n] for n in unit.outputs),
    )
    values = tuple(n.attribute for n in constants)
    return Body(kernel, unit.domain, tuple(inputs), values, tuple(operations), tuple(unit.outputs))


def _cone(outputs: list[Node], is_read: Callable[[Node], bool]) -> tuple[list[Node], list[Node], list[Node]]:
    """The operations in trace order, the values that they read from memory, and the constants, each once."""
    operations: set[Node] = set()
    inputs: dict[Node, None] = {}
    constants: dict[Any, Node] = {}
    todo = list(outputs)
    while todo:
        node = todo.pop()
        if node in operations:
            continue
        if node.op == "full":
            constants.setdefault(_identity(node), node)
        elif node.op == "index" or (node.computes and (node in outputs or not is_read(node))):
            operations.add(node)
            todo.extend(without_reshapes(a) for a in node.args)
        else:
            inputs[node] = None
    return _ordered(operations), _ordered(inputs), _ordered(constants.values())


def _ordered(nodes: Iterable[Node]) -> list[Node]:
    return sorted(nodes, key=lambda n: n.number)


def _identity(node: Node) -> Any:
    """Equal for equal values: for constants the number and its type, in any shape."""
    return (attribute_key(node.attribute), node.dtype) if node.op == "full" else node
